from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.registry import DATASETS
from mmpretrain.models.heads import LinearClsHead
from torch import nn
from torch.utils.data import IterableDataset

from pinas_mm.datasets import Digits
from pinas_mm.engine.hooks import LabelRangeHook
from pinas_mm.errors import InputError
from pinas_mm.tasks.age import ExpectedAgeHead

HOOKS = [dict(type='pinas_mm.ArchSamplingHook'), dict(type='pinas_mm.LabelRangeHook')]


@pytest.mark.parametrize('num_classes', [7, 12])
def test_a_head_of_another_number_of_classes_is_named(tiny, num_classes):
    model = tiny.classifier()
    model['head']['num_classes'] = num_classes
    with pytest.raises(
        InputError,
        match=rf'num_classes={num_classes} of LinearClsHead: Digits has 10 classes \(0, 1, 2, 3, '
        rf'4, ...\)',
    ):
        tiny.training(model=model, custom_hooks=HOOKS).train()


def test_a_strategys_model_is_looked_into(tiny):
    model = tiny.classifier()
    model['head']['num_classes'] = 12
    with pytest.raises(InputError, match='num_classes=12 of LinearClsHead: Digits has 10 classes'):
        tiny.training(
            model=dict(type='pinas_mm.FairStrategy', model=model), custom_hooks=HOOKS[1:]
        ).train()


class Labelled(Digits):
    """Digits that do not say their classes, with other labels."""

    METAINFO = {}
    labels = {}

    def load_data_list(self):
        infos = super().load_data_list()
        for index, label in self.labels.items():
            infos[index]['gt_label'] = label
        return infos


@pytest.mark.parametrize(
    'labels, wrong',
    [
        ({5: 10}, 10),
        ({5: -1}, -1),
        ({5: [3, 10]}, 10),
        ({5: [3, 9]}, None),
        ({5: np.array([3, 10])}, 10),
        ({5: torch.tensor(10)}, 10),
        ({5: 'cat'}, "'cat'"),
        ({5: [3, None]}, 'None'),
        ({5: dict(age=70)}, None),
    ],
)
def test_a_label_without_an_output_is_named(labels, wrong):
    dataset = Labelled('learning', lazy_init=True)
    dataset.labels = labels
    dataset.full_init()
    model = nn.ModuleDict(dict(head=LinearClsHead(num_classes=10, in_channels=4)))
    repeated = RepeatDataset(dataset, 2)
    runner = SimpleNamespace(model=model, train_dataloader=SimpleNamespace(dataset=repeated))
    message = f'label {wrong} of sample 5: LinearClsHead has num_classes=10, so labels of 0 to 9 '
    with nullcontext() if wrong is None else pytest.raises(InputError, match=message):
        LabelRangeHook().before_train(runner)


def test_a_stream_is_not_read_before_training():
    model = nn.ModuleDict(dict(head=LinearClsHead(num_classes=10, in_channels=4)))
    loader = SimpleNamespace(dataset=type('Stream', (IterableDataset,), dict(__iter__=None))())
    LabelRangeHook().before_train(SimpleNamespace(model=model, train_dataloader=loader))


@pytest.mark.slow
def test_a_head_that_fits_and_a_model_without_one_train(tiny):
    tiny.training(custom_hooks=HOOKS).train()
    runner = tiny.training(loader=tiny.four_views(), model=tiny.pinas(), custom_hooks=HOOKS[1:])
    runner.train()
    assert runner.iter == 4


def test_every_age_of_the_data_needs_an_output_of_the_head(tiny, tmp_path):
    (tmp_path / 'list.txt').write_text('a.png 30\n')
    ages = dict(
        type='pinas_mm.AgeGenderList',
        tasks='age',
        ann_file='list.txt',
        data_root=str(tmp_path),
        pipeline=[],
    )
    dataset = ConcatDataset(
        [DATASETS.build(dict(ages, ages=found)) for found in ((20, 40), (10, 30))]
    )
    for head, fits in (((10, 40), True), ((0, 100), True), ((15, 40), False), ((10, 35), False)):
        model = nn.ModuleDict(dict(head=ExpectedAgeHead(in_channels=4, ages=head)))
        runner = SimpleNamespace(model=model, train_dataloader=SimpleNamespace(dataset=dataset))
        message = rf'ages=\({head[0]}, {head[1]}\) of ExpectedAgeHead: AgeGenderList has ages'
        with nullcontext() if fits else pytest.raises(InputError, match=message):
            LabelRangeHook().before_train(runner)
