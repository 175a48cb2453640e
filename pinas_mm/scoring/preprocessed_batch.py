"""Preprocesses a batch once for the many archs that are scored on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.model import BaseDataPreprocessor
from mmengine.structures import BaseDataElement
from torch import Tensor

from ..private_api import fresh_element, version_of


@contextmanager
def preprocessed_once(preprocessor: BaseDataPreprocessor) -> Iterator[None]:
    """Within it a data preprocessor that is given the same batch again returns what it returned:
    the images, and fresh data samples.

    An ordinary ``val_step`` stacks, normalises and moves the batch to the device again for every
    arch. A batch whose images were changed in place is preprocessed again; one that is not a dict
    of images and data samples always is."""
    forward = preprocessor.forward
    last: list[Any] = []

    def once(data: Any, training: bool = False) -> Any:
        if (
            last
            and last[0] is data
            and last[3] == training
            and last[2] == [version_of(image) for image in _images(last[1])]
        ):
            return _fresh(last[1])
        result = forward(data, training)
        last.clear()
        if isinstance(result, dict) and _images(result):
            last.extend((data, result, [version_of(image) for image in _images(result)], training))
            return _fresh(result)
        return result

    preprocessor.forward = once
    try:
        yield
    finally:
        del preprocessor.forward


def _images(result: dict[str, Any]) -> list[Tensor]:
    inputs = result.get('inputs')
    if isinstance(inputs, Tensor):
        return [inputs]
    return (
        list(inputs)
        if isinstance(inputs, list | tuple) and all(isinstance(image, Tensor) for image in inputs)
        else []
    )


def _fresh(value: Any) -> Any:
    """A copy whose data samples can be given predictions; tensors are shared."""
    if isinstance(value, dict):
        return {key: _fresh(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_fresh(item) for item in value]
    if isinstance(value, BaseDataElement):
        return fresh_element(value)
    return value
