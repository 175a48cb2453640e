"""How consistent a supernet is over its paths: feature shift and parameter shift (Pi-NAS, Peng et
al., ICCV 2021, section 3)."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import InputError
from ..models.backbones import ArchBackbone, borrowed, supernet_of
from ..models.selfsup import PiNAS
from ..private_api import run_forward
from ..scoring.bn_recalibration import MIN_CALIBRATION_BATCH
from ..spaces import Arch, SearchSpace
from ..unwrap import unwrapped

Pairs = list[tuple[int, int]]
# Of the draws for archs that are distinct networks.
MOST_DRAWS = 100


@dataclass(frozen=True)
class PositionShift:
    """The two shifts at one position, means over pairs of paths. None where no pair tells.

    Args:
        position, stage: Which position.
        input_distance: Cosine distance of the input's feature maps, image by image, over pairs that
            differ before it.
        input_cka_distance: 1 - linear CKA of these maps.
        input_mean_distance, input_variance_distance: Cosine distance of their means and variances
            per channel.
        output_distance, output_cka_distance: The first two of the output, over those of the pairs
            that make the same choices at the position.
        gradient_cosine: Cosine of the gradients of the parameters that two paths share there, over
            pairs that agree in a slot it reads (all, where it reads none): 1 where both want the
            same update, negative where the updates contradict each other.
        gradient_conflicts: Share of these pairs with a negative cosine.
    """

    position: int
    stage: int
    input_distance: float | None
    input_cka_distance: float | None
    input_mean_distance: float | None
    input_variance_distance: float | None
    output_distance: float | None
    output_cka_distance: float | None
    gradient_cosine: float | None
    gradient_conflicts: float | None


def measure_consistency(model: nn.Module, batch: Any, archs: Sequence[Arch]) -> list[PositionShift]:
    """Runs paths on the same images and compares what they share. The supernet is left as it was,
    also after an error.

    BN takes the statistics of the batch, along each path its own, as in the training in which the
    shifts arise; running statistics fit no path of a supernet, and are not touched. Dropout is off.
    Frozen parameters get gradients too.

    Args:
        model: An mm model with a supernet as ``backbone`` and a task loss.
        batch: What its dataloader gives, with labels: at least 16 images.
        archs: At least two, in which pairs agree in some slots, as of :func:`draw_archs`.

    Returns:
        One entry per position, in execution order.

    Raises:
        InputError: The model has no supernet or no task loss, there are fewer than two archs or 16
            images, or the loss is not finite.
    """
    model = unwrapped(model)
    backbone = supernet_of(model)
    if isinstance(model, PiNAS):
        raise InputError(
            'PiNAS has no task loss, and its own moves teacher and queue: expected a model with '
            'labels over its supernet, '
            'such as that of its linear config, and the checkpoint of that'
        )
    space = backbone.space
    archs = [space.validate(arch, 'consistency') for arch in archs]
    if len(set(archs)) < 2:
        raise InputError(f'{len(set(archs))} arch(s) to compare: expected at least 2')
    with _batch_statistics(model):
        images = _preprocessed(model, batch)['inputs']
        if not isinstance(images, Tensor) or len(images) < MIN_CALIBRATION_BATCH:
            raise InputError(
                f'a batch of {len(images)} images: expected one tensor of at least '
                f'{MIN_CALIBRATION_BATCH}'
            )
        features = list(_feature_shifts(backbone, images, archs))
        gradients = [_path_gradients(model, batch, arch) for arch in archs]
        return [
            PositionShift(
                index,
                position.stage,
                **features[index],
                **_parameter_shift(backbone, index, archs, gradients),
            )
            for index, position in enumerate(space.positions)
        ]


def draw_archs(space: SearchSpace, num_archs: int, seed: int = 0) -> list[Arch]:
    """Uniformly drawn archs that are distinct networks, as they are drawn: canonical forms would
    not be uniform at every position.

    Raises:
        InputError: The space has fewer, or so few more that they are not found.
    """
    rng = np.random.default_rng(seed)
    found: dict[Arch, Arch] = {}
    for _ in range(MOST_DRAWS * num_archs):
        if len(found) == num_archs:
            break
        arch = space.sample(rng)
        found.setdefault(space.canonical(arch), arch)
    if len(found) < num_archs:
        raise InputError(
            f'{num_archs} distinct networks of space {space.name!r} asked, {len(found)} found: '
            f'ask for fewer'
        )
    return list(found.values())


def cosines(vectors: Tensor) -> Tensor:
    """The cosines between ``P`` vectors ``(P, D)``, a float64 ``(P, P)``; two zero vectors are
    equal, so theirs is 1."""
    vectors = vectors.double()
    norms = vectors.norm(dim=1)
    units = vectors / norms.clamp_min(torch.finfo(norms.dtype).tiny)[:, None]
    zero = norms == 0
    return (units @ units.T + (zero[:, None] & zero)).clamp(-1, 1)


def linear_cka(maps: Sequence[Tensor]) -> Tensor:
    """Linear CKA between ``P`` feature maps of the same ``N`` images (Kornblith et al., ICML 2019,
    eq. 4 with a linear kernel).

    Every value of a map is a feature. With more features than images the form over images is the
    cheaper one: the cosine of the centred Gram matrices, equal to ``|Y'X|^2 / (|X'X| |Y'Y|)`` (eq.
    1). It is biased towards 1 for few images: compare at equal numbers.

    Args:
        maps: Each ``(N, ...)``.

    Returns:
        A float64 ``(P, P)``, from 0 to 1.
    """
    grams = []
    for features in maps:
        features = features.flatten(1).double()
        features = features - features.mean(dim=0)
        grams.append((features @ features.T).flatten())
    return cosines(torch.stack(grams))


def _feature_shifts(
    backbone: ArchBackbone, images: Tensor, archs: list[Arch]
) -> Iterator[dict[str, float | None]]:
    """The feature shift of one position after the other. All paths go on together, so that only the
    maps around a position are held."""
    positions = backbone.space.positions
    with torch.no_grad():
        maps = {backbone.prefix(0, arch): backbone.run_part(0, arch, images) for arch in archs[:1]}
        similar = _similarities(list(maps.values()))
        for index, position in enumerate(positions):
            before = [backbone.prefix(index, arch) for arch in archs]
            after = [backbone.prefix(index + 1, arch) for arch in archs]
            choices = [[arch[slot] for slot in position.slots] for arch in archs]
            differ = [
                (a, b)
                for a, b in itertools.combinations(range(len(archs)), 2)
                if before[a] != before[b]
            ]
            same = [(a, b) for a, b in differ if choices[a] == choices[b]]
            shift = {
                f'input_{name}': _distance(value, maps, before, differ)
                for name, value in similar.items()
            }
            outputs: dict[Any, Tensor] = {}
            for arch, source, target in zip(archs, before, after):
                if target not in outputs:
                    outputs[target] = backbone.run_part(index + 1, arch, maps[source])
            maps, similar = outputs, _similarities(list(outputs.values()))
            yield shift | {
                f'output_{name}': _distance(similar[name], maps, after, same)
                for name in ('distance', 'cka_distance')
            }


def _similarities(maps: list[Tensor]) -> dict[str, Tensor]:
    """The similarities ``(P, P)`` of ``P`` feature maps ``(N, C, H, W)``, by the name that their
    distance has."""
    by_image = [
        cosines(torch.stack([values[i].flatten() for values in maps])) for i in range(len(maps[0]))
    ]
    similar = dict(
        distance=torch.stack(by_image).mean(dim=0),
        cka_distance=linear_cka(maps),
        mean_distance=cosines(torch.stack([values.mean(dim=(0, 2, 3)) for values in maps])),
        variance_distance=cosines(torch.stack([values.var(dim=(0, 2, 3)) for values in maps])),
    )
    return {name: values.cpu() for name, values in similar.items()}  # read one by one


def _distance(
    similar: Tensor, maps: dict[Any, Tensor], keys: list[Any], pairs: Pairs
) -> float | None:
    """The mean over pairs of archs of 1 - similarity, where ``keys`` says which of the maps each
    arch has."""
    rows = {key: row for row, key in enumerate(maps)}
    return (
        float(np.mean([1 - float(similar[rows[keys[a]], rows[keys[b]]]) for a, b in pairs]))
        if pairs
        else None
    )


def _path_gradients(model: BaseModel, batch: Any, arch: Arch) -> dict[nn.Parameter, Tensor]:
    """The task loss's gradients of what ``arch`` runs at its positions."""
    backbone = model.backbone
    backbone.set_arch(arch)
    parameters = [
        parameter
        for index in range(len(backbone.space.positions))
        for parameter in _parameters(backbone, index, arch)
    ]
    losses = run_forward(model, _preprocessed(model, batch), 'loss')
    loss, _ = model.parse_losses(losses)
    if not torch.isfinite(loss):
        raise InputError(
            f'the loss of arch {backbone.space.encode(arch)} is {loss.item()}: the supernet has '
            f'diverged'
        )
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return {
        parameter: torch.zeros_like(parameter) if gradient is None else gradient
        for parameter, gradient in zip(parameters, gradients)
    }


def _parameter_shift(
    backbone: ArchBackbone,
    index: int,
    archs: list[Arch],
    gradients: list[dict[nn.Parameter, Tensor]],
) -> dict[str, float | None]:
    slots = backbone.space.positions[index].slots
    found = []
    for a, b in itertools.combinations(range(len(archs)), 2):
        if not slots or any(archs[a][slot] == archs[b][slot] for slot in slots):
            other = set(_parameters(backbone, index, archs[b]))
            shared = [
                parameter
                for parameter in _parameters(backbone, index, archs[a])
                if parameter in other
            ]
            first, second = (_flattened(gradients[i], shared) for i in (a, b))
            if first.any() and second.any():
                found.append(float(torch.cosine_similarity(first, second, dim=0)))
    return dict(
        gradient_cosine=float(np.mean(found)) if found else None,
        gradient_conflicts=float(np.mean(np.array(found) < 0)) if found else None,
    )


def _parameters(backbone: ArchBackbone, index: int, arch: Arch) -> list[nn.Parameter]:
    """What ``arch`` runs at position ``index``, each parameter once."""
    modules = backbone.part_path(index + 1, arch)
    return list(dict.fromkeys(parameter for module in modules for parameter in module.parameters()))


def _flattened(gradients: dict[nn.Parameter, Tensor], parameters: list[nn.Parameter]) -> Tensor:
    return (
        torch.cat([gradients[parameter].flatten() for parameter in parameters]).double()
        if parameters
        else torch.zeros(0)
    )


def _preprocessed(model: BaseModel, batch: Any) -> dict[str, Any]:
    return model.data_preprocessor(
        batch, True
    )  # as for training: labels, and padding of images of several sizes


@contextmanager
def _batch_statistics(model: BaseModel) -> Iterator[None]:
    """Within it BN normalises by its batch and leaves its statistics alone, all parameters have
    gradients, and images are not mixed."""
    layers = [
        (module, module.track_running_stats)
        for module in model.modules()
        if isinstance(module, _BatchNorm)
    ]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    with borrowed(model):
        try:
            model.eval()
            for layer, _ in layers:
                layer.training, layer.track_running_stats = True, False
            for parameter, _ in flags:
                parameter.requires_grad_(True)
            yield
        finally:
            for parameter, flag in flags:
                parameter.requires_grad_(flag)
            for layer, tracking in layers:
                layer.track_running_stats = tracking
