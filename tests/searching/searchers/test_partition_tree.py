import numpy as np
import pytest

from pinas_mm.errors import InputError
from pinas_mm.searching.additive import AdditiveModel
from pinas_mm.searching.searchers.partition_tree import PartitionTreeSearcher
from pinas_mm.searching.searchers.random import RandomSearcher
from pinas_mm.spaces import get_space

SPACE = get_space('resnest50')


def additive(seed):
    """An additive function with a planted optimum of 16."""
    values = np.random.default_rng((7, seed)).random((16, 4))
    values /= values.max(axis=1, keepdims=True)
    return lambda arch: values[range(16), arch].sum()


def run(searcher, score, budget, size=8):
    while len(searcher.archs) < budget:
        archs = searcher.ask(size)
        searcher.tell(archs, [score(arch) for arch in archs])
    return searcher


def fitted(count=200, **kwargs):
    searcher = PartitionTreeSearcher(SPACE, **dict(min_leaf=2) | kwargs)
    rng, score = np.random.default_rng(0), additive(0)
    archs = [SPACE.sample(rng) for _ in range(count)]
    searcher.tell(archs, [score(arch) for arch in archs])
    searcher.fit(count)
    return searcher


def deepest(node):
    return 0 if node.is_leaf else 1 + max(map(deepest, node.children))


@pytest.mark.slow
def test_it_finds_a_planted_optimum_better_than_random():
    ours = [
        max(
            run(PartitionTreeSearcher(SPACE, seed=seed, num_initial=40), additive(seed), 120).scores
        )
        for seed in range(5)
    ]
    random = [
        max(run(RandomSearcher(SPACE, seed=seed), additive(seed), 120).scores) for seed in range(5)
    ]
    assert np.mean(ours) > np.mean(random) + 0.5


def test_the_defaults_are_those_of_the_docstring():
    searcher = PartitionTreeSearcher(SPACE)
    assert (
        searcher.num_initial,
        searcher.refit_every,
        searcher.depth,
        searcher.depth_thresholds,
        searcher.exploration,
        searcher.min_leaf,
        searcher.additive,
    ) == (80, 8, 2, (400, 800, 1600, 3200), 0.5, 10, True)


def published(count):
    return fitted(count, published=True, min_leaf=None)


@pytest.mark.parametrize('count, splits', [(80, 1), (400, 1), (408, 2), (800, 2), (1000, 3)])
def test_the_published_tree_has_the_published_splits(count, splits):
    """One more than the thresholds below the number of archs, as ``searchsorted`` counts them
    there: the counts of Pi-NAS' ``LearningPhase``."""
    searcher = published(count)
    assert splits == np.searchsorted([400, 800, 1600, 3200], count) + 1
    assert deepest(searcher.root) == splits and len(searcher.walk()) == splits


def test_the_published_walk_is_the_better_half_of_the_better_half():
    """Medians by hand; the features are the choices as numbers."""
    searcher = published(1000)
    node, scores = searcher.root, np.array(searcher.scores)
    scores = (scores - scores.mean()) / scores.std()
    for _ in range(60):
        assert [better for _, better in searcher.walk()] == [True] * 3, 'no exploration'
    for _ in range(3):
        np.testing.assert_array_equal(node.features.max(axis=0), np.full(16, 3))
        np.testing.assert_array_equal(node.better, scores >= np.median(scores))
        node, scores = node.children[1], scores[scores >= np.median(scores)]
        np.testing.assert_allclose(node.scores, scores)
    assert node.is_leaf and len(scores) == 125


def test_published_archs_are_accepted_by_the_published_classifiers_and_not_ordered():
    searcher = published(200)
    ((classifier, _),) = searcher.walk()
    asked = searcher.ask(24)
    assert (classifier.predict(np.array(asked, float)) >= 0.5).all()
    predicted = AdditiveModel(SPACE, searcher.archs, searcher.scores).predict(asked)
    assert not (np.diff(predicted) <= 1e-6).all()
    errors = classifier.best_score['valid_0']['binary_error']
    # A fifth of the archs judges the ten settings.
    assert errors < 0.5 and round(errors * 40, 6).is_integer()


def test_published_halves_with_equal_scores_are_at_the_median_and_never_empty():
    searcher = PartitionTreeSearcher(SPACE, published=True)
    archs = [(*divmod(i, 4), *[0] * 14) for i in range(16)]
    searcher.tell(archs, [1.0] * 4 + [2.0] * 8 + [3.0] * 4)
    searcher.fit(16)
    assert searcher.root.better.sum() == 12, 'all that equal the median'
    searcher = PartitionTreeSearcher(SPACE, published=True)
    searcher.tell(archs, [1.0] * 12 + [3.0] * 4)
    searcher.fit(16)
    assert searcher.root.better.sum() == 8, 'by rank: all are at the median or above'


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(num_initial=40), 'num_initial=40: expected num_initial=80, as published; leave one'),
        (dict(refit_every=4), 'refit_every=4: expected refit_every=8'),
        (dict(depth=2), 'depth=2: expected depth=1'),
        (dict(depth_thresholds=[400]), r'depth_thresholds=\(400,\): expected depth_thresholds='),
        (dict(exploration=0.5), 'exploration=0.5: expected exploration=0'),
        (dict(min_leaf=10), 'min_leaf=10: expected min_leaf=1'),
        (dict(additive=True), 'additive=True: expected additive=False'),
        (dict(budget=80), 'num_archs=80: its first 80 archs are random, expected more'),
    ],
)
def test_what_contradicts_published_is_refused(arguments, message):
    with pytest.raises(InputError, match='published=True with ' + message) as error:
        PartitionTreeSearcher(SPACE, published=True, **arguments)
    assert '\n' not in str(error.value)


def test_what_agrees_with_published_is_not():
    given = dict(num_initial=80, refit_every=8, depth=1, exploration=0, additive=False)
    searcher = PartitionTreeSearcher(
        SPACE, published=True, depth_thresholds=[400, 800, 1600, 3200], max_draws=1000, **given
    )
    assert searcher.num_initial == 80 and not searcher.additive


def test_without_exploration_the_walk_ends_at_the_best_scores():
    searcher = fitted(200, depth=3, exploration=0)
    way = searcher.walk()
    assert len(way) == 3 and all(better for _, better in way)
    leaf = searcher.root
    while not leaf.is_leaf:
        leaf = max(leaf.children, key=lambda child: child.scores.mean())
    scores = np.array(searcher.scores)
    expected = np.sort((scores - scores.mean()) / scores.std())[-25:]
    np.testing.assert_allclose(np.sort(leaf.scores), expected)


def test_every_split_is_at_the_median():
    root = fitted(101, depth=2).root
    for node in (root, *root.children):
        worse, better = (child.scores for child in node.children)
        assert worse.max() <= better.min() and len(better) - len(worse) in (0, 1)
        np.testing.assert_array_equal(np.sort([*worse, *better]), np.sort(node.scores))


def test_classifiers_tell_the_halves_apart():
    searcher = fitted(399, depth=1)
    ((classifier, _),) = searcher.walk()
    rng, score = np.random.default_rng(1), additive(0)
    archs = [SPACE.sample(rng) for _ in range(500)]
    better = np.array([score(arch) for arch in archs]) > np.median(searcher.scores)
    assert ((classifier.predict(SPACE.one_hot(archs)) > 0.5) == better).mean() > 0.75


def test_proposals_are_accepted_on_the_whole_way():
    searcher = fitted(200, num_initial=100)
    way = searcher.walk()
    asked = searcher.ask(16)
    assert len(asked) == 16 and len(way) == 2
    for classifier, better in way:
        assert better and (classifier.predict(SPACE.one_hot(asked)) >= 0.5).all()
    assert (
        np.mean([additive(0)(arch) for arch in asked])
        > np.mean(searcher.scores) + np.std(searcher.scores) / 2
    )


def test_accepted_archs_are_asked_in_the_additive_models_order():
    for follows in (False, True):
        searcher = fitted(200, num_initial=100, additive=follows)
        predicted = AdditiveModel(SPACE, searcher.archs, searcher.scores).predict(searcher.ask(16))
        assert (np.diff(predicted) <= 1e-6).all() == follows


@pytest.mark.parametrize('count, depth', [(40, 2), (41, 3), (60, 3), (61, 4), (200, 4)])
def test_the_tree_deepens_above_its_thresholds(count, depth):
    assert deepest(fitted(count, min_leaf=1, depth_thresholds=(40, 60)).root) == depth


def test_small_parts_and_equal_scores_are_not_split():
    # 80, 40, 20, 10 archs, and 76, 38, 19.
    assert [deepest(fitted(count, depth=9, min_leaf=10).root) for count in (80, 76)] == [3, 2]
    searcher = PartitionTreeSearcher(SPACE, num_initial=4, min_leaf=1)
    searcher.tell([(i,) * 16 for i in range(4)], [5.0] * 4)
    assert len(searcher.ask(3)) == 3 and searcher.root.is_leaf


def test_refits_come_every_so_many_archs():
    searcher, fits = PartitionTreeSearcher(SPACE, num_initial=16, refit_every=8, min_leaf=2), []
    for _ in range(10):
        run(searcher, additive(0), len(searcher.archs) + 4, size=4)
        fits.append(searcher.fitted)
    # After 4, 8, ... 40 archs told; a tree is fitted when asked, so it knows four fewer.
    assert fits == [0, 0, 0, 0, 16, 16, 24, 24, 32, 32]


def test_no_tree_before_the_initial_archs():
    searcher = run(PartitionTreeSearcher(SPACE, num_initial=24), additive(0), 24)
    assert searcher.root is None
    searcher.ask(1)
    assert searcher.root is not None and searcher.fitted == 24


def test_exploration_leaves_the_better_half_for_a_while():
    """UCB1 by hand on the first split: the other half is taken once its bonus outgrows the
    difference of the means."""
    searcher = PartitionTreeSearcher(
        get_space('nasbench_macro'), num_initial=40, depth=1, exploration=1.0
    )
    archs = searcher.ask(40)
    searcher.tell(archs, [float(sum(arch)) for arch in archs])
    searcher.fit(40)
    means = [child.scores.mean() for child in searcher.root.children]
    walks, expected = [0, 0], []
    for step in range(1, 60):
        values = [mean + (2 * np.log(step) / (1 + n)) ** 0.5 for mean, n in zip(means, walks)]
        expected.append(bool(values[1] >= values[0]))
        walks[expected[-1]] += 1
    assert [way[0][1] for way in (searcher.walk() for _ in range(59))] == expected
    assert not all(expected)
    searcher.exploration = 0
    assert all(searcher.walk()[0][1] for _ in range(20))
