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
    assert sorted(UnshardedSampler(range(100), 100)) == list(range(100))


@pytest.mark.parametrize('num_samples', [0, -1, 11])
def test_more_samples_than_there_are_is_an_error(num_samples):
    with pytest.raises(InputError, match=f'num_samples={num_samples} of a dataset with 10 samples'):
        UnshardedSampler(range(10), num_samples)
