"""The searcher published with Pi-NAS: a tree of classifiers that parts good archs from bad ones
(Peng et al., ICCV 2021, after LaNAS, Wang et al., TPAMI 2021)."""

import math
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .base import POOL, Searcher
from .registration import register_searcher

if TYPE_CHECKING:
    import lightgbm


class Node:
    """A part of the evaluated archs. An inner node also knows how to tell its better half from the
    other: a classifier that is fitted when a walk first comes by, since most nodes see none before
    the tree is fitted again.

    Args:
        features: One-hot features of the archs in it, ``(N, sum(num_candidates))``.
        scores: Their standardised scores, ``(N, )``.
        depth: Splits below it.
        min_leaf: A part with fewer archs than twice this is not split.
        seed: Seed of the classifiers.
    """

    def __init__(
        self,
        features: NDArray[np.float32],
        scores: NDArray[np.float64],
        depth: int,
        min_leaf: int,
        seed: int,
    ) -> None:
        self.features, self.scores = features, scores
        self.depth, self.min_leaf, self.seed = depth, min_leaf, seed
        self.is_leaf = depth == 0 or len(scores) < 2 * min_leaf or scores.min() == scores.max()

    @cached_property
    def better(self) -> NDArray[np.bool_]:
        """Which archs are the better half; by rank, since with a comparison to the median equal
        scores could leave a half empty."""
        better = np.zeros(len(self.scores), bool)
        better[np.argsort(self.scores, kind='stable')[len(self.scores) // 2 :]] = True
        return better

    @cached_property
    def children(self) -> tuple['Node', 'Node']:
        """The other half and the better half."""
        worse, better = (
            Node(self.features[half], self.scores[half], self.depth - 1, self.min_leaf, self.seed)
            for half in (~self.better, self.better)
        )
        return worse, better

    @cached_property
    def classifier(self) -> 'lightgbm.LGBMClassifier':
        """Gives the probability of the better half."""
        import lightgbm  # here, since everything else works without it

        classifier = lightgbm.LGBMClassifier(
            n_estimators=50,
            num_leaves=15,
            min_child_samples=5,
            learning_rate=0.1,
            random_state=self.seed,
            deterministic=True,
            force_row_wise=True,
            n_jobs=1,
            verbose=-1,
        )
        return classifier.fit(self.features, self.better)


@register_searcher('partition_tree')
class PartitionTreeSearcher(Searcher):
    """Splits the evaluated archs at the median score again and again, fits a classifier per split,
    walks to the most promising leaf, and proposes new archs that the classifiers on the way accept.

    Args:
        num_initial: Random archs before the first tree, 80 as published.
        refit_every: Archs told between two fits, 8 as published.
        depth: Splits on the way to a leaf at the start.
        depth_thresholds: Numbers of evaluated archs at which the tree becomes one deeper, as
            published.
        exploration: Weight of the exploration term of the walk (UCB1 over how often earlier walks
            went that way, on standardised scores). 0 always takes the better half, as the published
            code does; 0.5 leaves it for the other half of the better half every fifty walks or so.
        min_leaf: A part with fewer archs than twice this is not split.
        additive: Whether accepted archs are asked in the order of an
            :class:`~pinas_mm.search.additive.AdditiveModel` instead of as drawn. On since the tree
            alone learns slowly, and little from noisy scores (docs/search.md); the published one
            has ``num_initial=80, additive=False, exploration=0``.
        kwargs: See :class:`Searcher`.

    Raises:
        InputError: An argument out of range.
    """

    def __init__(
        self,
        *args: Any,
        num_initial: int = 80,
        refit_every: int = 8,
        depth: int = 2,
        depth_thresholds: tuple[int, ...] = (400, 800, 1600, 3200),
        exploration: float = 0.5,
        min_leaf: int = 10,
        additive: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, seed=seed, **kwargs)  # type: ignore[misc]  # never in args
        for name, value, least in (
            ('num_initial', num_initial, 2),
            ('refit_every', refit_every, 1),
            ('depth', depth, 1),
            ('exploration', exploration, 0),
            ('min_leaf', min_leaf, 1),
        ):
            if value < least:
                raise InputError(
                    f'PartitionTreeSearcher: {name}={value}, expected at least {least}'
                )
        self.num_initial = num_initial
        self.refit_every = refit_every
        self.depth = depth
        self.depth_thresholds = tuple(depth_thresholds)
        self.exploration = exploration
        self.min_leaf = min_leaf
        self.additive = additive
        self.seed = seed
        self.root: Node | None = None
        self.fitted = 0
        # Walks so far through each node, by the halves taken on the way to it ('' is the root, '1'
        # its better half): halves keep their meaning when the tree is fitted again.
        self.visits: Counter[str] = Counter()

    def propose(self, n: int) -> NDArray[np.int64]:
        if len(self.archs) < self.num_initial:
            return self.draw(4 * n)
        if self.root is None or len(self.archs) - self.fitted >= self.refit_every:
            self.fit(len(self.archs))
        return self._accepted(self.walk(), n)

    def fit(self, count: int) -> None:
        """Builds the tree from the first ``count`` archs told."""
        scores = np.array(self.scores[:count])
        spread = scores.std()
        scores = (scores - scores.mean()) / (spread if spread > 0 else 1)
        depth = self.depth + sum(count >= threshold for threshold in self.depth_thresholds)
        self.root = Node(
            self.space.one_hot(self.archs[:count]), scores, depth, self.min_leaf, self.seed
        )
        self.fitted = count

    def walk(self) -> list[tuple['lightgbm.LGBMClassifier', bool]]:
        """The way to the most promising leaf: each classifier and whether its better half was
        taken."""
        way: list[tuple[lightgbm.LGBMClassifier, bool]] = []
        assert self.root is not None, 'fit() comes first'
        node, taken = self.root, ''
        self.visits[taken] += 1
        while not node.is_leaf:
            walks = math.log(self.visits[taken])
            values = [
                child.scores.mean()
                + self.exploration * math.sqrt(2 * walks / (1 + self.visits[f'{taken}{half}']))
                for half, child in enumerate(node.children)
            ]
            better = values[1] >= values[0]
            way.append((node.classifier, better))
            node, taken = node.children[better], f'{taken}{int(better)}'
            self.visits[taken] += 1
        return way

    def _accepted(
        self, way: list[tuple['lightgbm.LGBMClassifier', bool]], n: int
    ) -> NDArray[np.int64]:
        """Draws archs in batches until ``n`` new feasible ones are accepted; else also the nearest
        to being accepted."""
        pools, probabilities, found = [], [], 0
        while found < n and self.draws < self.max_draws:
            pool = self.draw(POOL)
            if self.feasible is not None:
                pool = pool[self.feasible.mask(pool)]
            pool = np.array(
                [
                    row
                    for row in np.unique(pool, axis=0).tolist()
                    if self.space.canonical(tuple(row)) not in self.asked
                ]
            )
            if not len(pool):
                continue
            pool = self.rng.permutation(pool)
            features = self.space.one_hot(pool)
            least: NDArray[np.float64] = np.ones(len(pool))
            for classifier, better in way:
                probability = np.asarray(classifier.booster_.predict(features))
                least = np.minimum(least, probability if better else 1 - probability)
            found += int((least >= 0.5).sum())
            pools.append(pool)
            probabilities.append(least)
        if not pools:
            return np.empty((0, self.space.num_slots), int)
        pool, least = np.concatenate(pools), np.concatenate(probabilities)
        accepted, rest = pool[least >= 0.5], np.flatnonzero(least < 0.5)
        if self.additive and len(accepted):
            accepted = self.additive_model().best_first(accepted)
        # Then the rest, nearest first.
        return np.concatenate([accepted, pool[rest[np.argsort(-least[rest], kind='stable')]]])

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | dict(fitted=self.fitted, visits=dict(self.visits))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.root = None
        self.visits = Counter(state['visits'])
        if state['fitted']:
            self.fit(state['fitted'])
