"""A found network: as a torch module, as a file, as a program."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from mmengine.config import Config
from mmpretrain.models import ImageClassifier
from torch import nn

from ..checkpoint import checksum, load_checkpoint
from ..engine.data_settings import count_classes, open_numbers
from ..errors import InputError
from ..fileio import write_atomic
from ..folder_lock import held
from ..spaces import Arch
from ..spaces.arch_text import candidate_names
from ..spaces.subnet_file import SubnetFile
from ..subnets.export import checked_programs, describe, require_onnx
from ..subnets.state_dict import subnet_state_dict
from ..subnets.subnet_config import subnet_backbone, subnet_model
from ..subnets.write import write_subnet
from .quiet import quiet_scope
from .supernets import Supernet, read_source

# The formats that a file name's end stands for.
PROGRAMS = {'.onnx': 'onnx', '.pt2': 'torch'}


class Subnet:
    """One arch of a supernet with the weights it has there.

    Args:
        supernet: The supernet.
        file: What its ``subnet.yaml`` holds.
        score: What the search maximised; None where nothing was.
        recalibrated: Makes a context in which an arch is active in ``model``, with BN statistics of
            its own.
        model: The supernet's model as the search has it.
        input_size: Height and width in pixels that its costs are counted at.
    """

    def __init__(
        self,
        supernet: Supernet,
        file: SubnetFile,
        score: float | None,
        recalibrated: Callable[[Arch], AbstractContextManager[Any]],
        model: nn.Module,
        input_size: tuple[int, int],
    ) -> None:
        self.supernet, self.file, self.score = supernet, file, score
        self.input_size = input_size
        self._recalibrated, self._model = recalibrated, model

    @property
    def arch(self) -> Arch:
        """One candidate index per slot."""
        return self.file.arch

    @property
    def code(self) -> str:
        """The arch as digits, as the tools take it."""
        return self.supernet.space.encode(self.arch)

    @property
    def candidates(self) -> list[str]:
        """The name of the candidate in every slot."""
        return candidate_names(self.supernet.space, self.arch)

    @property
    def costs(self) -> dict[str, float]:
        """``macs``, ``backbone_macs`` and ``params`` in units of one, ``latency`` in ms."""
        return dict(self.file.costs)

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the held-out images."""
        return dict(self.file.scores)

    def model(self) -> nn.Module:
        """The network alone, in eval mode on the CPU: a plain ``nn.Module`` with its weights and
        its own BN statistics. It is the model of the config, so that a classifier called with
        normalised images ``(N, C, H, W)`` returns logits ``(N, classes)``.

        Raises:
            InputError: The supernet has no trained weights.
        """
        with TemporaryDirectory() as folder, self.supernet.in_scope():
            path = self.save(Path(folder, 'subnet.pth'))
            return subnet_model(self.supernet.config, path, path.with_suffix('.pth'))[1]

    def save(self, path: str | os.PathLike) -> Path:
        """Writes the subnet file and its weights beside it, as a search does.

        Args:
            path: ``'folder/subnet.yaml'`` or ``'folder/subnet.pth'``: the end does not matter.

        Returns:
            The subnet file, which mm configs and :func:`pinas_mm.load_subnet` take.

        Raises:
            InputError: The supernet has no trained weights.
        """
        self.supernet.require_trained(f'the network of arch {self.code}')
        weights = Path(path).with_suffix('.pth')
        weights.parent.mkdir(parents=True, exist_ok=True)
        with self.supernet.in_scope(), self._recalibrated(self.arch):
            return write_subnet(weights, self.file, subnet_state_dict(self._model, self.arch))

    def export(
        self,
        path: str | os.PathLike,
        part: Literal['classifier', 'backbone'] = 'classifier',
        input_size: int | None = None,
    ) -> Path:
        """Writes the network as a program that needs no mm package, for any batch and image size
        above its total stride, and compares it with the network itself.

        Args:
            path: ``'best.onnx'`` or, for ``torch.export``, ``'best.pt2'``.
            part: ``'classifier'`` takes images as they are loaded (0 to 255, RGB; floats where
                your own dataset gives floats) and returns logits; ``'backbone'`` takes normalised
                images and returns a feature map per stage. Of a detector, the backbone alone.
            input_size: Pixels around which the two are compared. Defaults to the search's.

        Returns:
            The path.

        Raises:
            InputError: Another end of the name, a package for ONNX that is missing, or a model that
                is no classifier.
            RuntimeError: The program computes something else; nothing is written.
        """
        target = Path(path)
        kind = PROGRAMS.get(target.suffix)
        if kind is None:
            raise InputError(f'path={target}: expected a name that ends in {" or ".join(PROGRAMS)}')
        if kind == 'onnx':
            require_onnx()
        if part not in ('classifier', 'backbone'):
            raise InputError(f"part={part!r}: expected 'classifier' or 'backbone'")
        config = self.supernet.config
        with TemporaryDirectory() as folder, self.supernet.in_scope():
            file = self.save(Path(folder, 'subnet.pth'))
            model: Any
            if part == 'backbone':
                model = subnet_backbone(file, file.with_suffix('.pth'), config)[1]
            else:
                model = subnet_model(config, file, file.with_suffix('.pth'))[1]
                if not isinstance(model, ImageClassifier):
                    raise InputError(
                        f"part='classifier': the model is a {type(model).__name__}; expected "
                        f"part='backbone'"
                    )
        description = dict(
            space=self.file.space,
            arch=list(self.arch),
            candidates=self.candidates,
            widen_factor=self.file.widen_factor,
            weights=checksum(model.state_dict()),
        ) | describe(model, config)
        size = max(self.input_size) if input_size is None else input_size
        ((_, program),) = checked_programs(model, description, [kind], size, 'input_size')
        program.check(kind, target)
        target.parent.mkdir(parents=True, exist_ok=True)
        with held(target.parent, target.name):
            write_atomic(target, lambda output: output.write(program.data))
        return target

    def __repr__(self) -> str:
        score = '' if self.score is None else f'score {self.score:.4g}, '
        macs = self.file.costs.get('macs')
        costs = '' if macs is None else f', {macs / 1e6:.1f} M MACs'
        return f'Subnet({score}{", ".join(self.candidates)}{costs})'


def load_subnet(
    path: str | os.PathLike,
    config: str | os.PathLike | Config | Supernet | None = None,
    checkpoint: str | os.PathLike | None = None,
) -> nn.Module:
    """The network of a subnet file with its weights, in eval mode on the CPU.

    Args:
        path: The subnet file, such as ``'work_dirs/search/subnet.yaml'``.
        config: What the network is made of around its backbone: the config of the search or of the
            fine-tuning, whose data need not be there, or the :func:`pinas_mm.supernet`. None for
            the backbone alone: the subnet file holds no more, and no code.
        checkpoint: Its weights. Defaults to the ``.pth`` beside the subnet file.

    Returns:
        With ``config`` the whole model, such as a classifier that returns logits ``(N, classes)``;
        without it the backbone, which returns one feature map ``(N, C, H, W)`` per stage. Both take
        normalised images ``(N, C, H, W)``.

    Raises:
        InputError: A file that is missing or does not fit.

    Example:
        >>> net = nas.load_subnet('work_dirs/search/subnet.yaml')  # doctest: +SKIP
    """
    file = Path(path)
    weights = file.with_suffix('.pth') if checkpoint is None else Path(checkpoint)
    for each in (file, weights):
        if not each.is_file():
            raise InputError(f'{each}: no such file')
    if config is None:
        with quiet_scope(None):
            return subnet_backbone(file, weights)[1].eval()
    with quiet_scope(None):
        found = (
            config.config if isinstance(config, Supernet) else read_source(config, {}, 'config')[0]
        )
    with quiet_scope(found.get('default_scope')):
        _fill_in_classes(found, weights)
        return subnet_model(found, file, weights)[1]


def _fill_in_classes(config: Config, weights: Path) -> None:
    """Puts the number of classes where a config leaves it to its data: that of a linear
    classifier's weights, since the data may be elsewhere; for another head that of the data. In
    place."""
    places = list(open_numbers(config))
    if all('data_preprocessor' in place.split('.') for place, _ in places):
        return  # which needs none
    weight = load_checkpoint(weights)['state_dict'].get('head.fc.weight')
    if weight is None:
        count_classes(config)
        return
    for _, found in places:
        found['num_classes'] = len(weight)
