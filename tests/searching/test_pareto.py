import numpy as np

from pinas_mm.searching.pareto import pareto_front, rank_and_crowding


def dominates(a, b):
    return all(a <= b) and any(a < b)


def test_the_front_is_what_nothing_dominates():
    points = np.random.default_rng(0).integers(0, 12, (60, 2)).astype(float)
    front = pareto_front(points).tolist()
    assert sorted(front) == [
        i for i, point in enumerate(points) if not any(dominates(other, point) for other in points)
    ]
    assert points[front, 0].tolist() == sorted(points[front, 0])
    assert pareto_front(np.empty((0, 2))).tolist() == [] and pareto_front(
        np.ones((1, 3))
    ).tolist() == [0]


def test_ranks_and_crowding_of_a_worked_example():
    """Front 0: (0, 4), (1, 2), (4, 0); front 1: (2, 5), (5, 5) is dominated by it."""
    rank, crowding = rank_and_crowding(np.array([(0, 4), (5, 5), (1, 2), (4, 0), (2, 5)], float))
    assert rank.tolist() == [0, 2, 0, 0, 1]
    # The middle one: (4 - 0) / 4 + (4 - 0) / 4, which pymoo divides by the number of objectives.
    assert np.isinf(crowding[[0, 3]]).all() and crowding[2] == 1.0
