from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from mmengine.dataset import ConcatDataset
from mmengine.registry import DATASETS
from torch import nn

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
