import collections

import pytest
from mmengine.dataset import BaseDataset
from mmengine.runner import Runner

from pinas_mm.errors import InputError
from pinas_mm.tasks.reid import IdentitySampler, identity_sampler


class Persons(BaseDataset):
    """``counts[person]`` images of each person, persons taking turns."""

    def __init__(self, counts):
        self.counts = counts
        super().__init__(pipeline=[], serialize_data=False)

    def load_data_list(self):
        return [
            dict(gt_label=person)
            for turn in range(max(self.counts))
            for person, count in enumerate(self.counts)
            if turn < count
        ]

    def person(self, index):
        return self.get_data_info(index)['gt_label']


COUNTS = (5, 9, 2, 1, 4, 12, 4)


def order(dataset, epoch=0, **kwargs):
    sampler = IdentitySampler(dataset, **dict(images_per_person=4, seed=0) | kwargs)
    sampler.set_epoch(epoch)
    indices = list(sampler)
    assert len(indices) == len(sampler)
    return indices


def test_every_person_once_with_k_images():
    dataset = Persons(COUNTS)
    indices = order(dataset)
    groups = [indices[start : start + 4] for start in range(0, len(indices), 4)]
    persons = [{dataset.person(index) for index in group} for group in groups]
    assert all(len(group) == 1 for group in persons) and sorted(map(min, persons)) == list(range(7))
    for group in groups:
        times = collections.Counter(group).values()
        # Without replacement; of those with fewer images, each, as often as any other or once less.
        assert (
            len(times) == min(4, COUNTS[dataset.person(group[0])]) and max(times) - min(times) <= 1
        )


def test_epochs_differ_and_the_seed_fixes_them():
    dataset = Persons(COUNTS)
    epochs = [order(dataset, epoch) for epoch in range(30)]
    assert (
        epochs == [order(dataset, epoch) for epoch in range(30)]
        and len(set(map(tuple, epochs))) == 30
    )
    assert order(dataset) != order(dataset, seed=1)
    assert {index for epoch in epochs for index in epoch} == set(range(sum(COUNTS))), (
        'every image is shown in some epoch'
    )
    assert len({dataset.person(epoch[0]) for epoch in epochs}) > 3


def test_ranks_take_turns(monkeypatch):
    dataset = Persons(COUNTS)
    alone = order(dataset)
    ranks = []
    for rank in (0, 1):
        monkeypatch.setattr(identity_sampler, 'get_dist_info', lambda rank=rank: (rank, 2))
        ranks.append(order(dataset))
    # 7 persons: the last one is left out, so that both have as many batches.
    for turn in range(3):
        for rank in (0, 1):
            start = 4 * (2 * turn + rank)
            assert ranks[rank][4 * turn : 4 * turn + 4] == alone[start : start + 4]
    assert [len(rank) for rank in ranks] == [12, 12]


def test_in_a_loader_that_a_runner_builds():
    loader = Runner.build_dataloader(
        dict(
            batch_size=6,
            num_workers=0,
            drop_last=True,
            dataset=Persons(COUNTS),
            collate_fn=dict(type='pseudo_collate'),
            sampler=dict(type='pinas_mm.IdentitySampler', images_per_person=2),
        ),
        seed=3,
    )
    batches = [batch['gt_label'] for batch in loader]
    assert len(batches) == len(loader) == 2
    for batch in batches:
        assert batch[::2] == batch[1::2] and len(set(batch)) == 3


@pytest.mark.parametrize(
    'counts, images, message',
    [
        ((2, 2), 0, 'images_per_person=0: expected a whole number of at least 1'),
        ((), 4, r'0 persons \(gt_label\) in list on 1 rank'),
    ],
)
def test_wrong_arguments_are_named(counts, images, message):
    dataset = Persons(counts) if counts else [1, 2, 3]
    with pytest.raises(InputError, match=message):
        IdentitySampler(dataset, images)
