"""What CheckpointHook replaces is removed when the new one is there: killed before and after every
operation on a file, a training resumes to the same weights."""

import os
import shutil

import pytest
import torch
from killed_saves import OwnHook, kill_all, names
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from processes import finish, start
from tiny_runner import Record
from toy_training import checkpoints, toy_runner, train


def weights(runner):
    return runner.model.layer.weight.detach().clone()


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
    process = start(kill_all, tmp_path, 'report', tmp_path / 'run', settings)
    assert finish([process]) == [0], (tmp_path / 'report.txt').read_text()
    states = list(tmp_path.glob('killed*'))
    assert int((tmp_path / 'operations').read_text()) >= 20 and len(states) >= 5
    for state in states:
        for name in checkpoints(state):
            torch.load(state / name, weights_only=False)  # none is torn
        resumed = train(state, checkpoint=settings, resume=True)
        assert torch.equal(weights(resumed), weights(whole)), state
        assert names(state) == names(tmp_path / 'whole'), state


def test_what_is_replaced_goes_once_the_new_one_is_named(tmp_path, monkeypatch):
    def remove(backend, path):
        last = (tmp_path / 'last_checkpoint').read_text()
        removed.append((os.path.basename(path), os.path.basename(last), os.path.exists(last)))
        os.remove(path)

    removed = []
    monkeypatch.setattr(LocalBackend, 'remove', remove)
    train(tmp_path, 3)
    assert {name for name, *_ in removed} == {
        *('epoch_1.pth', 'epoch_2.pth', 'best_epochs_epoch_1.pth', 'best_epochs_epoch_2.pth')
    }
    for name, last, is_there in removed:
        assert is_there and last > name.removeprefix('best_epochs_')


def test_a_resume_finishes_a_removal(tmp_path):
    """Of a training that was killed after it had saved."""
    settings = dict(save_best=None)
    train(tmp_path, 1, settings)
    shutil.copy(tmp_path / 'epoch_1.pth', tmp_path / 'old.pth')
    train(tmp_path, 2, settings, resume=True)
    shutil.move(tmp_path / 'old.pth', tmp_path / 'epoch_1.pth')
    train(tmp_path, 2, settings, resume=True)
    assert checkpoints(tmp_path) == ['epoch_2.pth']


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

    def seen(runner):
        there.append(checkpoints(tmp_path))

    there = []
    train(tmp_path, 2, settings)
    resumed = toy_runner(tmp_path, 3, settings, resume=True)
    resumed.register_hook(Record(before_train_epoch=seen))
    resumed.train()
    best = ['best_epochs_latest.pth'] if settings['save_best'] else []
    assert there == [[*best, 'latest.pth']] and checkpoints(tmp_path) == there[0]
    assert torch.load(tmp_path / 'latest.pth', weights_only=False)['meta']['epoch'] == 3


def test_checkpoints_of_another_run_are_not_removed(tmp_path):
    """One is resumed from in a work dir that has some of the same names."""
    train(tmp_path / 'a', 2)
    (tmp_path / 'b').mkdir()
    for name in ('epoch_1.pth', 'best_epochs_epoch_1.pth'):
        (tmp_path / 'b' / name).touch()
    before = names(tmp_path / 'a')
    train(tmp_path / 'b', 2, resume=True, load_from=str(tmp_path / 'a/epoch_2.pth'))
    assert names(tmp_path / 'a') == before
    assert names(tmp_path / 'b') == {'epoch_1.pth', 'best_epochs_epoch_1.pth'}
    # Also where it finds a better one than theirs.
    train(tmp_path / 'c', 3, resume=True, load_from=str(tmp_path / 'a/epoch_2.pth'))
    assert names(tmp_path / 'a') == before
    assert 'best_epochs_epoch_3.pth' in names(tmp_path / 'c')


def test_removals_by_iterations(tmp_path):
    settings = dict(by_epoch=False, interval=2, max_keep_ckpts=2, save_best=None)
    train(tmp_path, checkpoint=settings)
    assert checkpoints(tmp_path) == ['iter_4.pth', 'iter_6.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_6.pth')


def test_a_checkpoint_hook_with_a_start_of_its_own_is_left_alone(tmp_path):
    class Silent(CheckpointHook):
        def before_train(self, runner):
            pass

        def after_train_epoch(self, runner):
            pass

        def after_val_epoch(self, runner, metrics):
            pass

    train(tmp_path, checkpoint=dict(type=Silent))
