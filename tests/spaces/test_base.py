import itertools
from collections import Counter

import numpy as np
import pytest

from pinas_mm.errors import InputError
from pinas_mm.spaces import SPACES, arch_rng, get_space


@pytest.fixture(params=sorted(SPACES))
def space(request):
    return get_space(request.param)


def test_samples_are_valid_and_uniform(space):
    archs = space.sample_array(np.random.default_rng(0), 30_000)
    assert archs.shape == (30_000, space.num_slots)
    for slot, count in enumerate(space.num_candidates):
        shares = np.bincount(archs[:, slot], minlength=count) / len(archs)
        assert np.abs(shares - 1 / count).max() < 0.02
    assert space.validate(space.sample(np.random.default_rng(1)))


def test_disjoint_archs_differ_in_every_slot_and_are_uniform(space):
    rng = np.random.default_rng(0)
    pairs = [space.sample_disjoint(rng) for _ in range(6000)]
    assert all(a != b for pair in pairs for a, b in zip(*pair))
    # Every ordered pair of different candidates is equally likely.
    count = space.num_candidates[0]
    seen = Counter((pair[0][0], pair[1][0]) for pair in pairs)
    assert len(seen) == count * (count - 1)
    assert max(abs(n / len(pairs) - 1 / len(seen)) for n in seen.values()) < 0.02


@pytest.mark.slow
def test_disjoint_archs_by_probabilities(space):
    rng, counts = np.random.default_rng(0), space.num_candidates
    # One candidate is never drawn, where two others are left.
    weights = {
        count: ([0] if count > 2 else []) + [1, 3, 2, 2][: max(2, count - 1)] for count in counts
    }
    given = [weights[count] for count in counts]
    slots = space.slot_probabilities(given if len(weights) > 1 else given[0])
    seen: dict[int, Counter] = {count: Counter() for count in counts}
    for _ in range(1000):
        for count, choices in zip(counts, zip(*space.sample_disjoint(rng, 2, slots))):
            seen[count][choices] += 1
    for count, found in seen.items():
        assert all(a != b for a, b in found)
        p = np.array(weights[count]) / sum(weights[count])
        for a, b in itertools.permutations(range(count), 2):
            # Either of the two may have been drawn first, and either may be the first path.
            likely = p[a] * p[b] * (1 / (1 - p[a]) + 1 / (1 - p[b])) / 2
            assert abs(found[a, b] / found.total() - likely) < 0.02
    alone = space.slot_probabilities([[0] * (count - 1) + [1] for count in counts])
    with pytest.raises(InputError, match='fewer candidates with a probability above 0'):
        space.sample_disjoint(rng, 2, alone)


@pytest.mark.slow
def test_an_arch_by_probabilities(space):
    counts = space.num_candidates
    slots = space.slot_probabilities([[1.0] + [0.0] * (count - 2) + [3.0] for count in counts])
    archs = np.array([space.sample(np.random.default_rng(seed), slots) for seed in range(2000)])
    assert [set(column) for column in archs.T.tolist()] == [{0, count - 1} for count in counts]
    assert np.abs((archs == 0).mean(axis=0) - 0.25).max() < 0.04


@pytest.mark.parametrize(
    'weights, message',
    [
        (lambda counts: [1] * (counts[0] + 1), 'numbers for the slots'),
        (lambda counts: [[-1] + [1] * (count - 1) for count in counts], 'numbers of at least 0'),
        (lambda counts: [[0] * count for count in counts], 'one of them above'),
        (lambda counts: [[float('nan')] * count for count in counts], 'numbers of at least 0'),
        (lambda count: 0.5, '=0.5: expected one number per candidate'),
        (lambda count: [], '=.*: expected one number per candidate'),
        (lambda count: [[0.5], 'x'], "'x'.: expected one number per candidate"),
    ],
)
def test_wrong_probabilities(space, weights, message):
    with pytest.raises(InputError, match=message):
        space.slot_probabilities(weights(space.num_candidates))


def test_disjoint_archs_cannot_outnumber_candidates(space):
    with pytest.raises(InputError, match='differ in every slot'):
        space.sample_disjoint(np.random.default_rng(0), min(space.num_candidates) + 1)


def test_mutation_changes_a_slot_with_its_probability(space):
    rng = np.random.default_rng(0)
    arch = space.sample(rng)
    changed = np.array([np.not_equal(space.mutate(arch, 0.2, rng), arch) for _ in range(5000)])
    assert np.abs(changed.mean(axis=0) - 0.2).max() < 0.03
    assert space.mutate(arch, 0.0, rng) == arch
    assert all(a != b for a, b in zip(space.mutate(arch, 1.0, rng), arch))


def test_crossover_takes_each_slot_from_a_parent(space):
    rng = np.random.default_rng(0)
    first, second = space.sample_disjoint(rng)
    children = np.array([space.crossover(first, second, rng) for _ in range(4000)])
    from_first = children == np.array(first)
    assert (from_first | (children == np.array(second))).all()
    assert np.abs(from_first.mean(axis=0) - 0.5).max() < 0.04


def test_text_and_one_hot_round_trip(space):
    archs = [space.sample(np.random.default_rng(seed)) for seed in range(20)]
    assert [space.decode(space.encode(arch)) for arch in archs] == archs
    assert [space.decode(','.join(map(str, arch))) for arch in archs] == archs
    features = space.one_hot(archs)
    assert (
        features.shape == (20, sum(space.num_candidates))
        and (features.sum(axis=1) == space.num_slots).all()
    )
    starts = np.cumsum([0, *space.num_candidates[:-1]])
    assert all(features[i, starts + arch].all() for i, arch in enumerate(map(np.array, archs)))


@pytest.mark.parametrize(
    'arch, message',
    [
        ([0, 1], '2 entries'),
        ([9] + [0] * 15, 'slot 0 holds 9'),
        ([0.0] + [0] * 15, 'slot 0 holds 0.0'),
        ([True] + [0] * 15, 'slot 0 holds True'),
        ('0' * 16, 'not a list'),
        (None, 'not a list'),
    ],
)
def test_wrong_archs_are_named(arch, message):
    with pytest.raises(InputError, match=message) as error:
        get_space('resnest50').validate(arch, 'subnet.yaml')
    assert 'subnet.yaml' in str(error.value)


def test_wrong_text_and_unknown_space_are_named():
    with pytest.raises(InputError, match="'22x12220'"):
        get_space('nasbench_macro').decode('22x12220')
    with pytest.raises(InputError, match="unknown space 'resnet'"):
        get_space('resnet')


def test_archs_of_a_step_depend_on_seed_step_and_draw_alone():
    space = get_space('resnest50')
    draws = {
        (seed, step, draw): space.sample(arch_rng(seed, step, draw))
        for seed in range(2)
        for step in range(2)
        for draw in range(2)
    }
    assert len(set(draws.values())) == 8
    assert all(space.sample(arch_rng(*key)) == arch for key, arch in draws.items())
