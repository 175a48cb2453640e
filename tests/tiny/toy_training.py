"""A training of a few milliseconds, with checkpoints, validation and a best checkpoint."""

import itertools

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import Dataset

from pinas_mm.engine import runner as safe_runner
from pinas_mm.engine.runner import SafeRunner
from pinas_mm.errors import InputError

RUNS = itertools.count()


class Rows(Dataset):
    """Eight rows of random numbers."""

    metainfo = dict(classes=('a', 'b'))

    def __len__(self):
        return 8

    def __getitem__(self, index):
        rows = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
        return dict(inputs=rows[index])


class ToyModel(BaseModel):
    def __init__(self, size=16):
        super().__init__()
        self.layer = nn.Linear(16, size)
        self.register_buffer('steps', torch.zeros(()))

    def forward(self, inputs, mode='tensor'):
        outputs = self.layer(torch.stack(list(inputs)))
        if mode != 'loss':
            return [dict(output=outputs, steps=float(self.steps))]
        self.steps += 1
        return dict(loss=(outputs**2).mean())


class Epochs(BaseMetric):
    """The epochs that the weights are of, two steps each."""

    default_prefix = None

    def process(self, data_batch, data_samples):
        self.results.append(data_samples[0]['steps'] / 2)

    def compute_metrics(self, results):
        return dict(epochs=results[-1])


def toy_config(folder, epochs=3, checkpoint=None, **changes):
    """The config; ``checkpoint`` changes the settings of CheckpointHook."""
    loader = dict(
        batch_size=4, sampler=dict(type='DefaultSampler', shuffle=True), dataset=dict(type=Rows)
    )
    hook = dict(type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='epochs')
    return Config(
        dict(
            model=dict(type=ToyModel),
            work_dir=str(folder),
            experiment_name=f'toy{next(RUNS)}',
            train_dataloader=loader,
            val_dataloader=loader,
            val_evaluator=dict(type=Epochs),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            val_cfg={},
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
            default_hooks=dict(
                checkpoint=hook | dict(rule='greater') | (checkpoint or {}),
                epoch_seed=dict(type='pinas_mm.EpochSeedHook'),
            ),
            randomness=dict(seed=0),
            log_level='WARNING',
        )
        | changes
    )


def toy_runner(folder, epochs=3, checkpoint=None, **changes):
    return SafeRunner.from_cfg(toy_config(folder, epochs, checkpoint, **changes))


def train(folder, epochs=3, checkpoint=None, **changes):
    """Trains; returns the runner."""
    runner = toy_runner(folder, epochs, checkpoint, **changes)
    runner.train()
    return runner


def checkpoints(folder):
    """The names of the checkpoints in a folder."""
    return sorted(path.name for path in folder.rglob('*.pth'))


def resumes_on_rank(number, folder):
    """One of two ranks. The checkpoint named last is broken, then all are."""
    keep = dict(max_keep_ckpts=-1, save_best=None)
    train(folder, 2, keep)
    if number:  # the first one looks, for both
        safe_runner.latest_readable = None
    else:
        (folder / 'epoch_2.pth').write_bytes(b'torn')
    dist.barrier()
    resumed = train(folder, 1, keep, resume=True)
    torch.save((resumed.epoch, resumed.model.layer.weight), folder / f'rank{number}.pt')
    dist.barrier()
    if not number:
        (folder / 'epoch_1.pth').write_bytes(b'torn')
        (folder / 'last_checkpoint').write_text('epoch_2.pth')
    dist.barrier()
    try:
        train(folder, 2, keep, resume=True)
    except InputError as error:
        (folder / f'refused{number}').write_text(str(error))
