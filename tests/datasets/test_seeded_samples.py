import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from pinas_mm.datasets import SeededSamples

LENGTH = 12


class Augmented(Dataset):
    """Draws from all three global generators, as mm pipelines do."""

    metainfo = dict(classes=('a',))

    def __len__(self):
        return LENGTH

    def __getitem__(self, index):
        if index == LENGTH - 1:
            raise OSError('unreadable')
        return torch.tensor(
            [index, random.random(), np.random.rand(), torch.rand(()).item()], dtype=torch.float64
        )


def read(order=range(LENGTH - 1), seed=0):
    dataset = SeededSamples(Augmented(), seed)
    found = {index: dataset[index] for index in order}
    return torch.stack([found[index] for index in sorted(found)])


def test_an_augmentation_depends_on_seed_and_index_alone():
    first = read()
    assert torch.equal(read(reversed(range(LENGTH - 1))), first)
    assert torch.equal(read([5]), first[5:6])
    drawn = first[:, 1:]
    assert len(drawn.unique()) == drawn.numel(), 'every sample and every generator draws its own'
    assert (read(seed=1)[:, 1:] != drawn).all()


@pytest.mark.parametrize('workers', [0, 2])
def test_workers_change_nothing(workers):
    dataset = torch.utils.data.Subset(SeededSamples(Augmented()), range(LENGTH - 1))
    loader = DataLoader(dataset, batch_size=4, num_workers=workers)
    for _ in range(2):
        assert torch.equal(torch.cat(list(loader)), read())


@pytest.mark.parametrize('index', [0, LENGTH - 1])
def test_global_generators_are_left_alone_also_after_an_error(index):
    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item()

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = [draw(), draw()]
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    found = [draw()]
    try:
        SeededSamples(Augmented())[index]
    except OSError:
        assert index == LENGTH - 1
    assert [*found, draw()] == expected


def test_length_and_metainfo_are_the_datasets():
    assert (
        len(SeededSamples(Augmented())) == LENGTH
        and SeededSamples(Augmented()).metainfo == Augmented.metainfo
    )
    assert SeededSamples(torch.utils.data.TensorDataset(torch.zeros(3))).metainfo == {}
