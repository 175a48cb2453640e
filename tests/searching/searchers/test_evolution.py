import numpy as np
import pytest

from pinas_mm.errors import InputError
from pinas_mm.searching.additive import AdditiveModel
from pinas_mm.searching.searchers.evolution import EvolutionSearcher
from pinas_mm.searching.searchers.random import RandomSearcher
from pinas_mm.spaces import get_space

SPACE = get_space('resnest50')


def best_of(searcher, seed, budget=160):
    """The best of an additive function with a planted optimum of 16."""
    rng = np.random.default_rng((7, seed))
    values = rng.random((16, 4))
    values /= values.max(axis=1, keepdims=True)
    while len(searcher.archs) < budget:
        archs = searcher.ask(8)
        searcher.tell(archs, [values[range(16), arch].sum() for arch in archs])
    return max(searcher.scores)


@pytest.mark.parametrize('ageing', [False, True])
def test_it_finds_a_planted_optimum_better_than_random(ageing):
    ours = [
        best_of(
            EvolutionSearcher(SPACE, seed=seed, population=24, tournament=6, ageing=ageing), seed
        )
        for seed in range(5)
    ]
    random = [best_of(RandomSearcher(SPACE, seed=seed), seed) for seed in range(5)]
    assert np.mean(ours) > np.mean(random) + 0.5


def told(count, **kwargs):
    searcher = EvolutionSearcher(SPACE, population=4, tournament=4, **kwargs)
    archs = [(index % 4, index // 4) + (0,) * 14 for index in range(count)]
    searcher.tell(archs, range(count, 0, -1))  # the first is the best
    return searcher, archs


@pytest.mark.parametrize('ageing, parent', [(False, 0), (True, 8)])
def test_parents_are_the_tournaments_winners_and_ageing_forgets(ageing, parent):
    """All four members compete; the old best is a member only without ageing."""
    searcher, archs = told(12, ageing=ageing, mutation=1e-12)
    assert {tuple(child) for child in searcher.propose(5).tolist()} == {archs[parent]}


def noisy(count=64):
    """An additive function of one slot, under noise that is larger than it, and one arch that is
    much too lucky."""
    rng = np.random.default_rng(0)
    archs = [SPACE.sample(rng) for _ in range(count)]
    scores = np.array([float(arch[3] == 2) for arch in archs]) + rng.normal(size=count)
    lucky = next(i for i, arch in enumerate(archs) if arch[3] != 2)
    scores[lucky] = scores.max() + 1
    return archs, scores.tolist(), archs[lucky]


def test_additive_fitness_is_not_taken_in_by_luck():
    archs, scores, lucky = noisy(400)
    parents = {}
    for additive in (False, True):
        searcher = EvolutionSearcher(
            SPACE, population=5, tournament=5, mutation=1e-12, additive=additive
        )
        searcher.tell(archs, scores)
        (parents[additive],) = {tuple(child) for child in searcher.propose(5).tolist()}
    assert parents[False] == lucky
    assert (
        parents[True]
        == archs[np.argmax(AdditiveModel(SPACE, archs, scores).predict(archs))]
        != lucky
    )


def test_children_are_asked_in_the_additive_models_order():
    archs, scores, _ = noisy()
    for additive in (False, True):
        searcher = EvolutionSearcher(SPACE, additive=additive)
        searcher.tell(archs, scores)
        predicted = AdditiveModel(SPACE, archs, scores).predict(searcher.propose(20))
        assert (np.diff(predicted) <= 1e-6).all() == additive


def test_mutation_and_crossover_have_their_probabilities():
    searcher, archs = told(12, mutation=0.25, crossover=0.0)
    moved = searcher.propose(500) != np.array(archs[0])
    assert np.abs(moved.mean(axis=0) - 0.25).max() < 0.05

    searcher = EvolutionSearcher(SPACE, population=2, tournament=1, mutation=1e-12, crossover=0.6)
    searcher.tell([(0,) * 16, (1,) * 16], [0, 1])
    mixed = np.array([0 < child.sum() < 16 for child in searcher.propose(500)])
    # Both parents are the same one half of the time.
    assert abs(mixed.mean() - 0.3) < 0.05


def test_the_first_population_is_random():
    searcher = EvolutionSearcher(SPACE, population=64, tournament=8)
    searcher.tell([(0,) * 16] * 63, [1.0] * 63)
    assert np.abs(np.mean(searcher.ask(500), axis=0) - 1.5).max() < 0.15
    searcher.tell([(0,) * 16], [1.0])
    assert searcher.propose(500).mean() < 0.3


def test_a_tournament_of_more_than_the_population_is_named():
    with pytest.raises(InputError, match='tournament=6, expected 1 to population=5'):
        EvolutionSearcher(SPACE, population=5, tournament=6)
