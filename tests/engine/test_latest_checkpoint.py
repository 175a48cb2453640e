import logging

import pytest
import torch
from processes import on_two_ranks
from tiny_runner import Record
from toy_training import resumes_on_rank, toy_runner, train

from pinas_mm.checkpoint import load_checkpoint
from pinas_mm.engine import latest_checkpoint, runner
from pinas_mm.engine.latest_checkpoint import last_checkpoint, resumable_checkpoints
from pinas_mm.errors import InputError
from pinas_mm.pipelines.stages import into_folder

ALL = dict(max_keep_ckpts=-1, save_best=None)


def touch(folder, *names, last=None):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    if last is not None:
        (folder / 'last_checkpoint').write_text(str(last))
    return folder


def names(folder, **kwargs):
    return [path.rpartition('/')[2] for path in resumable_checkpoints(folder, **kwargs)]


@pytest.mark.parametrize(
    'last, expected',
    [
        ('epoch_9.pth', ['epoch_9.pth', 'epoch_2.pth', 'epoch_1.pth']),
        # Written just after the checkpoint, or torn: all that are there, by number.
        (None, ['epoch_10.pth', 'epoch_9.pth', 'epoch_2.pth', 'epoch_1.pth']),
        ('', ['epoch_10.pth', 'epoch_9.pth', 'epoch_2.pth', 'epoch_1.pth']),
        ('\0\0\0', ['epoch_10.pth', 'epoch_9.pth', 'epoch_2.pth', 'epoch_1.pth']),
        # Removed by hand.
        ('epoch_3.pth', ['epoch_3.pth', 'epoch_2.pth', 'epoch_1.pth']),
    ],
)
def test_the_one_named_comes_first_then_those_before_it(tmp_path, last, expected):
    others = 'best_acc_epoch_11.pth', 'epoch_1-0123abcd.pth', 'subnet.pth', 'epoch_12.pth.part'
    there = 'epoch_1.pth', 'epoch_2.pth', 'epoch_9.pth', 'epoch_10.pth'
    touch(tmp_path, *others, *there, last=last and str(tmp_path / last))
    if last is not None and last.strip('\0') == '':
        (tmp_path / 'last_checkpoint').write_text(last)
    assert names(tmp_path) == expected


def test_checkpoints_have_the_names_that_their_hook_gives_them(tmp_path):
    touch(tmp_path, 'a1z.pth', 'a2z.pth', 'axz.pth', 'epoch_3.pth', last='a2z.pth')
    assert names(tmp_path, templates=['a{}z.pth']) == ['a2z.pth', 'a1z.pth']
    assert names(tmp_path, templates=['a{:02}z.pth'] * 2) == ['a2z.pth', 'a1z.pth']
    assert names(tmp_path, templates=['axz.pth']) == ['a2z.pth', 'axz.pth']
    assert names(tmp_path, templates=['a2z.pth', 'b{}.pth']) == ['a2z.pth']


def test_only_the_name_counts_where_the_work_dir_has_such_a_file(tmp_path):
    old, new = tmp_path / 'old', tmp_path / 'new'
    for folder in (old, new):
        touch(folder, 'epoch_1.pth', last=old / 'epoch_1.pth')
    assert last_checkpoint(new) == str(new / 'epoch_1.pth')
    (new / 'epoch_1.pth').unlink()  # CheckpointHook.out_dir
    assert last_checkpoint(new) == str(old / 'epoch_1.pth')
    assert last_checkpoint(tmp_path / 'none') is None
    touch(new, last='s3://bucket/epoch_1.pth')
    assert last_checkpoint(new) == 's3://bucket/epoch_1.pth'


@pytest.mark.parametrize('broken', [b'', b'PK\3\4 and no more', None])
def test_a_resume_falls_back_to_the_latest_that_can_be_read(tmp_path, monkeypatch, broken):
    whole = train(tmp_path, checkpoint=ALL)
    for name in ('epoch_2.pth', 'epoch_3.pth'):
        if broken is None:  # of weights alone
            torch.save(dict(state_dict=whole.model.state_dict()), tmp_path / name)
        else:
            (tmp_path / name).write_bytes(broken)
    read = []
    for module in (latest_checkpoint, runner):
        monkeypatch.setattr(
            module, 'load_checkpoint', lambda path: read.append(path) or load_checkpoint(path)
        )
    resumed = train(tmp_path, checkpoint=ALL, resume=True)
    assert read == [str(tmp_path / f'epoch_{number}.pth') for number in (3, 2, 1)]  # each once
    assert torch.equal(resumed.model.layer.weight, whole.model.layer.weight)
    assert resumed.iter == whole.iter == 6


def test_what_a_resume_says(tmp_path, monkeypatch):
    said = []
    train(tmp_path, checkpoint=ALL)
    (tmp_path / 'epoch_3.pth').write_bytes(b'torn')
    monkeypatch.setattr(
        'pinas_mm.engine.latest_checkpoint.print_log',
        lambda message, logger, level: said.append((level, message)),
    )
    train(tmp_path, checkpoint=ALL, resume=True)
    ((level, message),) = said
    assert level == logging.WARNING and '\n' not in message
    assert message.startswith(f'{tmp_path}/epoch_3.pth: not loadable as a checkpoint of plain')
    assert message.endswith(f'; resumes from {tmp_path}/epoch_2.pth, the one before')


def test_a_work_dir_without_a_readable_checkpoint_is_refused(tmp_path):
    train(tmp_path, epochs=1, checkpoint=ALL)
    (tmp_path / 'epoch_1.pth').unlink()
    expected = (
        rf'{tmp_path}/epoch_1.pth: no such checkpoint; {tmp_path} has no other checkpoint to '
        rf'resume from: remove {tmp_path}/last_checkpoint to start from the beginning'
    )
    with pytest.raises(InputError, match=expected):
        train(tmp_path, checkpoint=ALL, resume=True)
    (tmp_path / 'last_checkpoint').unlink()
    assert train(tmp_path, checkpoint=ALL, resume=True).epoch == 3


def test_a_checkpoint_that_last_checkpoint_does_not_know_yet_is_resumed_from(tmp_path, tiny):
    """The kill came between the two files."""
    train(tmp_path, epochs=1, checkpoint=ALL)
    (tmp_path / 'last_checkpoint').unlink()
    assert into_folder(tiny.config(), tmp_path, resume=True).resume
    trained = []
    resumed = toy_runner(tmp_path, checkpoint=ALL, resume=True)
    resumed.register_hook(Record(before_train_epoch=lambda runner: trained.append(runner.epoch)))
    resumed.train()
    assert trained == [1, 2]


@pytest.mark.distributed
def test_two_ranks_resume_from_one_checkpoint(tmp_path):
    run = tmp_path / 'run'
    on_two_ranks(resumes_on_rank, tmp_path, run)
    (first, weight), (second, same) = (torch.load(run / f'rank{rank}.pt') for rank in range(2))
    assert first == second == 1 and torch.equal(weight, same)
    refused = [(run / f'refused{rank}').read_text() for rank in range(2)]
    assert refused[0] == refused[1] and 'no other checkpoint to resume from' in refused[0]


@pytest.mark.parametrize('torn', [None, '', '\0\0\0'])
def test_a_training_that_was_killed_before_it_named_its_last_checkpoint_names_it(tmp_path, torn):
    """There is nothing left to train, and mm's own tools look for the name."""
    train(tmp_path, 2)
    name = (tmp_path / 'last_checkpoint').read_text()
    (tmp_path / 'last_checkpoint').unlink()
    if torn is not None:
        (tmp_path / 'last_checkpoint').write_text(torn)
    train(tmp_path, 2, resume=True)
    assert (tmp_path / 'last_checkpoint').read_text() == name == str(tmp_path / 'epoch_2.pth')
