"""The searcher published with Pi-NAS: a tree of classifiers that parts good archs from bad ones
(Peng et al., ICCV 2021, after LaNAS, Wang et al., TPAMI 2021)."""

import math
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.model_selection import train_test_split

from ...errors import InputError
from ...schema import AtLeastTwo, Count, Expected, NotNegative, Seed, WholeNumber, check
from ...spaces import Arch
from ..scale import unit_of
from .base import POOL, Searcher
from .registration import register_searcher

if TYPE_CHECKING:
    import lightgbm


# What the published code has for an argument; published=True is all of it.
PUBLISHED: dict[str, Any] = dict(
    num_initial=80,
    refit_every=8,
    depth=1,
    depth_thresholds=(400, 800, 1600, 3200),
    exploration=0,
    min_leaf=1,
    additive=False,
)
# The way to a node.
Halves = Annotated[str, Field(pattern='^[01]*$'), Expected('the halves taken', "'01'")]
# Its settings of a classifier are the best of so many drawn.
DRAWN_SETTINGS = 10


class Node:
    """A part of the evaluated archs. An inner node also knows how to tell its better half from the
    other: a classifier that is fitted when a walk first comes by, since most nodes see none before
    the tree is fitted again.

    Args:
        features: Features of the archs in it, ``(N, num_features)``.
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
            type(self)(
                self.features[half], self.scores[half], self.depth - 1, self.min_leaf, self.seed
            )
            for half in (~self.better, self.better)
        )
        return worse, better

    @cached_property
    def classifier(self) -> 'lightgbm.Booster':
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
        return classifier.fit(self.features, self.better).booster_


class PublishedNode(Node):
    """A node of the published tree. Its features are the choices themselves, as numbers."""

    @cached_property
    def better(self) -> NDArray[np.bool_]:
        """Which archs are at the median or above it; by rank where that is all of them, which the
        published code cannot split."""
        better: NDArray[np.bool_] = self.scores >= np.median(self.scores)
        return super().better if better.all() else better

    @cached_property
    def classifier(self) -> 'lightgbm.Booster':
        """Of ten LightGBM classifiers with drawn settings, the one with the least errors on a fifth
        of the archs, which also says where to stop adding trees.

        The published code asks hyperopt's TPE for ten settings, and that draws its first twenty at
        random. It fits them again while the error is above a half, but always with the same
        outcome."""
        import lightgbm

        rng = np.random.default_rng(self.seed)
        features, held_out, labels, held_out_labels = train_test_split(
            self.features, self.better, test_size=0.2, random_state=1
        )
        learning = lightgbm.Dataset(features, labels.astype(int), free_raw_data=False)
        judging = learning.create_valid(held_out, held_out_labels.astype(int))
        fixed = dict(
            objective='binary',
            metric='binary_error',
            seed=self.seed,
            deterministic=True,
            force_row_wise=True,
            num_threads=1,
            verbosity=-1,
        )
        fitted = [
            lightgbm.train(
                fixed | self._drawn_settings(rng),
                learning,
                num_boost_round=100,
                valid_sets=[judging],
                callbacks=[lightgbm.early_stopping(100, verbose=False)],
            )
            for _ in range(DRAWN_SETTINGS)
        ]
        return min(fitted, key=lambda booster: booster.best_score['valid_0']['binary_error'])

    @staticmethod
    def _drawn_settings(rng: np.random.Generator) -> dict[str, Any]:
        return dict(
            learning_rate=float(np.exp(rng.uniform(np.log(0.01), np.log(0.5)))),
            max_depth=int(rng.choice([-1, 2, 3, 4, 5, 6])),
            num_leaves=int(rng.choice(np.linspace(10, 200, 50, dtype=int))),
            feature_fraction=round(rng.uniform(0.5, 1.0), 1),
            bagging_fraction=round(rng.uniform(0.5, 1.0), 1),
            bagging_freq=int(rng.choice(np.linspace(0, 50, 10, dtype=int))),
            reg_alpha=rng.uniform(0, 2),
            reg_lambda=rng.uniform(0, 2),
            min_child_weight=rng.uniform(0.5, 10),
        )


@register_searcher('partition_tree')
class PartitionTreeSearcher(Searcher):
    """Splits the evaluated archs at the median score again and again, fits a classifier per split,
    walks to the most promising leaf, and proposes new archs that the classifiers on the way accept.

    Args:
        num_initial: Random archs before the first tree. Defaults to a quarter of the budget, at
            most 80, which is published for 1,000 archs.
        refit_every: Archs told between two fits, 8 as published.
        depth: Splits on the way to a leaf at the start. Defaults to 2.
        depth_thresholds: The tree is one deeper for each of these numbers that the evaluated archs
            are above, as published.
        exploration: Weight of the exploration term of the walk (UCB1 over how often earlier walks
            went that way, on standardised scores). 0 always takes the better half. Defaults to 0.5,
            which leaves it for the other half of the better half every fifty walks or so.
        min_leaf: A part with fewer archs than twice this is not split. Defaults to 10.
        additive: Whether accepted archs are asked in the order of an
            :class:`~pinas_mm.searching.additive.AdditiveModel` instead of as drawn. On by default,
            since the tree alone learns slowly, and little from noisy scores
            (docs/results/searching.md).
        published: Whether to search as the published code does, with ``ask_size=8``. It fixes all
            arguments above: 80 random archs, one split and one more above 400, 800, 1,600 and 3,200
            archs, no exploration, no additive model. It also takes the published classifiers
            (:class:`PublishedNode`), and where too few archs are accepted, the others as drawn
            instead of the nearest first. Two things are not as published: no arch is asked twice,
            and limits on costs are kept.
        kwargs: See :class:`Searcher`.

    Raises:
        InputError: An argument out of range, or one that is not as published beside
            ``published=True``.
    """

    def __init__(
        self,
        *args: Any,
        num_initial: AtLeastTwo | None = None,
        refit_every: Count = 8,
        depth: Count | None = None,
        depth_thresholds: Sequence[WholeNumber] = (400, 800, 1600, 3200),
        exploration: NotNegative | None = None,
        min_leaf: Count | None = None,
        additive: bool | None = None,
        published: bool = False,
        seed: Seed = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, seed=seed, **kwargs)  # type: ignore[misc]  # never in args
        given: dict[str, Any] = dict(
            num_initial=num_initial,
            refit_every=refit_every,
            depth=depth,
            depth_thresholds=tuple(depth_thresholds),
            exploration=exploration,
            min_leaf=min_leaf,
            additive=additive,
        )
        given = {name: value for name, value in given.items() if value is not None}
        if published:
            self._check_published(given)
        settings = dict(depth=2, exploration=0.5, min_leaf=10, additive=True) | given
        settings |= PUBLISHED if published else {}
        self.num_initial = self.random_start('num_initial', settings.get('num_initial'), 80)
        self.refit_every: int = refit_every
        self.depth: int = settings['depth']
        self.depth_thresholds: tuple[int, ...] = settings['depth_thresholds']
        self.exploration: float = settings['exploration']
        self.min_leaf: int = settings['min_leaf']
        self.additive: bool = settings['additive']
        self.published = published
        self.seed = seed
        self.root: Node | None = None
        self.fitted = 0
        # Walks so far through each node, by the halves taken on the way to it ('' is the root, '1'
        # its better half): halves keep their meaning when the tree is fitted again.
        self.visits: Counter[str] = Counter()

    def _check_published(self, given: dict[str, Any]) -> None:
        for name, value in given.items():
            if value != PUBLISHED[name]:
                raise InputError(
                    f'PartitionTreeSearcher: published=True with {name}={value}: expected '
                    f'{name}={PUBLISHED[name]}, as published; leave one of the two out'
                )
        if self.budget <= PUBLISHED['num_initial']:
            raise InputError(
                f'PartitionTreeSearcher: published=True with num_archs={self.budget}: its first '
                f'{PUBLISHED["num_initial"]} archs are random, expected more, such as 1000'
            )

    def propose(self, n: int) -> NDArray[np.int64]:
        if self.root is None or len(self.archs) - self.fitted >= self.refit_every:
            self.fit(len(self.archs))
        return self._accepted(self.walk(), n)

    def fit(self, count: int) -> None:
        """Builds the tree from the first ``count`` archs told."""
        scores = np.array(self.scores[:count])
        scores = scores / unit_of(scores)
        spread = scores.std()
        scores = (scores - scores.mean()) / (spread if spread > 0 else 1)
        depth = self.depth + sum(count > threshold for threshold in self.depth_thresholds)
        kind = PublishedNode if self.published else Node
        self.root = kind(
            self._features(self.archs[:count]), scores, depth, self.min_leaf, self.seed
        )
        self.fitted = count

    def _features(self, archs: Sequence[Arch] | NDArray[np.int64]) -> NDArray[np.float32]:
        return np.asarray(archs, np.float32) if self.published else self.space.one_hot(archs)

    def walk(self) -> list[tuple['lightgbm.Booster', bool]]:
        """The way to the most promising leaf: each classifier and whether its better half was
        taken."""
        way: list[tuple[lightgbm.Booster, bool]] = []
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

    def _accepted(self, way: list[tuple['lightgbm.Booster', bool]], n: int) -> NDArray[np.int64]:
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
            features = self._features(pool)
            least: NDArray[np.float64] = np.ones(len(pool))
            for classifier, better in way:
                probability = np.asarray(classifier.predict(features))
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
        if not self.published:
            rest = rest[np.argsort(-least[rest], kind='stable')]  # nearest first
        return np.concatenate([accepted, pool[rest]])

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | dict(fitted=self.fitted, visits=dict(self.visits))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.root = None
        self.visits = Counter(check(dict[Halves, WholeNumber], state['visits'], key='visits'))
        self.fitted = check(WholeNumber, state['fitted'], key='fitted')
        if self.fitted == 1 or self.fitted > len(self.archs):
            raise InputError(
                f'fitted={self.fitted}: expected 0, or 2 to {len(self.archs)}, the number of archs '
                f'that have a score'
            )
        if self.fitted:
            self.fit(self.fitted)
