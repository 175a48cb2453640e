"""What a pickled checkpoint may hold beside tensors: arrays and scalars of numbers, and mmengine's
log histories.

``torch.load(weights_only=True)`` calls whatever it is told is safe with whatever a file holds.
NumPy does not expect hostile arguments: ``numpy.ndarray((1,), 'O', buffer)`` takes the bytes of a
file for the address of an object. With ``getattr``, which mmengine allows, a file reaches ``exec``.
So the names in a file stand for the checked functions and classes of this module, never for NumPy's
or mmengine's own."""

import math
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any, Literal, NoReturn

import numpy as np
from mmengine.logging import HistoryBuffer

REFUSED = 'only tensors, numbers and log histories may be in a checkpoint, it has '
STATISTICS = ('min', 'max', 'mean', 'current')
NUMBERS = {
    f'{number.kind}{number.itemsize}': number
    for number in map(np.dtype, '?' + np.typecodes['AllInteger'] + np.typecodes['AllFloat'])
}
BYTE_ORDERS: dict[str, Literal['<', '>', '=']] = {'<': '<', '>': '>', '|': '=', '=': '='}


def refused(what: str) -> UnpicklingError:
    """The error that names what a file holds. torch puts its own text around it."""
    return UnpicklingError(f'{REFUSED}{what}')


class PickledDtype:
    """A type of numbers in the byte order of a file."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype

    def __setstate__(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 4 else None
        if not isinstance(order, str) or order not in BYTE_ORDERS:
            raise refused('a numpy.dtype with another state than its byte order')
        if any(part is not None for part in state[2:5]):
            raise refused('a numpy.dtype with fields')
        self.dtype = self.dtype.newbyteorder(BYTE_ORDERS[order])

    def fits(self, data: Any, count: int) -> bool:
        """Whether ``data`` is the bytes of so many values. A byte of a boolean is 0 or 1: NumPy
        counts those of a mask to know how much memory what it selects takes."""
        return (
            isinstance(data, bytes)
            and len(data) == count * self.dtype.itemsize
            and (self.dtype.kind != 'b' or not data.strip(b'\0\1'))
        )

    def __reduce__(self) -> Any:
        return self.dtype.__reduce__()


class PickledArray(np.ndarray):
    """An array of numbers that a file holds whole: its shape, type and bytes. It is saved again as
    an ordinary array.

    Raises:
        UnpicklingError: Objects, a shape that the bytes do not fill, a second content, or anything
            else.
    """

    def __setstate__(self, state: Any) -> None:
        if 'filled' in self.__dict__:
            # NumPy would free the memory of the first, which a tensor may share by now.
            raise refused('two contents for one numpy.ndarray')
        self.filled = True
        _, shape, dtype, by_columns, data = (
            state if isinstance(state, tuple) and len(state) == 5 else (None,) * 5
        )
        if not (
            isinstance(dtype, PickledDtype)
            and isinstance(shape, tuple)
            and len(shape) <= 32  # the most of NumPy 1
            and all(type(size) is int and size >= 0 for size in shape)
            # NumPy computes strides of empty arrays too, and they wrap around.
            and math.prod(max(size, 1) for size in shape) * dtype.dtype.itemsize < 2**62
            and type(by_columns) is bool
            and dtype.fits(data, math.prod(shape))
        ):
            raise refused('a numpy.ndarray whose bytes do not fit its shape and type')
        super().__setstate__((1, shape, dtype.dtype, by_columns, data))  # type: ignore[arg-type]

    def __reduce__(self) -> Any:
        return np.array(self, subok=False).__reduce__()


class PickledHistory(HistoryBuffer):
    """A log history: two arrays of equal length and the greatest length. It is an ordinary
    ``HistoryBuffer`` once it has them.

    Raises:
        UnpicklingError: Anything else.
    """

    def __new__(cls, *_: Any) -> 'PickledHistory':
        history = super().__new__(cls)
        HistoryBuffer.__init__(history)  # whole also where no state follows
        return history

    def __init__(self, *_: Any) -> None:
        raise refused('a call of HistoryBuffer')

    def __setstate__(self, state: Any) -> None:
        state = state if isinstance(state, dict) else {}
        values, counts = state.get('_log_history'), state.get('_count_history')
        most = state.get('max_length')
        if not (
            isinstance(values, PickledArray)
            and isinstance(counts, PickledArray)
            and values.ndim == 1
            and values.shape == counts.shape
            and type(most) is int
            and most > 0
        ):
            raise refused('a HistoryBuffer without two arrays of equal length')
        self._log_history, self._count_history = np.array(values), np.array(counts)
        self.max_length = most
        self.__class__ = HistoryBuffer


def dtype(name: Any, *_: Any) -> PickledDtype:
    """A type of numbers by the name that NumPy pickles, such as ``'f8'``. Flags for alignment and
    copying follow, of no effect on numbers.

    Raises:
        UnpicklingError: Any other type, such as one of objects or with fields.
    """
    if not isinstance(name, str) or name not in NUMBERS:
        raise refused(f'numpy.dtype({name!r:.40})')
    return PickledDtype(NUMBERS[name])


def scalar(dtype: Any, data: Any) -> np.generic:
    """A NumPy scalar.

    Raises:
        UnpicklingError: Not a type of numbers and the bytes of one.
    """
    if not isinstance(dtype, PickledDtype) or not dtype.fits(data, 1):
        raise refused('a numpy scalar whose bytes do not fit its type')
    return np.frombuffer(data, dtype.dtype)[0]


def no_bytes(*arguments: Any) -> bytes:
    """What pickle writes for the bytes of an empty array.

    Raises:
        UnpicklingError: With arguments it would be others.
    """
    if arguments:
        raise refused('a call of bytes')
    return b''


def ndarray(*_: Any) -> NoReturn:
    """What ``numpy.ndarray`` stands for: a name that is passed on to :func:`reconstruct`, and never
    called."""
    raise refused('a call of numpy.ndarray')


def reconstruct(*_: Any) -> PickledArray:
    """An empty array, which gets its shape, type and bytes afterwards."""
    return PickledArray((0,), np.int8)


def statistic(owner: Any, name: Any) -> str:
    """All that ``getattr`` may do: name a statistic of a log history.

    Raises:
        UnpicklingError: Any other attribute.
    """
    if owner is not PickledHistory or not isinstance(name, str) or name not in STATISTICS:
        raise refused(f'getattr(…, {name!r:.40})')
    return name


# What a name in a file stands for. NumPy's internals have another module name since its version 2.
# A class that builds itself has to be listed too; under a name without a dot, which no file can
# say, it cannot be called.
STAND_INS: dict[str, Callable] = {
    f'{HistoryBuffer.__module__}.HistoryBuffer': PickledHistory,
    'builtins.getattr': statistic,
    'builtins.bytes': no_bytes,
    'numpy.ndarray': ndarray,
    'numpy.dtype': dtype,
    **{
        f'numpy.{core}.multiarray.{name}': stand_in
        for core in ('core', '_core')
        for name, stand_in in (('_reconstruct', reconstruct), ('scalar', scalar))
    },
    'PickledDtype': PickledDtype,
    'PickledArray': PickledArray,
}
