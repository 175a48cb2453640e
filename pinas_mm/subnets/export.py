"""Subnets as programs that need no mm package: ``torch.export`` and ONNX, with any batch and image
size."""

import copy
import importlib.util
import io
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmpretrain.models import ImageClassifier
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional as F

from ..errors import InputError
from ..fileio import read_json
from ..models.backbones import ArchBackbone, searchable_backbone_of
from ..private_api import pooling_for_any_size
from ..schema import NotNegative, check
from ..settings import changed_settings, plain_settings

# What is the same for all parts of a network.
OF_ALL_PARTS = ('space', 'arch', 'widen_factor', 'weights')
ONNX_PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')
# torch.export keeps PyTorch's own kernels; onnxruntime has others, which sum in another order.
TOLERANCES = dict(torch=1e-5, onnx=1e-4)
# Batch, height and width. Any size serves to trace at whose feature maps are larger than a pixel
# after a stride of 32, since a size of one is taken as fixed.
TRACED_SHAPE = (2, 65, 97)


class EveryWindowAveragePool(nn.Module):
    """``AvgPool2d(k, k, ceil_mode=True, count_include_pad=False)``, bit for bit for a power of two,
    with an output size that ``(size - 1) // k + 1`` says.

    PyTorch computes that size with a case for a last window outside of the image, and traced sizes
    would be fixed to one case.

    Args:
        kernel_size: ``k``, also the stride.
    """

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C, ceil(H / k), ceil(W / k))``."""
        return self._padded(x) / self._padded(torch.ones_like(x[:1, :1]))

    def _padded(self, x: Tensor) -> Tensor:
        # Where H is a multiple of k, the last window would begin in the padding and is not taken.
        beyond = self.kernel_size - 1
        return F.avg_pool2d(F.pad(x, (0, beyond, 0, beyond)), self.kernel_size)


class ImagesToLogits(nn.Module):
    """A classifier from images as they are loaded, ``(N, C, H, W)`` with values 0 to 255, to what
    its head returns, ``(N, classes)``.

    Mean and std are the data preprocessor's. Channels are in the order of that mean: RGB where the
    preprocessor turns what it is given into RGB, else the order that the config's pipeline loads.

    Args:
        classifier: The classifier, on any device; not a part of it is changed, and the copy is on
            the CPU.
    """

    def __init__(self, classifier: ImageClassifier) -> None:
        super().__init__()
        # `cpu` of the mm model: it tells its data preprocessor, which moves images, where it is.
        self.classifier = copy.deepcopy(classifier).cpu()
        self.classifier.data_preprocessor.to_rgb = False

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(
            self.classifier.data_preprocessor({'inputs': images})['inputs'], mode='tensor'
        )


def describe(model: ImageClassifier | ArchBackbone, config: Config | None) -> dict[str, Any]:
    """What to feed the program of a model and what comes out of it, as plain data.

    Args:
        model: The classifier, or the backbone.
        config: The config with the data preprocessor of its training, where there is one.
    """
    # The model's own comes first, as in mmengine's Runner.
    preprocessor = (
        config
        and (
            (config.get('model') or {}).get('data_preprocessor') or config.get('data_preprocessor')
        )
        or {}
    )
    if preprocessor.get('to_rgb') or preprocessor.get('bgr_to_rgb'):
        channels = 'RGB'
    else:
        channels = (
            "as the config's pipeline loads them (BGR with LoadImageFromFile)"
            if config
            else 'as in training'
        )
    images = dict(
        name='images',
        shape=['batch', searchable_backbone_of(model).in_channels, 'height', 'width'],
        dtype='float32',
        channels=channels,
    )
    if preprocessor.get('mean') is not None:
        images |= dict(mean=list(preprocessor['mean']), std=list(preprocessor['std']))
    if isinstance(model, ArchBackbone):
        outputs = {
            f'stage{index}': f'feature map of stage {index}'
            for index in sorted(set(model.out_indices))
        }
        return dict(
            input=images | dict(values='normalised as in training: (image - mean) / std'),
            outputs=outputs,
        )
    return dict(
        input=images | dict(values='0 to 255, normalised inside'),
        outputs=dict(logits='(batch, classes), before softmax'),
    )


def read_exports(path: Path) -> dict[str, Any]:
    """The descriptions of the parts in a folder, by name; none where nothing was exported yet.

    Args:
        path: ``export.json`` of the folder.

    Raises:
        InputError: It cannot be read.
    """
    if not path.exists():
        return {}
    try:
        found = check(dict[str, dict[str, Any]], read_json(path), str(path))
        for part, description in found.items():
            kind: Any = dict[str, NotNegative]
            check(kind, description.get('differences', {}), str(path), f'{part}.differences')
    except InputError as error:
        raise InputError(f'{error}: not written by an export; choose another --out') from error
    return found


def refuse_other_exports(found: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path) -> None:
    """Refuses exports that would replace some of another network.

    Args:
        found: The parts in a folder, from :func:`read_exports`.
        wanted: The descriptions of parts to be written there.
        folder: The folder.

    Raises:
        InputError: The folder has another subnet, other weights, or a part of the same name that is
            described otherwise; the message says what differs.
    """
    for part, description in plain_settings(wanted).items():
        for other, kept in found.items():
            keys = set(OF_ALL_PARTS) if other != part else {*kept, *description} - {'differences'}
            before, now = (
                {key: settings[key] for key in sorted(keys) if key in settings}
                for settings in (kept, description)
            )
            if changes := changed_settings(before, now):
                raise InputError(
                    f'{folder}: has the export of another network: {changes}; choose another --out'
                )


def require_onnx() -> None:
    """Raises:
    InputError: A package that the ONNX export needs is not installed.
    """
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f'exporting to ONNX needs {", ".join(missing)}: pip install {" ".join(missing)}, or '
            f"'pinas_mm[export]'"
        )


def export_program(model: ImagesToLogits | ArchBackbone) -> ExportedProgram:
    """The program of a classifier or a subnet's backbone in eval mode, for any batch and any image
    larger than the total stride.

    Args:
        model: The module, on any device; it is not changed. The program is of the CPU.

    Raises:
        InputError: The backbone is a supernet, or the head does not return one tensor.
    """
    backbone = model.classifier.backbone if isinstance(model, ImagesToLogits) else model
    if getattr(backbone, 'is_supernet', False):
        raise InputError(
            f'{type(backbone).__name__} is a supernet: build it with arch=[...] or '
            f"arch='subnet.yaml' to export it"
        )
    # Without gradients, so that no checkpointing of activations is traced.
    model = (
        copy.deepcopy(model)
        .eval()
        .requires_grad_(False)
        .to('cpu', memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    )
    _replace_ceil_pools(model)
    batch, *size = TRACED_SHAPE
    example = torch.zeros(batch, backbone.in_channels, *size)
    with torch.no_grad(), pooling_for_any_size():
        if isinstance(model, ImagesToLogits) and not isinstance(outputs := model(example), Tensor):
            raise InputError(
                f'{type(model.classifier.head).__name__} returns a {type(outputs).__name__}, '
                f'expected one tensor of logits'
            )
        dynamic = {0: Dim('batch', min=1), 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
        return torch.export.export(model, (example,), dynamic_shapes=(dynamic,), strict=False)


def saved_program(program: ExportedProgram, description: dict[str, Any]) -> bytes:
    """The file of a program, with its description as the extra file ``description.json``."""
    # In memory: where a write to a file fails, torch aborts the process.
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={'description.json': json.dumps(description)})
    return file.getvalue()


def export_onnx(
    program: ExportedProgram, output_names: Sequence[str], description: dict[str, Any]
) -> bytes:
    """The ONNX model of an exported program, input ``images`` with dimensions ``batch``, ``height``
    and ``width``.

    Args:
        program: From :func:`export_program`.
        output_names: A name for each output.
        description: Goes into the model's metadata as ``description``.
    """
    with pooling_for_any_size():
        exported = torch.onnx.export(
            program,
            (),
            dynamo=True,
            input_names=['images'],
            output_names=list(output_names),
            verbose=False,
            dynamic_shapes=({0: 'batch', 2: 'height', 3: 'width'},),
        )
    assert exported is not None  # with dynamo it is the program
    exported.model.metadata_props['description'] = json.dumps(description)
    return exported.model_proto.SerializeToString()


def onnx_runner(model: bytes) -> Callable[[Tensor], list[Tensor]]:
    """Runs an ONNX model with onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
    return lambda images: [
        torch.from_numpy(output) for output in session.run(None, {'images': images.numpy()})
    ]


@dataclass(frozen=True)
class Program:
    """An exported program that was compared with its subnet.

    Args:
        data: The file.
        difference: How far it is from the subnet (:func:`largest_difference`).
        shapes: ``(batch, height, width)`` of the images that they were compared on.
    """

    data: bytes
    difference: float
    shapes: list[tuple[int, int, int]]

    def check(self, kind: str, path: str | os.PathLike) -> None:
        """Raises:
        RuntimeError: It computes something else than the subnet. ``kind`` is its format.
        """
        if self.difference > TOLERANCES[kind]:
            raise RuntimeError(
                f'{path}: not written: it differs from the subnet by {self.difference:.1e}, '
                f'allowed are {TOLERANCES[kind]:.0e}'
            )


def checked_programs(
    model: ImageClassifier | ArchBackbone,
    description: dict[str, Any],
    kinds: Sequence[str],
    size: int = 224,
    key: str = '--input-size',
) -> Iterator[tuple[str, Program]]:
    """The programs of a classifier or a subnet's backbone, each compared with it.

    Args:
        model: The classifier, whose program takes images as they are loaded
            (:class:`ImagesToLogits`), or the backbone; in eval mode.
        description: From :func:`describe`; goes into the files.
        kinds: Formats: ``'torch'``, ``'onnx'`` or both.
        size: Image size in pixels around which the programs are compared.
        key: What the caller calls ``size``, for the message.

    Yields:
        Format and program.

    Raises:
        InputError: The images to compare on are too small.
    """
    whole: Any = model
    backbone, most = model, 1
    if not isinstance(model, ArchBackbone):
        whole = ImagesToLogits(model).eval()
        backbone, most = whole.classifier.backbone, 255
    with torch.no_grad():
        if min(backbone(torch.zeros(1, backbone.in_channels, size, size))[-1].shape[-2:]) < 2:
            raise InputError(
                f'{key} {size}: the last feature map is smaller than 2 x 2; choose a larger one'
            )
    # Even and odd at several depths, so that pools meet windows that are cut off and windows that
    # are not.
    shapes = [(1, size, size), (2, size + 1, size + 15), (3, size + 2, size + 7)]
    with _without_known_warnings():
        program = export_program(whole)
    for kind in kinds:
        run: Callable[[Tensor], Any]
        with _without_known_warnings():
            if kind == 'torch':
                run, data = program.module(), saved_program(program, description)
            else:
                data = export_onnx(program, list(description['outputs']), description)
                run = onnx_runner(data)
        difference = largest_difference(run, whole, shapes, backbone.in_channels, most)
        yield kind, Program(data, difference, shapes)


@contextmanager
def _without_known_warnings() -> Iterator[None]:
    """Hides what torch and onnx say of their own insides while they export."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', module='torch|onnx|copyreg')
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


@torch.no_grad()
def largest_difference(
    run: Callable[[Tensor], Any],
    model: nn.Module,
    shapes: Sequence[tuple[int, int, int]],
    channels: int = 3,
    most: float = 1.0,
    seed: int = 0,
) -> float:
    """How far ``run`` is from ``model`` on random images: the largest absolute difference, over the
    largest output where that is above 1.

    Args:
        run: The exported model.
        model: The module it was made from, in eval mode.
        shapes: ``(batch, height, width)`` of each batch of images.
        channels: Channels of the images.
        most: Images are uniform between 0 and this.
        seed: Seed of the images.
    """
    generator, largest = torch.Generator().manual_seed(seed), 0.0
    for batch, height, width in shapes:
        images = torch.rand(batch, channels, height, width, generator=generator) * most
        expected, found = model(images), run(images)
        expected, found = (
            [outputs] if isinstance(outputs, Tensor) else list(outputs)
            for outputs in (expected, found)
        )
        for ours, theirs in zip(expected, found, strict=True):
            if ours.shape != theirs.shape:
                raise RuntimeError(
                    f'an output {tuple(theirs.shape)} instead of {tuple(ours.shape)} for images '
                    f'{tuple(images.shape)}'
                )
            difference = ((ours - theirs).abs().max() / max(1, ours.abs().max())).item()
            largest = max(largest, difference if difference == difference else float('inf'))
    return largest


def _replace_ceil_pools(model: nn.Module) -> None:
    for parent in list(model.modules()):
        for name, pool in list(parent.named_children()):
            if not isinstance(pool, nn.AvgPool2d) or not pool.ceil_mode:
                continue
            kernel, stride = (
                size if isinstance(size, tuple) else (size, size)
                for size in (pool.kernel_size, pool.stride)
            )
            if (
                kernel != stride
                or kernel[0] != kernel[1]
                or pool.padding not in (0, (0, 0))
                or pool.count_include_pad
            ):
                raise NotImplementedError(
                    f'{pool}: only ceil_mode pools with kernel_size == stride and '
                    f'count_include_pad=False'
                )
            setattr(
                parent, name, EveryWindowAveragePool(kernel[0]) if kernel[0] > 1 else nn.Identity()
            )
