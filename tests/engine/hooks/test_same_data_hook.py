import itertools

import pytest

from pinas_mm.checkpoint import load_checkpoint
from pinas_mm.datasets import Digits
from pinas_mm.datasets.fingerprint import fingerprint
from pinas_mm.engine.runner import build_runner
from pinas_mm.errors import InputError


@pytest.fixture
def train(tiny):
    """Trains for some epochs of 2 iterations, with a checkpoint after each."""
    runs = []

    def run(epochs=1, indices=32, held_out=20, **kwargs):
        runs.append(1)
        config = tiny.config(
            model=tiny.classifier(widen_factor=0.125, arch='00000000')
            | dict(head=dict(type='LinearClsHead', num_classes=10, in_channels=160)),
            experiment_name=f'same_data{len(runs)}_{tiny.folder.name}',
            train_dataloader=tiny.digits(indices=indices),
            val_dataloader=tiny.digits('held_out', indices=held_out),
            val_evaluator=dict(type='Accuracy', topk=(1,)),
            val_cfg=dict(),
            train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=9),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05)),
            **kwargs,
        )
        runner = build_runner(config)
        runner.train()
        return runner

    return run


def test_a_training_resumes_on_its_own_data_alone(train, tiny):
    train()
    data = load_checkpoint(tiny.folder / 'epoch_1.pth')['meta']['data']
    assert data == dict(
        train_dataloader=fingerprint(Digits(indices=32)),
        val_dataloader=fingerprint(Digits('held_out', indices=20)),
    )
    with pytest.raises(
        InputError,
        match=rf'--resume: the data changed since {tiny.folder} was begun: '
        r"train_dataloader.samples was 32 and is 16; train_dataloader.contents was '\w{16}' and is",
    ):
        train(2, indices=16, resume=True)
    with pytest.raises(InputError, match='begun: val_dataloader.samples was 20 and is 19;'):
        train(2, held_out=19, resume=True)
    assert train(2, resume=True).iter == 4


def test_other_data_may_begin_from_its_weights(train, tiny):
    train()
    runner = train(indices=16, load_from=str(tiny.folder / 'epoch_1.pth'))
    assert runner.iter == 1


def test_data_that_are_drawn_at_random_are_not_compared(train, monkeypatch):
    plain = Digits.get_data_info
    draws = itertools.count()

    def drawn(self, index):
        return {**plain(self, index), 'pair': next(draws)}

    monkeypatch.setattr(Digits, 'get_data_info', drawn)
    train()
    train(epochs=2, resume=True)
