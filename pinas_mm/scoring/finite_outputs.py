"""Outputs that are not finite: metrics make finite scores of them. (The largest of ten NaN is the
first class; a box with a NaN is no detection.)"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mmengine.structures import BaseDataElement
from torch import Tensor, nn


@contextmanager
def finite_features(backbone: nn.Module) -> Iterator[None]:
    """Within it a backbone runs; afterwards what it returned is checked.

    Raises:
        FloatingPointError: A feature map has a value that is NaN or infinite.
    """
    checks: list[Tensor] = []

    def check(module: nn.Module, inputs: Any, outputs: Sequence[Tensor]) -> None:
        # Not read here: on a GPU that would wait for every run.
        checks.extend(feature.isfinite().all() for feature in outputs)

    hook = backbone.register_forward_hook(check)
    try:
        yield
    finally:
        hook.remove()
    if not all(checks):
        raise FloatingPointError('the features of the backbone are not finite')


def check_predictions(predictions: Any) -> None:
    """Checks what a model predicted, as mm models return it.

    Raises:
        FloatingPointError: A prediction has a value that is NaN or plus infinity. Minus infinity
            is how models mask classes out.
    """
    for name, tensor in _predicted(predictions, 'the output'):
        if tensor.is_floating_point() and (tensor.isnan() | tensor.isposinf()).any():
            raise FloatingPointError(f'{name} of the model is not finite')


def _predicted(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, BaseDataElement):
        for key, entry in value.items():
            if not key.startswith('gt_'):  # labels may be missing, as a NaN
                yield from _predicted(entry, key)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _predicted(entry, name)
