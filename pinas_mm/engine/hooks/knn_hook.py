"""Watches unsupervised learning: the kNN accuracy of a few fixed archs, where labels exist."""

from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from sklearn.neighbors import KNeighborsClassifier
from torch.utils.data import DataLoader

from ...models.backbones import supernet_of
from ...registry import HOOKS
from ...schema import Count, Seed
from ...scoring.evaluator import recalibrated_bn
from ...unwrap import unwrapped
from ..loaders import calibration_loader, whole_set_loader


@HOOKS.register_module()
class KNNHook(Hook):
    """Logs ``knn_top1`` (in %): how well the nearest labelled neighbours of a feature tell its
    class, a mean over archs.

    No gradient and no label reaches the model. BN is recalibrated for each arch on the bank,
    features are the globally pooled last feature map, neighbours are found by cosine distance.

    Args:
        bank_dataloader: Dataloader config of the labelled samples to look in.
        query_dataloader: Dataloader config of the samples to classify.
        num_archs: Archs, drawn once by ``seed``.
        neighbours: k, 20 as is usual for weighted kNN.
        interval: Epochs between measurements.
        bank_samples: Use only so many of the bank's samples; all where it has not so many.
        calibration_batches: Batches of the bank for BN recalibration.
        seed: Seed of the archs and of the bank's samples.
    """

    def __init__(
        self,
        bank_dataloader: dict[str, Any],
        query_dataloader: dict[str, Any],
        num_archs: Count = 3,
        neighbours: Count = 20,
        interval: Count = 1,
        bank_samples: Count | None = None,
        calibration_batches: Count = 8,
        seed: Seed = 0,
    ) -> None:
        self.configs = bank_dataloader, query_dataloader
        self.num_archs = num_archs
        self.neighbours = neighbours
        self.interval = interval
        self.bank_samples = bank_samples
        self.calibration_batches = calibration_batches
        self.seed = seed

    def before_train(self, runner: Runner) -> None:
        bank, query = self.configs
        self.calibration = calibration_loader(
            bank, self.calibration_batches, self.seed, 'bank_dataloader of KNNHook'
        )
        self.bank = whole_set_loader(bank, self.bank_samples, self.seed, key='bank_samples')
        self.query = whole_set_loader(query)
        rng = np.random.default_rng(self.seed)
        self.archs = [supernet_of(runner.model).space.sample(rng) for _ in range(self.num_archs)]

    def after_train_epoch(self, runner: Runner) -> None:
        if not self.every_n_epochs(runner, self.interval):
            return
        model = unwrapped(runner.model)
        accuracies = []
        for arch in self.archs:
            with recalibrated_bn(model, arch, self.calibration):
                bank, query = features(model, self.bank), features(model, self.query)
            classifier = KNeighborsClassifier(
                min(self.neighbours, len(bank[1])), weights='distance', metric='cosine'
            ).fit(*bank)
            accuracies.append(100 * classifier.score(*query))
        names = [supernet_of(runner.model).space.encode(arch) for arch in self.archs]
        runner.message_hub.update_scalar('train/knn_top1', float(np.mean(accuracies)))
        runner.logger.info(
            f'knn_top1: {np.mean(accuracies):.2f}  ('
            + ', '.join(f'{name}: {accuracy:.2f}' for name, accuracy in zip(names, accuracies))
            + ')'
        )


@torch.no_grad()
def features(model: BaseModel, loader: DataLoader) -> tuple[np.ndarray, np.ndarray]:
    """Pooled features ``(N, C)`` and labels ``(N, )`` of a whole set, along the active arch."""
    pooled, labels = [], []
    for batch in loader:
        data = model.data_preprocessor(batch, False)
        pooled.append(model.backbone(data['inputs'])[-1].mean(dim=(2, 3)).cpu().numpy())
        labels += [int(sample.gt_label) for sample in batch['data_samples']]
    return np.concatenate(pooled), np.array(labels)
