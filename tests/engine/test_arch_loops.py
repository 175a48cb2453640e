import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.evaluation import Accuracy

from pinas_mm.engine.loaders import calibration_loader, whole_set_loader
from pinas_mm.errors import InputError
from pinas_mm.scoring.evaluator import ArchEvaluator
from pinas_mm.spaces.subnet_file import SubnetFile

ARCHS = [(0, 1, 2, 0, 1, 2, 0, 1), (2, 2, 0, 1, 2, 0, 1, 2)]
SEED = 5


def validation(tiny, phase='val', loop='pinas_mm.ArchValLoop', **kwargs):
    """The three configs of a phase that scores archs."""
    cfg = (
        dict(
            type=loop,
            calibration_dataloader=tiny.digits(shuffle=True),
            calibration_batches=2,
            seed=SEED,
        )
        | kwargs
    )
    return {
        f'{phase}_cfg': cfg,
        f'{phase}_dataloader': tiny.digits('held_out', shuffle=True, batch_size=25),
        f'{phase}_evaluator': [dict(type='Accuracy', topk=(1, 3))],
    }


def scores(tiny, model, archs):
    """What :class:`ArchEvaluator` alone says, without a loop."""
    evaluator = ArchEvaluator(
        model,
        calibration_loader(tiny.digits(), 2, SEED),
        whole_set_loader(tiny.digits('held_out', batch_size=25)),
        lambda: Evaluator([Accuracy(topk=(1, 3))]),
    )
    return list(evaluator.evaluate(archs))


def logged(tiny):
    """The archs in the log, in order."""
    (log,) = tiny.folder.glob('*/*.log')
    return [
        line.split(' arch ')[1].split()[0]
        for line in log.read_text().splitlines()
        if '- arch ' in line or 'INFO - arch ' in line
    ]


@pytest.mark.parametrize(
    'phase, loop', [('val', 'pinas_mm.ArchValLoop'), ('test', 'pinas_mm.ArchTestLoop')]
)
def test_the_mean_over_given_archs_reaches_the_hooks(tiny, phase, loop):
    archs = [list(ARCHS[0]), ''.join(map(str, ARCHS[1])), ','.join(map(str, ARCHS[0]))]
    runner = tiny.runner(**validation(tiny, phase, loop, archs=archs))
    tiny.randomise(runner.model)
    before, seen = copy.deepcopy(runner.model.state_dict()), []
    runner.register_hook(
        tiny.Record(**{f'after_{phase}_epoch': lambda runner, metrics: seen.append(metrics)})
    )
    result = runner.val() if phase == 'val' else runner.test()

    expected = scores(tiny, runner.model, ARCHS)
    assert expected[0] != expected[1]
    assert result == seen[0] and len(seen) == 1
    assert result == pytest.approx(
        {
            name: (2 * expected[0][name] + expected[1][name]) / 3
            for name in ('accuracy/top1', 'accuracy/top3')
        }
    )
    assert logged(tiny) == ['01201201', '22012012', '01201201']
    assert all(
        torch.equal(value, before[name]) for name, value in runner.model.state_dict().items()
    )


@pytest.mark.parametrize('kind', [str, Path])
def test_an_arch_may_be_named_by_its_subnet_file(tiny, kind):
    path = tiny.folder / 'subnet.yaml'
    SubnetFile('nasbench_macro', ARCHS[0]).write(path)
    runner = tiny.runner(**validation(tiny, archs=['22222222']))
    loop = runner.build_val_loop(dict(runner.cfg.val_cfg, archs=[kind(path), ARCHS[1]]))
    assert loop.archs == ARCHS
    SubnetFile('resnest50', (0,) * 16).write(path)
    with pytest.raises(InputError, match="'resnest50', expected one of 'nasbench_macro'"):
        runner.build_val_loop(dict(runner.cfg.val_cfg, archs=[kind(path)]))


def test_archs_are_drawn_by_seed(tiny):
    runner = tiny.runner(**validation(tiny, num_archs=2))
    tiny.randomise(runner.model)
    result = runner.val()
    rng = np.random.default_rng(SEED)
    drawn = [tuple(rng.integers(0, 3, 8).tolist()) for _ in range(2)]
    assert runner.val_loop.archs == drawn and logged(tiny) == [
        ''.join(map(str, arch)) for arch in drawn
    ]
    expected = scores(tiny, runner.model, drawn)
    assert result['accuracy/top1'] == pytest.approx(
        np.mean([metrics['accuracy/top1'] for metrics in expected])
    )


@pytest.mark.slow
def test_it_validates_a_training_run_and_saves_the_best(tiny):
    hooks = dict(
        checkpoint=dict(
            type='CheckpointHook', interval=-1, save_best='accuracy/top1', save_last=False
        )
    )
    runner = tiny.training(
        epochs=3,
        default_hooks=hooks,
        custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')],
        **validation(tiny, archs=['22222222']),
    )
    seen, states = [], []
    runner.register_hook(
        tiny.Record(
            after_val_epoch=lambda runner, metrics: (
                seen.append(metrics['accuracy/top1']),
                states.append(copy.deepcopy(runner.model.state_dict())),
            )
        )
    )
    runner.train()
    assert len(seen) == 3
    (best,) = tiny.folder.glob('best_accuracy_top1_epoch_*.pth')
    assert best.stem.endswith(f'_{np.argmax(seen) + 1}')
    saved = torch.load(best, weights_only=False)['state_dict']
    assert all(torch.equal(value, saved[name]) for name, value in states[np.argmax(seen)].items())


def test_how_archs_are_evaluated_comes_from_the_config(tiny):
    data = validation(tiny, archs=ARCHS)
    for key in ('calibration_dataloader', 'calibration_batches'):
        data['val_cfg'].pop(key)
    settings = dict(calibration_dataloader=tiny.digits(shuffle=True), calibration_batches=2)
    runner = tiny.runner(arch_evaluation=settings, **data)
    tiny.randomise(runner.model)
    expected = scores(tiny, runner.model, ARCHS)
    assert runner.val()['accuracy/top1'] == pytest.approx(
        np.mean([metrics['accuracy/top1'] for metrics in expected])
    )
    with pytest.raises(InputError, match='arch_evaluation has no calibration_dataloader'):
        tiny.runner(**data).val()


@pytest.mark.parametrize(
    'archs, expected',
    [
        (22222220, [(2,) * 7 + (0,)]),
        ([22222220, 1222222], [(2,) * 7 + (0,), (0, 1) + (2,) * 6]),
        ([2] * 8, [(2,) * 8]),
        ([[2] * 8, '00000000'], [(2,) * 8, (0,) * 8]),
    ],
)
def test_archs_as_the_command_line_has_them(tiny, archs, expected):
    """--cfg-options make numbers and lists of them."""
    runner = tiny.runner(**validation(tiny, archs=archs))
    assert runner.build_val_loop(runner.cfg.val_cfg).archs == expected


@pytest.mark.parametrize(
    'arch, message',
    [
        ('2222222', 'has 7 entries, but space .nasbench_macro. has 8 slots'),
        ('22222223', 'slot 7 holds 3'),
        ('two', "'two' is not an arch"),
        ([2] * 9, 'has 9 entries'),
    ],
)
def test_a_wrong_arch_is_named_before_anything_runs(tiny, arch, message):
    with pytest.raises(InputError, match=message):
        tiny.runner(**validation(tiny, archs=[arch])).val()
    with pytest.raises(InputError, match='built with arch=22222222'):
        tiny.runner(model=tiny.classifier(arch='22222222'), **validation(tiny)).val()


CELL = (
    '|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|'
    '+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|'
)
SHUFFLED = '0,0,3,0,3,2,0,0,3,3,2,3,3,3,2,0,0,3,3,0'


@pytest.mark.slow
@pytest.mark.parametrize(
    'backbone, head, archs, texts',
    [
        # One of the archs gives the same for every image.
        (
            dict(type='pinas_mm.SearchableNASBench201'),
            dict(in_channels=8),
            [CELL, '314023', [0] * 6],
            ['334123', '314023', '000000'],
        ),
        (
            dict(type='pinas_mm.SearchableShuffleNetV2', stem_stride=1),
            dict(type='pinas_mm.DropoutLinearClsHead', in_channels=128),
            [SHUFFLED, '0123' * 5, [2] * 20],
            ['00303200332333200330', '0123' * 5, '2' * 20],
        ),
    ],
)
def test_supernets_of_other_spaces_are_trained_and_scored(tiny, backbone, head, archs, texts):
    model = tiny.classifier(**backbone, widen_factor=0.125)
    model['head'] |= head
    runner = tiny.training(
        model=model,
        loader=tiny.digits(indices=32),
        custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')],
        **validation(tiny, archs=archs),
    )
    before = copy.deepcopy(runner.model.state_dict())
    runner.train()
    moved = {
        name
        for name, value in runner.model.named_parameters()
        if not torch.equal(value, before[name])
    }
    assert any(name.startswith('backbone.layers.') for name in moved) and len(moved) < len(before)
    found = scores(
        tiny,
        runner.model,
        [runner.model.backbone.space.decode(''.join(map(str, arch))) for arch in archs],
    )
    assert len(found) == 3 and all(np.isfinite(metrics['accuracy/top1']) for metrics in found)
    assert logged(tiny) == texts


def plain_validation(tiny):
    """mmengine's own loop."""
    return dict(
        val_cfg=dict(type='ValLoop'),
        val_dataloader=tiny.digits('held_out', batch_size=25),
        val_evaluator=[dict(type='Accuracy')],
    )


def warnings_in_log(tiny):
    (log,) = tiny.folder.glob('*/*.log')
    return [line for line in log.read_text().splitlines() if 'no single arch' in line]


@pytest.mark.slow
@pytest.mark.parametrize(
    'loop, norm, expected',
    [('ValLoop', 'BN', 1), ('ValLoop', 'GN', 0), ('pinas_mm.ArchValLoop', 'BN', 0)],
)
def test_a_plain_loop_on_a_supernet_is_warned_of_once(tiny, loop, norm, expected):
    """In training, over two validations."""
    norm_cfg = dict(type=norm, requires_grad=True) | (dict(num_groups=2) if norm == 'GN' else {})
    cfg = plain_validation(tiny) if loop == 'ValLoop' else validation(tiny, num_archs=1)
    runner = tiny.training(
        epochs=2,
        model=tiny.classifier(norm_cfg=norm_cfg),
        custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')],
        **cfg,
    )
    runner.train()
    found = warnings_in_log(tiny)
    assert len(found) == expected
    for line in found:
        assert 'WARNING' in line and 'SearchableMacroNet' in line
        assert 'pinas_mm.ArchValLoop' in line and 'pinas_mm.ArchTestLoop' in line


def test_a_plain_loop_on_a_subnet_is_not_warned_of(tiny):
    runner = tiny.runner(model=tiny.classifier(arch=ARCHS[0]), **plain_validation(tiny))
    runner.val()
    assert not warnings_in_log(tiny)
