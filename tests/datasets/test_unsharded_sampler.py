import pytest

from pinas_mm.datasets import UnshardedSampler
from pinas_mm.errors import InputError


def test_everything_in_order_at_every_pass():
    sampler = UnshardedSampler(range(10))
    assert list(sampler) == list(sampler) == list(range(10)) and len(sampler) == 10


def test_a_subset_is_fixed_by_its_seed():
    first, again, other = (UnshardedSampler(range(100), 20, seed) for seed in (0, 0, 1))
    drawn = list(first)
    assert drawn == list(first) == list(again) != list(other)
    assert len(first) == len(set(drawn)) == 20 and set(drawn) < set(range(100))
    whole = UnshardedSampler(range(100), None, 0)
    assert (
        sorted(whole)
        == sorted(UnshardedSampler(range(100), 100, 0))
        == list(range(100))
        != list(whole)
    )


@pytest.mark.parametrize(
    'num_samples, message',
    [
        (0, ': expected a whole number of at least 1'),
        (-1, ': expected a whole number of at least 1'),
        (11, ' of a dataset with 10 samples'),
    ],
)
def test_more_samples_than_there_are_is_an_error(num_samples, message):
    with pytest.raises(InputError, match=f'num_samples={num_samples}{message}'):
        UnshardedSampler(range(10), num_samples, 0)
    with pytest.raises(InputError, match='seed=None'):
        UnshardedSampler(range(10), 5)


class Labelled(list):
    """A dataset of which only the labels matter, by class as datasets of folders are."""

    def get_data_info(self, index):
        return dict(gt_label=self[index])


def test_classes_keep_their_share_of_a_subset():
    dataset = Labelled([0] * 50 + [1] * 30 + [2] * 17 + [3] * 3)
    for n, shares in (
        (10, {3: 0, 2: 2, 1: 3, 0: 5}),
        (20, {0: 10, 1: 6, 2: 3, 3: 1}),
        (100, {0: 50, 1: 30, 2: 17, 3: 3}),
    ):
        drawn = list(UnshardedSampler(dataset, n, 4))
        assert (
            len(set(drawn)) == n
            and {label: sum(dataset[i] == label for i in drawn) for label in shares} == shares
        )
    first = [dataset[i] for i in list(UnshardedSampler(dataset, 50, 4))[:25]]
    assert len(set(first)) > 1, 'in random order'
    several = Labelled([[0, 1]] * 10)
    assert len(list(UnshardedSampler(several, 4, 0))) == 4, (
        'samples with several classes are drawn plainly'
    )
