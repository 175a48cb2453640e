"""What CheckpointHook replaces is removed when the new one is there: killed before and after every
operation on a file, a training resumes to the same weights."""

import builtins
import os
import re
import shutil

import pytest
import torch
from mmengine.hooks import CheckpointHook
from tiny_runner import Record
from toy_training import checkpoints, toy_runner, train

OPERATIONS = ('replace', 'rename', 'remove', 'unlink', 'fsync')


class OwnHook(CheckpointHook):
    """A user's."""


def name_of(path):
    """Without the number of a process or the hash of a published checkpoint, which vary."""
    return re.sub(r'-[0-9a-f]{8}(?=\.pth)|(?<=\.)[0-9]+(?=\.pinas_mm)', '', path.name)


def names(folder):
    """Of the files in a folder, but for the configs of its runs."""
    return {name_of(path) for path in folder.iterdir() if path.is_file() and path.suffix != '.py'}


def weights(runner):
    return runner.model.layer.weight.detach().clone()


def killed_at(count):
    """Ends this process before or after the operation of that number on a file of the work dir:
    even numbers are before."""
    numbers = iter(range(10**6))

    def step():
        if next(numbers) == count:
            os._exit(9)

    def around(function, concerns=lambda *args: True):
        def run(*args, **kwargs):
            if not concerns(*args):
                return function(*args, **kwargs)
            step()
            result = function(*args, **kwargs)
            step()
            return result

        return run

    def written(path, mode='r', *_):
        return mode in ('w', 'wb') and 'vis_data' not in str(path)

    for name in OPERATIONS:
        setattr(os, name, around(getattr(os, name)))
    builtins.open = around(open, written)


def states_after_kills(folder, **settings):
    """The work dirs that are left when a training is killed in its second epoch, one for each
    operation on a file; distinct ones only."""
    snapshot, states, outcome = folder.with_name('snapshot'), {}, []

    def second_epoch(runner):
        if runner.epoch == 2 and outcome == ['child']:
            os._exit(0)
        if runner.epoch != 1:
            return
        shutil.copytree(folder, snapshot)
        for number in range(1000):
            process = os.fork()
            if not process:
                outcome.append('child')
                killed_at(number)
                return
            code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            assert code in (0, 9)
            content = {
                name_of(path): path.stat().st_size for path in folder.iterdir() if path.is_file()
            }
            if content not in states.values():
                state = folder.with_name(f'killed{number}')
                shutil.copytree(folder, state)
                states[state] = content
            shutil.rmtree(folder)
            shutil.copytree(snapshot, folder)
            if code == 0:
                outcome.append(number)
                raise KeyboardInterrupt

    runner = toy_runner(folder, **settings)
    runner.register_hook(Record(before_train_epoch=second_epoch), 'VERY_HIGH')
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    return list(states), outcome[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    'settings',
    [
        {},
        dict(type=OwnHook, save_best=None),
        dict(save_best=None, filename_tmpl='model-{}-of-3.pth', published_keys=['state_dict']),
    ],
)
def test_a_training_killed_while_it_saves_resumes_to_the_same(tmp_path, settings):
    whole = train(tmp_path / 'whole', checkpoint=settings)
    states, operations = states_after_kills(tmp_path / 'run', checkpoint=settings)
    assert operations >= 20 and len(states) >= 5
    for state in states:
        for name in checkpoints(state):
            torch.load(state / name, weights_only=False)  # none is torn
        resumed = train(state, checkpoint=settings, resume=True)
        assert torch.equal(weights(resumed), weights(whole)), state
        # mmengine saves a best checkpoint before the last one knows of it.
        assert names(state) - {'best_epochs_epoch_2.pth'} == names(tmp_path / 'whole'), state


def test_the_best_checkpoint_of_a_moved_work_dir_is_found_by_its_name(tmp_path):
    """And that of the work dir it was copied from is left alone."""
    settings = dict(published_keys=['state_dict', 'meta'], max_keep_ckpts=-1)
    train(tmp_path / 'old', 1, settings)
    shutil.copytree(tmp_path / 'old', tmp_path / 'copy')
    before = names(tmp_path / 'old')
    resumed = train(tmp_path / 'copy', 2, settings, resume=True)
    assert names(tmp_path / 'old') == before
    best = tmp_path / 'copy/best_epochs_epoch_2.pth'
    assert resumed.message_hub.get_info('best_ckpt') == str(best) and best.exists()
    assert not (tmp_path / 'copy/best_epochs_epoch_1.pth').exists()

    (tmp_path / 'old').rename(tmp_path / 'new')
    # Nothing is left to train: what was best is published.
    train(tmp_path / 'new', 1, settings, resume=True)
    assert 'best_epochs_epoch_1.pth' in names(tmp_path / 'new')


@pytest.mark.parametrize('settings', [dict(save_best=None), dict(save_best='epochs')])
def test_a_file_that_is_saved_again_under_its_name_is_kept(tmp_path, settings):
    """With a constant name, mmengine removes and saves one file."""
    settings = settings | dict(filename_tmpl='latest.pth')
    train(tmp_path, checkpoint=settings)
    assert 'latest.pth' in names(tmp_path)
    assert torch.load(tmp_path / 'latest.pth', weights_only=False)['meta']['epoch'] == 3


def test_removals_by_iterations(tmp_path):
    settings = dict(by_epoch=False, interval=2, max_keep_ckpts=2, save_best=None)
    train(tmp_path, checkpoint=settings)
    assert checkpoints(tmp_path) == ['iter_4.pth', 'iter_6.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_6.pth')
