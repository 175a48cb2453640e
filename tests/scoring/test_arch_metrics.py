import copy
import json
import tempfile
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmdet.structures import DetDataSample
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.structures import InstanceData
from mmpretrain.evaluation import Accuracy, SingleLabelMetric
from pycocotools.coco import COCO
from torch import nn

from pinas_mm.errors import InputError, warn_once
from pinas_mm.scoring.arch_metrics import ArchMetrics, empty_copy, held_bytes
from pinas_mm.scoring.evaluator import ArchEvaluator
from pinas_mm.scoring.race import Race

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


# Metrics that read the annotations of a whole data set, and archs that are scored on a part of it.
IMAGES = 12


def boxes(index):
    """Two objects, in images of 64 pixels; those of an image are like no other's."""
    left = 2 + 3 * (index % 7)
    return [[left, 4, 20 + index, 24], [30, 32, 16, 12 + index]]


@pytest.fixture(scope='module')
def ann_file(tmp_path_factory):
    path = tmp_path_factory.mktemp('coco') / 'annotations.json'
    annotations = [
        dict(image_id=image, category_id=label, bbox=box, area=box[2] * box[3], iscrowd=0)
        for image in range(IMAGES)
        for label, box in enumerate(boxes(image))
    ]
    content = dict(
        images=[
            dict(id=image, file_name=f'{image}.jpg', height=64, width=64) for image in range(IMAGES)
        ],
        annotations=[dict(annotation, id=i) for i, annotation in enumerate(annotations, 1)],
        categories=[dict(id=0, name='a'), dict(id=1, name='b')],
    )
    path.write_text(json.dumps(content))
    return str(path)


def perfect(index, labels=(0, 1)):
    """What a perfect detector finds in an image, or the objects of some classes alone."""
    corners = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in boxes(index)]).float()
    found = [label in labels for label in (0, 1)]
    sample = DetDataSample(metainfo=dict(img_id=index, ori_shape=(64, 64), img_shape=(64, 64)))
    sample.pred_instances = InstanceData(
        bboxes=corners, scores=torch.ones(2), labels=torch.arange(2)
    )[torch.tensor(found)]
    return sample


def coco(ann_file):
    metric = CocoMetric(ann_file=ann_file, metric='bbox')
    metric.dataset_meta = dict(classes=('a', 'b'))
    return metric


@pytest.mark.parametrize('read', [[3], [0, 5, 11], range(IMAGES)])
@pytest.mark.parametrize('race', [None, Race('coco/bbox_mAP', top_k=1)])
def test_a_perfect_detector_is_perfect_on_any_subset(model, loaders, ann_file, read, race):
    """The image of place i in the loader is image i of the annotations."""
    dataset = torch.utils.data.Subset(loaders[1].dataset, list(read))
    loader = torch.utils.data.DataLoader(dataset, 2, collate_fn=loaders[1].collate_fn)
    batches = [list(read)[start : start + 2] for start in range(0, len(read), 2)]
    served = iter([batch for batch in batches for _ in ARCHS])
    model.val_step = lambda batch: [perfect(index) for index in next(served)]
    evaluator = ArchEvaluator(
        model, loaders[0], loader, lambda: Evaluator([coco(ann_file)]), race=race
    )
    evaluator.metrics.dataset_meta = dict(classes=('a', 'b'))
    assert [result['coco/bbox_mAP'] for result in evaluator.evaluate(ARCHS)] == [1.0] * 3


def test_half_of_a_subset_is_half(ann_file):
    """Of three images every object of the first class: the mean over two classes is a half. By
    mmdet's own count of the whole file it would be 0.5 * 3 / 12 at most."""
    metrics = ArchMetrics(Evaluator([coco(ann_file)]))
    metrics.process([perfect(index, labels=(0,)) for index in (1, 4, 9)])
    assert metrics.compute()['coco/bbox_mAP'] == 0.5


class OfTheWholeFile(InTensor):
    """Has annotations, and no way to tell it which of them to count."""

    def __init__(self, index):
        super().__init__()
        self.index = index


def test_a_metric_that_counts_images_left_out_is_refused(model, loaders):
    index = annotations()
    index.dataset['images'] = [dict(id=image) for image in range(61)]
    index.createIndex()
    with pytest.raises(
        InputError, match='OfTheWholeFile counts the 61 images of its annotations, and 60 are read'
    ):
        ArchEvaluator(model, *loaders, lambda: Evaluator([OfTheWholeFile(index)]))
    del index.dataset['images'][0]
    index.createIndex()
    ArchEvaluator(model, *loaders, lambda: Evaluator([OfTheWholeFile(index)]))


class Giving(Accuracy):
    """Accuracy, and what it is told to give beside."""

    def __init__(self, beside, **kwargs):
        super().__init__(topk=(1,), **kwargs)
        self.beside = beside

    def compute_metrics(self, results):
        return None if self.beside is None else self.beside


@pytest.fixture
def said(monkeypatch):
    messages = []

    def print_log(message, **kwargs):
        if message.startswith('metric '):
            messages.append(message)

    monkeypatch.setattr('mmengine.logging.print_log', print_log)
    warn_once.cache_clear()
    return messages


def test_what_is_no_number_is_left_out_and_that_is_said_once(model, loaders, said):
    beside = dict(
        matrix=torch.eye(2),
        none=None,
        per_class=dict(a=1.0),
        text='1.5',
        list=[1.0, 2.0],
        tensor=torch.tensor(1.5),
        whole=torch.tensor([3]),
        half=torch.tensor(0.5, dtype=torch.bfloat16),
        array=np.array(2.5),
        numpy=np.float32(4.5),
        plain=5,
    )
    evaluator = ArchEvaluator(
        model, *loaders, lambda: Evaluator([Accuracy(), Giving(beside, prefix='x')])
    )
    for result in evaluator.evaluate(ARCHS):
        assert result.pop('accuracy/top1') >= 0
        assert result == {
            'x/tensor': 1.5,
            'x/whole': 3.0,
            'x/half': 0.5,
            'x/array': 2.5,
            'x/numpy': 4.5,
            'x/plain': 5.0,
        }
        assert all(type(value) is float for value in result.values())
    left_out = ('matrix', 'none', 'per_class', 'text', 'list')
    assert sorted(said) == sorted(
        f"metric 'x/{name}' is a {type(beside[name]).__name__} and not a number: it is left out "
        f'of the scores'
        for name in left_out
    )


def test_a_metric_that_gives_nothing_fails_no_arch(model, loaders):
    for beside in (None, {}):
        evaluator = ArchEvaluator(
            model, *loaders, lambda beside=beside: Evaluator([Giving(beside, prefix='x'), top1()])
        )
        assert all(result.keys() == {'accuracy/top1'} for result in evaluator.evaluate(ARCHS))


def test_metrics_of_one_prefix_are_kept_apart_and_raced(model, loaders):
    """The first metric of the prefix is not the one that gives the score."""
    evaluator = ArchEvaluator(
        model,
        *loaders,
        lambda: Evaluator([Giving(dict(other=7.0)), top1()]),
        race=Race('accuracy/top1', top_k=1),
    )
    alone = ArchEvaluator(model, *loaders, lambda: Evaluator([top1()])).evaluate(ARCHS)
    for result, expected in zip(evaluator.evaluate(ARCHS), alone):
        assert result == expected | {'accuracy/other': 7.0, 'samples': 60.0}
    twice = ArchEvaluator(model, *loaders, lambda: Evaluator([top1(), top1()]))
    with pytest.raises(InputError, match="two metrics give 'accuracy/top1', .*prefix='second'"):
        twice.evaluate(ARCHS)


def top1():
    return Accuracy(topk=(1,))


def reached(value):
    """Every object that can be reached from a value through its attributes and entries."""
    seen, left = {}, [value]
    while left:
        item = left.pop()
        if id(item) not in seen and not isinstance(item, type | int):
            seen[id(item)] = item
            left += vars(item).values() if hasattr(item, '__dict__') else ()
            left += item.values() if isinstance(item, dict) else ()
            left += item if isinstance(item, list | tuple | set) else ()
    return list(seen.values())


def held_after(metrics, batches, size=10, classes=50):
    """What the metrics of an arch hold after so many batches: objects, and elements of tensors and
    arrays."""
    metrics = ArchMetrics(empty_copy(Evaluator(metrics)))
    for number in range(batches):
        generator = torch.Generator().manual_seed(number)
        scores = torch.rand(size, classes, generator=generator).softmax(dim=1)
        metrics.process(
            [
                dict(pred_score=score, pred_age=score[0], gt_label=torch.tensor([index]))
                for index, score in enumerate(scores)
            ]
        )
        metrics.merge()
    found = reached(metrics)
    sizes = [item.numel() for item in found if isinstance(item, torch.Tensor)]
    sizes += [item.size for item in found if isinstance(item, np.ndarray)]
    return len(found), sum(sizes), metrics.held_bytes


SUMS = [
    'Accuracy',
    'pinas_mm.LabelLikelihood',
    'pinas_mm.InformationMaximisation',
    'pinas_mm.AgeMetric',
]


def test_what_metrics_of_sums_hold_does_not_grow_with_the_images():
    few, many = (held_after([dict(type=name) for name in SUMS], batches) for batches in (2, 40))
    assert few == many
    assert many[1] < 200, 'of 20,000 probabilities, the sums alone'
    assert many[2] == 0


def test_what_other_metrics_hold_is_counted():
    (_, few, bytes_of_few), (_, many, bytes_of_many) = (
        held_after([SingleLabelMetric()], batches) for batches in (2, 40)
    )
    # A label and 50 probabilities of four bytes of each sample, and the objects around them.
    assert few == 2 * 10 * 51 and many == 40 * 10 * 51
    assert 20 * 208 < bytes_of_few < 20 * 2500 and bytes_of_many == 20 * bytes_of_few


def test_the_bytes_of_results_of_any_kind():
    found = perfect(3)
    own = sum(map(held_bytes, (found.pred_instances,)))
    assert own > found.pred_instances.bboxes.numel() * 4 + 2 * 4 + 2 * 8
    assert held_bytes([found, found]) > 2 * own
    plain = [dict(boxes=np.zeros((100, 4)), labels=[1, 2], mask='x' * 1000)]
    assert 3200 + 1000 < held_bytes(plain) < 3200 + 1000 + 1500
    assert held_bytes(torch.zeros(1000, dtype=torch.float64)) == pytest.approx(8000, rel=0.1)
