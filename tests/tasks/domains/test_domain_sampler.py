from collections import Counter
from itertools import islice

import pytest
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from pinas_mm.datasets import Digits
from pinas_mm.errors import InputError
from pinas_mm.tasks.domains import DomainPair, DomainSampler, domain_sampler

LONG, SHORT = 12, 5


@pytest.fixture(scope='module')
def pair():
    init_default_scope('mmpretrain')
    pipeline = [dict(type='PackInputs')]
    return DomainPair(
        *(
            dict(type='pinas_mm.Digits', indices=size, pipeline=pipeline, serialize_data=False)
            for size in (LONG, SHORT)
        )
    )


def test_every_batch_has_as_many_of_both_domains(pair):
    loader = Runner.build_dataloader(
        dict(
            dataset=pair, batch_size=6, num_workers=0, sampler=dict(type='pinas_mm.DomainSampler')
        ),
        seed=3,
    )
    for batch in islice(loader, 9):
        assert Counter(sample.domain for sample in batch['data_samples']) == dict(
            source=3, target=3
        )


@pytest.mark.parametrize('ranks', [1, 2, 3])
def test_each_domain_is_read_in_passes_by_all_ranks_together(pair, monkeypatch, ranks):
    drawn = []
    for rank in range(ranks):
        monkeypatch.setattr(domain_sampler, 'get_dist_info', lambda rank=rank: (rank, ranks))
        sampler = DomainSampler(pair, seed=1)
        assert len(sampler) == 2 * -(-LONG // ranks)
        drawn.append(list(islice(sampler, 2 * 60 // ranks)))
    # Over all ranks, pair by pair: 60 of each domain.
    together = [share[step : step + 2] for step in range(0, 120 // ranks, 2) for share in drawn]
    source, target = zip(*together)
    for indices, size, first in ((source, LONG, 0), (target, SHORT, LONG)):
        passes = [indices[start : start + size] for start in range(0, 60, size)]
        assert len(passes) == 60 // size and all(
            sorted(part) == list(range(first, first + size)) for part in passes
        )
        assert len(set(passes)) > 1, 'another order in every pass'


def test_the_order_is_that_of_the_seed_and_goes_on_after_a_resume(pair):
    def order(seed, number=100):
        return list(islice(DomainSampler(pair, seed), number))

    assert order(4) == order(4) != order(5)
    assert len(set(order(4, 10)) & set(range(LONG, LONG + SHORT))) == SHORT
    for skipped in (0, 6, 35):
        sampler = DomainSampler(pair, 4)
        sampler.skip(skipped)
        assert list(islice(sampler, 20)) == order(4)[skipped : skipped + 20]


def test_another_dataset():
    with pytest.raises(
        InputError,
        match='DomainSampler of a Digits: expected train_dataloader.dataset to be a '
        'pinas_mm.DomainPair',
    ):
        DomainSampler(Digits(indices=4))
