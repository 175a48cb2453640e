"""Files that are almost a hand-over, against what the second stage makes of them."""

import math
import re

import pytest
import torch
from tiny_dsnas import ITERATIONS, dsnas, hand_over, model

from pinas_mm.engine.hand_over import HandOver
from pinas_mm.errors import InputError
from pinas_mm.pipelines.dsnas import second_stage_config

ARCH = (2, 2, 1, 0, 1, 2, 0, 1)
EPOCHS = 4
WEIGHT = 'head.fc.weight'
NAN = math.nan


def second_stage(tiny, path, **kwargs):
    return tiny.training(
        epochs=EPOCHS,
        loader=tiny.digits(batch_size=4, indices=4 * ITERATIONS),
        custom_hooks=[dict(type='pinas_mm.HandOverHook', checkpoint=str(path))],
        model=model(arch=ARCH),
        **kwargs,
    )


def meta(**changes):
    return lambda file: file['meta'].update(changes)


def without(key):
    return lambda file: file['meta'].pop(key)


def weight(change):
    def edit(file):
        file['state_dict'][WEIGHT] = change(file['state_dict'][WEIGHT])

    return edit


def momentum(change, name=WEIGHT):
    """An optimiser state with one wrong entry."""

    def edit(file):
        first = dict(momentum_buffer=torch.zeros_like(file['state_dict']['head.fc.bias']))
        wrong = change(torch.zeros_like(file['state_dict'][WEIGHT]))
        file['meta']['optimizer'] = {'head.fc.bias': first, name: wrong}

    return edit


def filled(value):
    def change(tensor):
        tensor = tensor.clone()
        tensor[0, 0] = value
        return tensor

    return change


ROW = [[1 / 3] * 3]
WHOLE = 'expected a whole number of at least 0, such as 0'
WRONG = {
    # file: what is done to a good one, and the key, value and expectation in the message.
    'iterations of a hang': (
        meta(iter=10**12),
        'iter=1000000000000: expected at most 24, the samp',
    ),
    'a float of iterations': (meta(iter=1e12), f'iter=1000000000000.0: {WHOLE}'),
    'iterations beyond any': (
        meta(iter=10**400),
        'iter=1000.*: expected a whole number of at least',
    ),
    'negative iterations': (meta(iter=-1), f'iter=-1: {WHOLE}'),
    'NaN iterations': (meta(iter=NAN), f'iter=nan: {WHOLE}'),
    'text for iterations': (meta(iter='6'), f"iter='6': {WHOLE}"),
    'true for iterations': (meta(iter=True), f'iter=True: {WHOLE}'),
    'a tensor of iterations': (
        meta(iter=torch.tensor(6)),
        r'iter=tensor\(6\): expected a whole nu',
    ),
    'negative epochs': (meta(epoch=-2), f'epoch=-2: {WHOLE}'),
    'a fraction of an epoch': (meta(epoch=1.5), f'epoch=1.5: {WHOLE}'),
    'more epochs than iterations': (
        meta(iter=1),
        'epoch=2: expected at most iter=1, since an epoch',
    ),
    'more epochs than training has': (
        meta(epoch=5, iter=15),
        'epoch=5: expected at most 4, train_cfg.max_epochs',
    ),
    'no epochs but iterations': (
        meta(epoch=0),
        'iter=6: expected at most 0, the samples of 0 epoch',
    ),
    'another space': (
        meta(space='nasbench201', arch=[0] * 6, probabilities=[[0.2] * 5] * 6),
        "space='nasbench201': expected 'nasbench_macro', as the backbone of the config has it",
    ),
    'an unknown space': (meta(space='nasbench'), "nasbench.*expected.*'nasbench_macro'"),
    'no name of a space': (meta(space=3), "space=3: expected text, such as 'a'"),
    'another width': (
        meta(widen_factor=0.25),
        'widen_factor=0.25: expected 0.125, as the backbone',
    ),
    'no width': (meta(widen_factor=0), 'widen_factor=0: expected a finite number above 0'),
    'a NaN width': (meta(widen_factor=NAN), 'widen_factor=nan: expected a finite number above 0'),
    'a negative width': (
        meta(widen_factor=-0.125),
        'widen_factor=-0.125: expected a finite number',
    ),
    'another arch': (
        meta(arch=[1] * 8),
        r'arch=\(1, 1, 1, 1, 1, 1, 1, 1\): expected \(2, 2, 1, 0, 1, 2, 0, 1\), as the backbone',
    ),
    'a short arch': (
        meta(arch=[1] * 7),
        r'arch: \[1, .*\] has 7 entries, but space .* has 8 slots',
    ),
    'a candidate of no slot': (
        meta(arch=[1] * 7 + [3]),
        'arch: slot 7 holds 3, but .* 0 to 2 there',
    ),
    'a negative candidate': (meta(arch=[1] * 7 + [-1]), f'arch.7=-1: {WHOLE}'),
    'text for an arch': (meta(arch='22101201'), "arch='22101201': expected a list, such as"),
    'a tensor for an arch': (
        meta(arch=torch.zeros(8)),
        r'arch=tensor\(0.\): expected a whole number',
    ),
    'negative seconds': (
        meta(train_seconds=-1.0),
        'train_seconds=-1.0: expected a finite number of',
    ),
    'NaN seconds': (meta(train_seconds=NAN), 'train_seconds=nan: expected a finite number of at'),
    'infinite seconds': (
        meta(train_seconds=math.inf),
        'train_seconds=inf: expected a finite number',
    ),
    'too few probabilities': (
        meta(probabilities=ROW * 7),
        'probabilities=.*: expected one for each',
    ),
    'a short row': (
        meta(probabilities=ROW * 7 + [[1.0]]),
        'probabilities=.*: expected one for each',
    ),
    'probabilities that do not sum to 1': (
        meta(probabilities=ROW * 7 + [[0.5, 0.5, 0.5]]),
        r'probabilities.7=\(0.5, 0.5, 0.5\): expected numbers that sum to 1, such as \(1.0',
    ),
    'a NaN probability': (
        meta(probabilities=ROW * 7 + [[0.5, 0.5, NAN]]),
        'probabilities.7.2=nan: expected a number from 0 to 1',
    ),
    'a negative probability': (
        meta(probabilities=ROW * 7 + [[1.0, 0.5, -0.5]]),
        'probabilities.7.2=-0.5: expected a number from 0 to 1',
    ),
    'another stage': (meta(stage=1), 'stage=1: expected 2'),
    'an unknown key': (meta(iters=6), 'iters: unknown key'),
    **{
        f'no {key}': (without(key), f'{key} is missing, expected a value')
        for key in ('space arch widen_factor epoch iter train_seconds probabilities'.split())
    },
    'no stage': (
        without('stage'),
        'not the hand-over of a search by DSNAS, expected a hand_over.pth',
    ),
    'no meta': (lambda file: file.pop('meta'), 'not the hand-over of a search by DSNAS'),
    'a list for meta': (
        lambda file: file.update(meta=[2]),
        'not the hand-over of a search by DSNAS',
    ),
    'a missing tensor': (
        lambda file: file['state_dict'].pop(WEIGHT),
        f'does not fit this ImageClassifier; missing: {WEIGHT}',
    ),
    'a tensor of another shape': (weight(lambda tensor: tensor.T), f'wrong shape: {WEIGHT}'),
    'a tensor of whole numbers': (
        weight(lambda tensor: tensor.long()),
        f'wrong type: {WEIGHT} torch.int64 instead of torch.float32',
    ),
    'a complex tensor': (
        weight(lambda tensor: tensor.cfloat()),
        f'wrong type: {WEIGHT} torch.complex64 instead of torch.float32',
    ),
    'a list for a tensor': (weight(lambda tensor: tensor.tolist()), 'not a dict of tensors'),
    'a NaN weight': (weight(filled(NAN)), f'1 of 1600 values of {WEIGHT} are NaN or infinite'),
    'an infinite weight': (weight(filled(math.inf)), f'1 of 1600 values of {WEIGHT} are NaN or'),
    'a list of momentum': (
        meta(optimizer=[1]),
        r'optimizer=\[1\]: expected a dict, such as dict\(key=value\)',
    ),
    'momentum of no parameter': (
        momentum(lambda zeros: dict(momentum_buffer=zeros), 'head.fc.wait'),
        'optimizer.head.fc.wait: unknown parameter, expected one of the state_dict, such as',
    ),
    'momentum of another shape': (
        momentum(lambda zeros: dict(momentum_buffer=zeros[:3])),
        rf'optimizer.{WEIGHT}.momentum_buffer=a tensor of shape \(3, 160\): expected finite values '
        r'of shape \(10, 160\), or one of at least 0',
    ),
    'sparse momentum': (
        momentum(lambda zeros: dict(momentum_buffer=zeros.to_sparse())),
        f'optimizer.{WEIGHT}.momentum_buffer=a tensor.*: expected finite values',
    ),
    'NaN momentum': (
        momentum(lambda zeros: dict(momentum_buffer=zeros + NAN)),
        f'optimizer.{WEIGHT}.momentum_buffer=a tensor.*: expected finite values',
    ),
    'text for momentum': (
        momentum(lambda zeros: dict(momentum_buffer='0')),
        f"optimizer.{WEIGHT}.momentum_buffer='0': expected finite values",
    ),
    'a negative count': (
        momentum(lambda zeros: dict(momentum_buffer=torch.tensor(-1.0))),
        f'optimizer.{WEIGHT}.momentum_buffer=a tensor.*: expected finite values',
    ),
    'momentum under another key': (
        momentum(lambda zeros: dict(exp_avg=zeros)),
        rf"optimizer.{WEIGHT}=\['exp_avg'\]: expected what the first parameter has, ",
    ),
}


def test_a_file_is_read_as_it_was_written(tiny):
    path = tiny.folder / 'hand_over.pth'
    net = hand_over(path)
    found, weights = HandOver.read(path)
    states = {WEIGHT: dict(momentum_buffer=torch.ones(10, 160), step=torch.tensor(3.0), seen=None)}
    found = HandOver(**vars(found) | dict(optimizer=states))
    found.write(tiny.folder / 'again.pth', weights)
    again, same = HandOver.read(tiny.folder / 'again.pth')
    assert vars(again) | dict(optimizer=0) == vars(found) | dict(optimizer=0)
    assert (again.arch, again.epoch, again.iter) == (ARCH, 2, 2 * ITERATIONS)
    assert torch.equal(
        again.optimizer[WEIGHT]['momentum_buffer'], states[WEIGHT]['momentum_buffer']
    )
    assert all(torch.equal(same[key], value) for key, value in net.state_dict().items())


def wrong_file(tiny, name):
    """A file with an edit of ``WRONG``, and what its message says."""
    edit, expected = WRONG[name]
    path = tiny.folder / 'hand_over.pth'
    hand_over(path)
    file = torch.load(path, weights_only=True)
    edit(file)
    torch.save(file, path)
    return path, expected


@pytest.mark.parametrize('name', WRONG)
def test_a_wrong_one_is_refused_in_one_line_before_training(tiny, name):
    path, expected = wrong_file(tiny, name)
    with pytest.raises(InputError, match=expected) as error:
        HandOver.read(path)
        second_stage(tiny, path).train()
    message = str(error.value)
    assert message.startswith(f'{path}: ') and '\n' not in message and len(message) < 600


def test_a_loop_of_iterations_has_no_more_than_its_own(tiny):
    path = tiny.folder / 'hand_over.pth'
    hand_over(path, epoch=0, iter=10)
    runner = second_stage(tiny, path, train_cfg=dict(by_epoch=False, max_iters=9))
    with pytest.raises(InputError, match='iter=10: expected at most 9, train_cfg.max_iters'):
        runner.train()


@pytest.mark.parametrize('name', ['another space', 'a short arch', 'negative iterations'])
def test_the_config_of_the_second_stage_is_not_made_of_a_wrong_one(tiny, name):
    path, expected = wrong_file(tiny, name)
    with pytest.raises(InputError, match=f'^{re.escape(str(path))}: .*{expected}'):
        second_stage_config(dsnas(tiny.folder), path)
