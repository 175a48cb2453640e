"""The configs that adapt to ages and genders, on small pictures in the layouts that they name. What
they have in common with the others of configs/adapt: test_adapt_configs.py."""

from pathlib import Path

import pytest
import torch
from age_pictures import write_published_lists, write_utkface
from mmengine.evaluator import Evaluator
from mmengine.registry import MODELS, init_default_scope

from pinas_mm.engine.config import load_config
from pinas_mm.engine.loaders import whole_set_loader

TOP = Path(__file__).parents[1] / 'configs/adapt'
CONFIGS = sorted(
    path.stem for path in TOP.glob('*.py') if path.stem.startswith(('age-', 'gender_'))
)
WIDTH = 0.25


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    roots = {name: tmp_path_factory.mktemp(name) for name in ('morph', 'utkface')}
    write_published_lists(roots['morph'], 40, 12)
    write_utkface(roots['utkface'], 52)
    return roots


def test_every_task_on_both_data_sets():
    tasks = ('age-coral', 'age-expected', 'age-gender', 'gender')
    assert CONFIGS == [
        f'{task}_resnest50_1xb64-30e_{name}' for task in tasks for name in ('morph', 'utkface')
    ]


@pytest.mark.slow
@pytest.mark.parametrize('name', CONFIGS)
def test_a_step_and_the_score_of_an_arch(name, data, monkeypatch):
    task, kind = name.split('_')[0], name.split('_')[-1]
    monkeypatch.setenv('PINAS_DATA', str(data[kind]))  # the one line
    config = load_config(TOP / f'{name}.py', {})
    init_default_scope(config.default_scope)

    sets, loaders = {}, {}
    for part, size in (('train', 20), ('val', 20 if kind == 'morph' else 8), ('test', 12)):
        loader = config[f'{part}_dataloader'].to_dict() | dict(
            batch_size=2, num_workers=0, persistent_workers=False
        )
        if 'held_out' in loader['dataset']:  # of the few pictures here
            loader['dataset']['held_out'] = 12 if part == 'test' else 20 if kind == 'morph' else 8
            if 'held_out' in loader['dataset']['dataset']:
                loader['dataset']['dataset']['held_out'] = 12
        loaders[part] = whole_set_loader(loader)
        dataset = loaders[part].dataset
        sets[part] = {dataset.get_data_info(i)['img_path'] for i in range(len(dataset))}
        assert len(sets[part]) == (
            32 if (part, kind) == ('train', 'utkface') else size
        ) and dataset.single == (task != 'age-gender')
        assert all(image.startswith(str(data[kind])) for image in sets[part])
    assert sum(map(len, sets.values())) == len(set.union(*sets.values())) == 52

    torch.manual_seed(0)
    config.model.backbone.update(widen_factor=WIDTH, arch=[0, 1, 2, 3] * 4)
    config.model.head.in_channels = int(2048 * WIDTH)
    config.model.data_preprocessor = config.data_preprocessor
    model = MODELS.build(config.model).train()
    model.init_weights()
    batch = next(iter(loaders['train']))
    assert all(image.shape == (3, 224, 224) for image in batch['inputs'])
    loss, _ = model.parse_losses(
        model(**model.data_preprocessor(batch, training=True), mode='loss')
    )
    loss.backward()
    heads = getattr(model.head, 'task_heads', dict(head=model.head)).values()
    assert all(parameter.grad is not None for head in heads for parameter in head.parameters())
    for head in heads:
        assert getattr(head, 'oldest', None) in (None, loaders['train'].dataset.ages[1])
        assert getattr(head, 'youngest', None) in (None, loaders['train'].dataset.ages[0])

    evaluator = Evaluator(config.val_evaluator)
    batch = next(iter(loaders['val']))
    with torch.no_grad():
        evaluator.process(model.eval().val_step(batch))
    metrics = evaluator.evaluate(2)
    assert config.search_loop.score in metrics
    assert {key.split('/')[0] for key in metrics} == {
        'age-gender': {'age', 'gender'},
        'gender': {'gender'},
    }.get(task, {'age'})
