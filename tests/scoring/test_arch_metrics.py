import copy
import tempfile
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from pycocotools.coco import COCO
from torch import nn

from pinas_mm.scoring.evaluator import ArchEvaluator

ARCHS = [(0, 1, 2, 0, 1, 2, 0, 0), (0, 1, 0, 1, 0, 1, 2, 0), (1, 0, 0, 0, 0, 0, 2, 1)]


def logits(data_samples):
    return torch.stack([sample['pred_score'] for sample in data_samples])


class Accumulating(BaseMetric):
    """Keeps what it has seen outside of ``results``: a digest of every prediction, bit by bit."""

    default_prefix = 'digest'

    def process(self, data_batch, data_samples):
        self.add(logits(data_samples).double())

    def compute_metrics(self, results):
        return dict(sum=self.total())


class InTensor(Accumulating):
    def __init__(self):
        super().__init__()
        self.seen = torch.zeros(10, dtype=torch.float64)

    def add(self, scores):
        self.seen += scores.sum(dim=0)

    def total(self):
        return float(self.seen @ torch.arange(10.0, dtype=torch.float64))


class InArray(Accumulating):
    def __init__(self):
        super().__init__()
        self.seen = np.zeros(10)

    def add(self, scores):
        self.seen += scores.sum(dim=0).numpy()

    def total(self):
        return float(self.seen @ np.arange(10))


class Tally:
    """An accumulator of one's own, with a counter inside."""

    def __init__(self):
        self.classes = Counter()


class InCounter(Accumulating):
    def __init__(self):
        super().__init__()
        self.tally = Tally()

    def add(self, scores):
        self.tally.classes.update(scores.argmax(dim=1).tolist())

    def total(self):
        return sum((1 + name) ** 3 * count for name, count in self.tally.classes.items())


class InNestedLists(Accumulating):
    def __init__(self):
        super().__init__()
        self.by_class = {name: [] for name in range(10)}

    def add(self, scores):
        for score in scores:
            self.by_class[int(score.argmax())].append(float(score.max()))

    def total(self):
        return sum((1 + name) * sum(values) for name, values in self.by_class.items())


class MeanModule(nn.Module):
    """What torchmetrics calls a metric: a module with its state in buffers."""

    def __init__(self):
        super().__init__()
        self.register_buffer('value', torch.zeros((), dtype=torch.float64))
        self.register_buffer('count', torch.zeros((), dtype=torch.long))

    def update(self, scores):
        self.value += scores.max(dim=1).values.sum()
        self.count += len(scores)

    def compute(self):
        return self.value / self.count

    def reset(self):
        self.value.zero_()
        self.count.zero_()


class InModule(Accumulating):
    def __init__(self):
        super().__init__()
        self.mean = MeanModule()

    def add(self, scores):
        self.mean.update(scores)

    def total(self):
        return float(self.mean.compute())


class Nested(Accumulating):
    def __init__(self):
        super().__init__()
        self.metric = InTensor()

    def add(self, scores):
        self.metric.add(scores)

    def total(self):
        return self.metric.total()


class InFile(Accumulating):
    """As mmdet's CityScapesMetric, which writes what it sees to a temporary folder of its own."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()

    def add(self, scores):
        with (Path(self.folder.name) / 'scores.txt').open('a') as file:
            file.writelines(f'{score!r}\n' for score in scores.max(dim=1).values.tolist())

    def total(self):
        return sum(map(float, (Path(self.folder.name) / 'scores.txt').read_text().split()))


class BehindALock(Accumulating):
    """A lock cannot be copied."""

    def __init__(self):
        super().__init__()
        self.lock, self.seen = threading.Lock(), torch.zeros((), dtype=torch.float64)

    def add(self, scores):
        with self.lock:
            self.seen += scores.max(dim=1).values.sum()

    def total(self):
        return float(self.seen)


@pytest.mark.slow
@pytest.mark.parametrize(
    'metric', [InTensor, InArray, InCounter, InNestedLists, InModule, Nested, InFile, BehindALock]
)
def test_metrics_with_state_of_any_kind_score_archs_together_as_each_alone(model, loaders, metric):
    def score(archs):
        return ArchEvaluator(model, *loaders, lambda: Evaluator([metric()])).evaluate(archs)

    together = score(ARCHS)
    assert together == [score([arch])[0] for arch in ARCHS]
    assert len({result['digest/sum'] for result in together}) == len(ARCHS)


def test_one_evaluator_scores_archs_again_from_the_start(model, loaders):
    evaluator = ArchEvaluator(model, *loaders, lambda: Evaluator([InTensor()]))
    assert evaluator.evaluate(ARCHS) == evaluator.evaluate(ARCHS)


def annotations():
    """The index of a dataset in the layout of COCO, as mmdet's CocoMetric reads it from a file."""
    index = COCO()
    index.dataset = dict(
        images=[dict(id=0)], annotations=[dict(id=0, image_id=0, category_id=0)], categories=[]
    )
    index.createIndex()
    return index


class WithAnnotations(InTensor):
    def __init__(self, index, model, log):
        super().__init__()
        self._coco_api, self.model, self.sink = index, model, log.append

    def add(self, scores):
        super().add(scores)
        self.sink((self._coco_api, self.model, self.dataset_meta, self.seen))


class Wrapping(Nested):
    def __init__(self, metric):
        super().__init__()
        self.metric = metric

    def add(self, scores):
        self.metric.dataset_meta = self.dataset_meta
        super().add(scores)


@pytest.mark.parametrize('wrapped', [False, True])
def test_annotations_and_the_model_are_shared_and_not_copied(model, loaders, wrapped):
    log, index = [], annotations()
    before = copy.deepcopy(index.dataset)

    def build():
        metric = WithAnnotations(index, model, log)
        return Evaluator([Wrapping(metric) if wrapped else metric])

    evaluator = ArchEvaluator(model, *loaders, build)
    assert len({result['digest/sum'] for result in evaluator.evaluate(ARCHS)}) == 3
    assert len(log) == 3 * len(loaders[1])
    assert all(found is index for found, *_ in log) and index.dataset == before
    assert all(found is model for _, found, *_ in log)
    assert all(found is evaluator.metrics.dataset_meta for *_, found, _ in log)
    assert len({id(seen) for *_, seen in log}) == 3
