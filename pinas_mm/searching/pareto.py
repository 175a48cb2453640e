"""Which of many points no other point beats in everything."""

import numpy as np
from numpy.typing import NDArray

# pymoo is imported where it is used: learning and evaluation work without it.


def pareto_front(objectives: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the points that no other dominates, in order of the first objective.

    Args:
        objectives: ``(N, M)``, lower is better in each.
    """
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    if not len(objectives):
        return np.empty(0, int)
    front = NonDominatedSorting().do(np.asarray(objectives, float), only_non_dominated_front=True)
    return np.array(sorted(front, key=lambda i: tuple(objectives[i])))


def rank_and_crowding(
    objectives: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For every point the number of its front (0 is the Pareto front) and its crowding distance
    there (NSGA-II, Deb et al., 2002, III).

    Args:
        objectives: ``(N, M)``, lower is better in each.
    """
    from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    rank, crowding = np.empty(len(objectives), int), np.empty(len(objectives))
    for number, front in enumerate(NonDominatedSorting().do(objectives)):
        rank[front], crowding[front] = number, calc_crowding_distance(objectives[front])
    return rank, crowding
