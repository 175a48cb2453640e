"""What a pickled checkpoint may hold beside tensors: arrays and scalars of numbers, and mmengine's
log histories.

``torch.load(weights_only=True)`` calls whatever it is told is safe with whatever a file holds.
NumPy does not expect hostile arguments: ``numpy.ndarray((1,), 'O', buffer)`` takes the bytes of a
file for the address of an object. So the names in a file stand for the checked functions and
classes of this module, never for NumPy's or mmengine's own."""

import math
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any, NoReturn

import numpy as np
from mmengine.logging import HistoryBuffer

REFUSED = 'only tensors, numbers and log histories may be in a checkpoint, it has '
STATISTICS = ('min', 'max', 'mean', 'current')


def refused(what: str) -> UnpicklingError:
    """The error that names what a file holds. torch puts its own text around it."""
    return UnpicklingError(f'{REFUSED}{what}')


class PickledDtype:
    """A type of numbers, by its name and byte order.

    Args:
        name: Such as ``'f8'``; booleans, integers, floating-point and complex numbers.
        flags: Whether NumPy aligns and copies; of no effect on numbers.

    Raises:
        UnpicklingError: Any other type, such as one of objects or with fields.
    """

    def __init__(self, name: str, *flags: bool) -> None:
        try:
            self.dtype = np.dtype(name if isinstance(name, str) else 'O')
        except TypeError:
            self.dtype = np.dtype('O')
        if self.dtype.kind not in 'biufc':
            raise refused(f'numpy.dtype({name!r:.40})')

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ('<', '>', '|', '='):
            raise refused(f'numpy.dtype with the state {state!r:.40}')
        if any(part is not None for part in state[2:5]):
            raise refused('numpy.dtype with fields')
        self.dtype = self.dtype.newbyteorder(state[1])


class PickledArray(np.ndarray):
    """An array of numbers that a file holds whole: its shape, type and bytes. It is saved again as
    an ordinary array.

    Raises:
        UnpicklingError: Objects, a shape that the bytes do not fill, or anything else.
    """

    def __new__(cls, *_: Any) -> 'PickledArray':
        return super().__new__(cls, (0,), np.int8)

    def __setstate__(self, state: Any) -> None:
        try:
            version, shape, dtype, fortran, data = state
            fits = (
                isinstance(dtype, PickledDtype)
                and isinstance(shape, tuple)
                and len(shape) <= 32  # the most of NumPy 1
                and all(type(size) is int and size >= 0 for size in shape)
                and isinstance(data, bytes)
                and len(data) == math.prod(shape) * dtype.dtype.itemsize
            )
        except (TypeError, ValueError, AttributeError):
            fits = False
        if not fits:
            raise refused('a numpy.ndarray whose bytes do not fit its shape and type')
        super().__setstate__((version, shape, dtype.dtype, bool(fortran), data))  # type: ignore[arg-type]

    def __reduce__(self) -> Any:
        return np.array(self, subok=False).__reduce__()


class PickledHistory(HistoryBuffer):
    """A log history: two arrays of equal length and the greatest length. It is an ordinary
    ``HistoryBuffer`` once it has them.

    Raises:
        UnpicklingError: Anything else.
    """

    def __init__(self, *_: Any) -> None:
        raise refused('a call of HistoryBuffer')

    def __setstate__(self, state: Any) -> None:
        try:
            values, counts = state['_log_history'], state['_count_history']
            most = state['max_length']
            fits = (
                isinstance(values, PickledArray)
                and isinstance(counts, PickledArray)
                and values.ndim == 1
                and values.shape == counts.shape
                and type(most) is int
                and most > 0
            )
        except (TypeError, KeyError):
            fits = False
        if not fits:
            raise refused('a HistoryBuffer without two arrays of equal length')
        HistoryBuffer.__init__(self, max_length=most)
        self._log_history, self._count_history = np.array(values), np.array(counts)
        self.__class__ = HistoryBuffer


def scalar(dtype: Any, data: Any) -> np.generic:
    """A NumPy scalar.

    Raises:
        UnpicklingError: Not a type of numbers and the bytes of one.
    """
    if not (
        isinstance(dtype, PickledDtype)
        and isinstance(data, bytes)
        and len(data) == dtype.dtype.itemsize
    ):
        raise refused('a numpy scalar whose bytes do not fit its type')
    return np.frombuffer(data, dtype.dtype)[0]


def no_bytes() -> bytes:
    """What pickle writes for the bytes of an empty array."""
    return b''


def ndarray(*_: Any) -> NoReturn:
    """What ``numpy.ndarray`` stands for: a name that is passed on to :func:`reconstruct`, and never
    called."""
    raise refused('a call of numpy.ndarray')


def reconstruct(*_: Any) -> PickledArray:
    """An empty array, which gets its shape, type and bytes afterwards."""
    return PickledArray()


def statistic(owner: Any, name: Any) -> str:
    """All that ``getattr`` may do: name a statistic of a log history.

    Raises:
        UnpicklingError: Any other attribute.
    """
    if owner is not PickledHistory or name not in STATISTICS:
        raise refused(f'getattr(…, {name!r:.40})')
    return name


# Entries of ``torch.serialization.safe_globals``: what a name in a file stands for. NumPy's
# internals have another module name since its version 2. A class that builds itself has to be
# listed too.
SAFE_GLOBALS: list[Callable | tuple[Callable, str]] = [
    (PickledHistory, f'{HistoryBuffer.__module__}.HistoryBuffer'),
    (statistic, 'builtins.getattr'),
    (no_bytes, 'builtins.bytes'),
    (ndarray, 'numpy.ndarray'),
    (PickledDtype, 'numpy.dtype'),
    *(
        (stand_in, f'numpy.{core}.multiarray.{name}')
        for core in ('core', '_core')
        for name, stand_in in (('_reconstruct', reconstruct), ('scalar', scalar))
    ),
    PickledArray,
]
