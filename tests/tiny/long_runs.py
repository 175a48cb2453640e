"""Programs that start processes and do not end, for test_child_processes.py."""

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor

from command_line import run_tool
from mmengine.config import Config
from torch.utils.data import DataLoader, Dataset

from pinas_mm.child_processes import end_with_parent
from pinas_mm.pipelines import truth_training

FIRST, SECOND = (0, 1, 0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0, 2, 0)


class Numbers(Dataset):
    """Ten numbers; the process that reads them says which it is."""

    def __init__(self, folder):
        self.folder = folder

    def __len__(self):
        return 10

    def __getitem__(self, index):
        (self.folder / f'{os.getpid()}.pid').touch()
        return index


def train_for_ever(self, arch, repeat):
    """In place of a training, with a worker of a loader as trainings have them."""
    folder = self.config.folder
    (folder / f'{os.getpid()}.pid').touch()
    loader = iter(DataLoader(Numbers(folder), num_workers=1))
    next(loader)
    time.sleep(600)


class AnySpaceTrainer(truth_training.TruthTrainer):
    def __init__(self, config, seed, score):
        self.config = config

    __call__ = train_for_ever


def make_truth(folder):
    """Two trainings at a time, in processes that are forked: those of the tool take seconds to
    start."""
    context = multiprocessing.get_context('fork')
    multiprocessing.get_context = lambda method=None: context
    truth_training.TruthTrainer = AnySpaceTrainer
    trainings = [(FIRST, 0), (SECOND, 0), (FIRST, 1)]
    config = Config(dict(folder=folder))
    run_tool(lambda: list(truth_training.train_all(config, trainings, 0, 'accuracy/top1', 2)))


def read_for_ever(folder):
    """A training or search with workers of a loader."""

    def main():
        loader = DataLoader(
            Numbers(folder),
            num_workers=2,
            persistent_workers=True,
            multiprocessing_context='fork',  # as mmengine's runners set it
        )
        for _ in loader:
            time.sleep(600)

    run_tool(main)


def in_pool(folder):
    (folder / f'{os.getpid()}.pid').touch()
    time.sleep(600)


def pool_alone(folder):
    """As benchmarks/searchers.py has it, without a handler of signals."""
    with ProcessPoolExecutor(2, multiprocessing.get_context('fork'), end_with_parent) as pool:
        list(pool.map(in_pool, [folder] * 4))
