import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import METRICS, init_default_scope
from mmpretrain.evaluation import Accuracy

from pinas_mm.evaluation import compute_metrics, merge_results

CLASSES = 7


def scores(samples, seed=0, dtype=torch.float32):
    """Class probabilities, some of them equal."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(samples, CLASSES, generator=generator) * 8).round().softmax(dim=1).to(dtype)


def classified(samples, **kwargs):
    labels = np.random.default_rng(0).integers(CLASSES, size=samples)
    return [
        dict(pred_score=score, gt_label=torch.tensor([label]), pred_age=10 * score[0])
        for score, label in zip(scores(samples, **kwargs), labels)
    ]


def segmented(samples):
    rng = np.random.default_rng(0)
    return [
        {
            key: dict(data=torch.tensor(rng.integers(CLASSES, size=(1, 9, 11))))
            for key in ('pred_sem_seg', 'gt_sem_seg')
        }
        for _ in range(samples)
    ]


def labels_alone(samples):
    return [
        dict(gt_label=sample['gt_label'], pred_label=sample['pred_score'].argmax(keepdim=True))
        for sample in classified(samples)
    ]


def of_task(samples):
    return [
        dict(age=sample | dict(eval_mask=index % 3 > 0), gender=sample | dict(eval_mask=index < 5))
        for index, sample in enumerate(classified(samples))
    ]


AGE = dict(type='pinas_mm.TaskMetric', task='age', metric=dict(type='pinas_mm.AgeMetric'))
GENDER = dict(type='pinas_mm.TaskMetric', task='gender', metric=dict(type='Accuracy'))
MERGED = [
    (dict(type='Accuracy'), classified(61)),
    (dict(type='Accuracy', topk=(1, 3, 5), thrs=(0.0, None, 0.35)), classified(61)),
    (dict(type='Accuracy', topk=(2,)), classified(61, dtype=torch.bfloat16)),
    (dict(type='Accuracy'), labels_alone(61)),
    (dict(type='pinas_mm.LabelLikelihood'), classified(61)),
    (dict(type='pinas_mm.InformationMaximisation'), classified(61)),
    (dict(type='pinas_mm.AgeMetric'), classified(61)),
    (AGE, of_task(61)),
    (GENDER, of_task(61)),
    (dict(type='mmseg.IoUMetric', iou_metrics=['mIoU', 'mDice', 'mFscore']), segmented(40)),
]


def build(config):
    import mmseg.evaluation  # noqa: F401

    init_default_scope('mmpretrain')
    metric = METRICS.build(config)
    metric.dataset_meta = dict(classes=[str(name) for name in range(CLASSES)])
    return metric


@pytest.mark.parametrize('config, samples', MERGED)
@pytest.mark.parametrize('batch', [1, 7, 61])
def test_the_metrics_of_merged_results_are_those_of_all_results_bit_by_bit(config, samples, batch):
    """The ordinary way: mmengine's evaluator on all samples."""
    metric, ordinary = build(config), Evaluator(build(config))
    ordinary.dataset_meta = metric.dataset_meta
    ordinary.process(samples)
    for start in range(0, len(samples), batch):
        metric.process(None, samples[start : start + batch])
        metric.results[:] = merge_results(metric, metric.results)
        assert len(metric.results) == bool(metric.results)
    found = compute_metrics(metric, metric.results)
    expected = ordinary.evaluate(len(samples))
    assert {f'{metric.prefix or ""}/{name}'.lstrip('/'): found[name] for name in found} == expected
    assert len(set(expected.values())) > 1 or len(expected) == 1
    # Merging again changes nothing.
    metric.results[:] = merge_results(metric, metric.results)
    assert compute_metrics(metric, metric.results) == found


class Other(Accuracy):
    """Computes something else of the same results."""

    def compute_metrics(self, results):
        return dict(other=float(len(results)))


def test_what_may_need_every_sample_is_left_alone():
    samples = classified(5)
    for metric in (
        Other(),
        build(dict(type='SingleLabelMetric')),
        build(dict(type='AveragePrecision')),
    ):
        metric.results += samples
        assert merge_results(metric, metric.results) is metric.results
        assert len(metric.results) == 5
    empty = []
    assert merge_results(Accuracy(), empty) is empty
