"""A small supernet with its checkpoint, as a user has them, and the digits as a torch Dataset."""

import os

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from sklearn.datasets import load_digits
from tiny_runner import classifier, digits, randomise
from torch.utils.data import Subset, TensorDataset

import pinas_mm as nas
from pinas_mm.checkpoint import save_checkpoint


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    init_default_scope('mmpretrain')
    path = tmp_path_factory.mktemp('supernet') / 'epoch_3.pth'
    model = randomise(MODELS.build(classifier()))
    save_checkpoint(path, model.state_dict(), {})
    return path


@pytest.fixture(scope='module')
def config():
    """As a config file has it; no search_loop."""
    return Config(
        dict(
            default_scope='mmpretrain',
            randomness=dict(seed=0),
            model=classifier(),
            val_dataloader=digits('held_out', indices=64),
            val_evaluator=dict(type='Accuracy', topk=(1,)),
            val_cfg=dict(type='pinas_mm.ArchValLoop'),
            arch_evaluation=dict(calibration_dataloader=digits(), calibration_batches=1),
        )
    )


@pytest.fixture(scope='module')
def supernet(config, checkpoint):
    return nas.supernet(config, checkpoint)


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    """Every test has a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    assert os.getcwd() == str(tmp_path)


@pytest.fixture(scope='module')
def images():
    """The digits as uint8 ``(3, 32, 32)`` in pairs with their labels."""
    found = load_digits()
    pixels = torch.tensor(found.images * (255 / 16)).round().to(torch.uint8)
    pixels = pixels.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, None].repeat(1, 3, 1, 1)
    whole = TensorDataset(pixels, torch.tensor(found.target))
    return Subset(whole, range(64)), Subset(whole, range(64, 128))
