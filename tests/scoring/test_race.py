import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmpretrain.evaluation import Accuracy, SingleLabelMetric

from pinas_mm.errors import InputError
from pinas_mm.scoring.arch_metrics import ArchMetrics
from pinas_mm.scoring.race import MIN_SAMPLES, Race
from pinas_mm.scoring.race import per_sample as of_samples

BATCH, BATCHES = 100, 8


def per_sample(metric, score, results):
    return of_samples(metric, score, results, [None] * len(results))


def predictions(right):
    """Samples of which those are right that are marked."""
    return [
        dict(pred_score=torch.tensor([0.2, 0.8]), gt_label=torch.tensor([int(value)]))
        for value in right
    ]


def evaluators(right):
    """One per arch, that has processed samples of which it has those right that are marked,
    ``(archs, samples)``."""
    out = {(index,): ArchMetrics(Evaluator([Accuracy(topk=(1,))])) for index in range(len(right))}
    for row, metrics in zip(right, out.values()):
        metrics.process(predictions(row))
    return out


def race(right, **kwargs):
    """Drops archs batch by batch; returns the archs dropped after each batch, and what is
    reported."""
    running = evaluators(right[:, :0])
    standing, dropped = Race('accuracy/top1', **kwargs).start(running, BATCHES), []
    for batch in range(BATCHES):
        for arch, metrics in running.items():
            metrics.process(predictions(right[arch[0], batch * BATCH : (batch + 1) * BATCH]))
            standing.add(arch, metrics)
            metrics.merge()
        dropped.append(standing.losers(list(running)))
        for arch in dropped[-1]:
            del running[arch]
    return dropped, standing


def test_clear_losers_are_dropped_and_close_ones_stay():
    rng = np.random.default_rng(0)
    accuracy = np.array([0.9, 0.89, 0.88, 0.86, 0.3, 0.2])
    dropped, standing = race(rng.random((6, BATCH * BATCHES)) < accuracy[:, None], top_k=2)
    assert dropped[0] == [(4,), (5,)], 'far behind: after the first batch'
    assert not {(0,), (1,), (2,)} & {arch for archs in dropped for arch in archs}
    assert standing.report((5,)) == dict(samples=100.0) and standing.report((0,)) == dict(
        samples=800.0
    )


def test_it_takes_top_k_better_ones_to_drop_an_arch():
    rng = np.random.default_rng(0)
    right = rng.random((4, BATCH * BATCHES)) < np.array([0.95, 0.9, 0.2, 0.2])[:, None]
    assert race(right, top_k=3)[0] == [[]] * BATCHES, 'only two are better than the last two'
    assert race(right, top_k=2)[0][0] == [(2,), (3,)]


def test_differences_are_paired():
    """Accuracies 3 points apart: told apart in 800 samples where the archs agree on all others, and
    not where they are independent."""
    rng = np.random.default_rng(0)
    base = rng.random(BATCH * BATCHES) < 0.7
    worse = base & (rng.random(BATCH * BATCHES) > 0.06)
    assert any(race(np.stack([base, worse]), top_k=1)[0])
    independent = rng.random(BATCH * BATCHES) < worse.mean()
    assert not any(race(np.stack([base, independent]), top_k=1)[0])


@pytest.mark.slow
def test_the_true_top_is_kept_as_often_as_promised():
    """Of 40 races between archs close to each other, at confidence 0.5 at least half keep the best;
    the union bound keeps nearly all."""
    rng, lost = np.random.default_rng(0), 0
    for _ in range(40):
        accuracy = np.sort(rng.uniform(0.5, 0.6, 8))[::-1]
        right = rng.random((8, BATCH * BATCHES)) < accuracy[:, None]
        lost += any((0,) in archs for archs in race(right, top_k=1, confidence=0.5)[0])
    assert lost <= 4


def test_values_per_sample():
    right = np.random.default_rng(0).random((1, 50)) < 0.5
    (evaluator,) = evaluators(right).values()
    metric = evaluator.evaluator.metrics[0]
    assert (
        per_sample(metric, 'accuracy/top1', metric.results).tolist() == (100.0 * right[0]).tolist()
    )
    half = [result | dict(pred_score=result['pred_score'].bfloat16()) for result in metric.results]
    assert per_sample(metric, 'accuracy/top1', half).tolist() == (100.0 * right[0]).tolist()
    tied = [
        dict(pred_score=torch.full((10,), 0.1), gt_label=torch.tensor([i % 10])) for i in range(40)
    ]
    for one in (Accuracy(topk=(1,)), Accuracy(topk=(1, 5))):
        assert per_sample(one, 'accuracy/top1', tied).mean() == pytest.approx(
            one.compute_metrics(tied)['top1']
        )
    top2 = Accuracy(topk=(1, 2))
    assert per_sample(top2, 'accuracy/top2', metric.results).tolist() == [100.0] * 50, (
        'any metric, one sample at a time'
    )


def test_a_metric_that_is_no_mean_over_samples_is_refused():
    metric = SingleLabelMetric(items=('f1-score',), num_classes=2)
    for label in (0, 1, 1, 1, 0):
        metric.process(
            None, [dict(pred_score=torch.tensor([0.2, 0.8]), gt_label=torch.tensor([label]))]
        )
    with pytest.raises(
        InputError,
        match='race: single-label/f1-score is .* only metrics that are means over samples can be '
        'raced',
    ):
        per_sample(metric, 'single-label/f1-score', metric.results)
    with pytest.raises(
        InputError, match=r"no metric gives 'coco/bbox', there are \['accuracy/top1'\]"
    ):
        (right,) = evaluators(np.ones((1, 3))).values()
        Race('coco/bbox').start([(0,)], 1).add((0,), right)


class Detecting(Accuracy):
    """Computes nothing where the first sample is wrong, as mmdet's metrics without a detection."""

    def compute_metrics(self, results):
        right = results[0]['pred_score'].argmax() == results[0]['gt_label']
        return super().compute_metrics(results) if right else {}


def test_an_arch_whose_metric_computes_nothing_has_failed_and_the_race_goes_on():
    """Also in the first batch, which ended the search: no metric gave the score."""
    archs = {(index,): ArchMetrics(Evaluator([Detecting()])) for index in range(3)}
    standing = Race('accuracy/top1', top_k=1).start(archs, 1)
    right = np.ones((3, MIN_SAMPLES))
    right[0, 0] = 0  # the first arch has no score at all
    right[2, 0] = 0
    for arch, metrics in archs.items():
        metrics.process(predictions(right[arch[0]]))
        if arch == (0,):
            with pytest.raises(
                ValueError, match='^no accuracy/top1: Detecting computed nothing$'
            ) as caught:
                standing.add(arch, metrics)
            assert not isinstance(caught.value, InputError)
    running = [(1,), (2,)]
    # From here on it is known which metric gives the score.
    standing.add((1,), archs[1,])
    with pytest.raises(ValueError, match='of a sample is not finite') as caught:
        standing.add((2,), archs[2,])
    assert not isinstance(caught.value, InputError)
    assert standing.losers(running[:1]) == [] and standing.report((1,)) == dict(samples=100.0)


def of_task(right, labelled):
    return [
        dict(gender=dict(sample, eval_mask=known))
        for sample, known in zip(predictions(right), labelled)
    ]


def test_a_batch_without_a_label_of_the_task_counts_nothing():
    """It ended the search as a metric that cannot be computed."""
    rng = np.random.default_rng(0)
    right = rng.random((2, 3, 2 * MIN_SAMPLES)) < np.array([0.9, 0.1])[:, None, None]
    metric = dict(type='pinas_mm.TaskMetric', task='gender', metric=dict(type='Accuracy'))
    init_default_scope('mmpretrain')
    archs = {(index,): ArchMetrics(Evaluator([metric])) for index in range(2)}
    standing, dropped = Race('gender/top1', top_k=1).start(archs, 3), []
    for batch, labelled in enumerate((np.zeros(200), np.arange(200) % 2, np.ones(200))):
        for (index,), metrics in archs.items():
            metrics.process(of_task(right[index, batch], labelled))
            standing.add((index,), metrics)
            metrics.merge()
        dropped.append(standing.losers(list(archs)))
        if batch == 1:
            assert standing.report((0,)) == dict(samples=100.0)
    assert dropped == [[], [(1,)], [(1,)]] and standing.report((0,)) == dict(samples=300.0)
    expected = 100 * np.concatenate([right[0, 1, 1::2], right[0, 2]]).mean()
    assert archs[0,].compute() == {'gender/top1': pytest.approx(expected)}


@pytest.mark.parametrize('offset', [0.0, 1e9])
def test_sums_give_the_paired_test_of_all_values(offset):
    """Against the covariance of all values at once."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 300)) + np.array([0, 0.2, 0.5, -0.3])[:, None] + offset
    archs = [(index,) for index in range(4)]
    standing = Race('x', top_k=1, confidence=0.5).start(archs, 1)
    for start in (0, 50, 120):
        end = {0: 50, 50: 120, 120: 300}[start]
        for index, arch in enumerate(archs):
            standing.batch[arch] = values[index, start:end]
            standing.samples[arch] += end - start
        found = standing.losers(archs)
    covariance = np.cov(values)
    variance = covariance.diagonal()[:, None] + covariance.diagonal() - 2 * covariance
    ahead = values.mean(axis=1)[None] - values.mean(axis=1)[:, None]
    better = ahead > standing.critical * np.sqrt(np.maximum(variance, 0) / 300)
    assert found == [arch for arch, others in zip(archs, better.sum(axis=1)) if others]
    assert 0 < len(found) < 4
