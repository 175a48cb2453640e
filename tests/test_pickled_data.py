"""Files made by hand, pickle's own opcodes included, against what torch reads of them."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from pinas_mm.checkpoint import load_checkpoint
from pinas_mm.errors import InputError

ARRAYS = dict(
    double=np.arange(6.0).reshape(2, 3),
    columns=np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    empty=np.zeros((0, 4)),
    scalar=np.array(3),
    foreign=np.arange(3, dtype='>i4'),
    half=np.ones(2, np.float16),
    flags=np.array([True, False]),
    complex=np.array([1 + 2j]),
)


class Call:
    """Pickles as the call of a function, and what is set on its result."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def read(path, value):
    torch.save(dict(state_dict={}, meta=dict(value=value)), path)
    return load_checkpoint(path)['meta']['value']


@pytest.mark.parametrize('name', ARRAYS)
def test_arrays_of_numbers_come_back_and_are_saved_as_ordinary_ones(tmp_path, name):
    expected = ARRAYS[name]
    found = read(tmp_path / 'a.pth', expected)
    np.testing.assert_array_equal(found, expected)
    # NumPy itself reads foreign byte orders as its own.
    assert found.shape == expected.shape and found.dtype == expected.dtype.newbyteorder('=')
    torch.save(found, tmp_path / 'b.pth')
    assert type(torch.load(tmp_path / 'b.pth', weights_only=False)) is np.ndarray


@pytest.mark.parametrize('value', [np.float32(0.1), np.int64(-7), np.bool_(True)])
def test_scalars_come_back(tmp_path, value):
    found = read(tmp_path / 'a.pth', value)
    assert found == value and type(found) is type(value)


def test_log_histories_come_back_as_they_were(tmp_path):
    for values in ([], [1.5, 2.5]):
        buffer = HistoryBuffer(values, [1] * len(values), max_length=7)
        found = read(tmp_path / 'a.pth', buffer)
        assert type(found) is HistoryBuffer and found.max_length == 7
        assert [part.tolist() for part in found.data] == [values, [1] * len(values)]
        found.update(3.0)
        assert found.statistics('current') == 3


RECONSTRUCT = np.zeros(0).__reduce__()[0]
SCALAR = np.float64(0).__reduce__()[0]
DOUBLE = np.dtype('f8')


def array(shape, dtype, data, version=1):
    return Call(RECONSTRUCT, (np.ndarray, (0,), b'b'), (version, shape, dtype, False, data))


def history(**state):
    buffer = HistoryBuffer([1.0], [1])
    buffer.__dict__.update(state)
    return buffer


REFUSED = dict(
    # Bytes of the file as addresses of objects.
    forged_pointers=Call(np.ndarray, ((1,), 'O', b'A' * 8)),
    # Memory in front of a buffer.
    negative_offset=Call(np.ndarray, ((1,), 'f8', b'A' * 8, -4096)),
    strides=Call(np.ndarray, ((4,), 'f8', b'A' * 8, 0, (4096,))),
    array_of_objects=np.array([1], dtype=object),
    objects_by_state=array((1,), np.dtype('O'), b'A' * 8),
    too_few_bytes=array((1000,), DOUBLE, b'A' * 8),
    too_many_bytes=array((1,), DOUBLE, b'A' * 16),
    negative_shape=array((-1, -1), DOUBLE, b'A' * 8),
    float_shape=array((1.0,), DOUBLE, b'A' * 8),
    many_dimensions=array((1,) * 100, DOUBLE, b'A' * 8),
    list_for_bytes=array((1,), DOUBLE, [1.0]),
    no_state=Call(RECONSTRUCT, (np.ndarray, (0,), b'b'), (1,)),
    fields=np.zeros(1, dtype='i4,f4'),
    dates=np.zeros(1, dtype='M8[s]'),
    text=np.array(['text']),
    short_scalar=Call(SCALAR, (DOUBLE, b'A')),
    scalar_of_objects=Call(SCALAR, (np.dtype('O'), b'A' * 8)),
    dtype_of_nothing=Call(np.dtype, ('no such type',)),
    dtype_state=Call(np.dtype, ('f8', False, True), (3, '<', None, ('a',), {}, 8, 1, 0)),
    history_called=Call(HistoryBuffer, ([1.0], [1])),
    history_of_lists=history(_log_history=[1.0]),
    history_of_unequal_arrays=history(_count_history=np.ones(2)),
    history_of_no_length=history(max_length=None),
    other_attribute=Call(getattr, (HistoryBuffer, '__init__')),
)


@pytest.mark.parametrize('name', REFUSED)
def test_all_else_is_refused_in_one_line(tmp_path, name):
    with pytest.raises(InputError, match='not loadable as a checkpoint') as error:
        read(tmp_path / 'a.pth', REFUSED[name])
    message = str(error.value)
    assert '\n' not in message and len(message) < 300 + len(str(tmp_path))
    # The advice of torch is to switch safety off.
    assert not any(word in message for word in ('weights_only', 'add_safe_globals', 'trust'))


@pytest.mark.parametrize(
    'function, named', [(eval, 'eval'), (os.system, 'posix'), (Path.touch, 'pathlib.Path')]
)
def test_the_name_that_was_refused_is_in_the_message(tmp_path, function, named):
    with pytest.raises(InputError, match=f'it names (the module )?{named}.*could run code'):
        read(tmp_path / 'a.pth', Call(function, ('1 + 1',)))


def test_changed_bytes_never_do_more_than_raise(tmp_path):
    """Single bytes of the pickle of a checkpoint with arrays, scalars and a history, at random."""
    path, rng = tmp_path / 'a.pth', np.random.default_rng(0)
    read(path, dict(ARRAYS, scalar=np.float64(1), history=HistoryBuffer([1.0], [1])))
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in parts if name.endswith('data.pkl'))
    outcomes = set()
    for _ in range(300):
        changed = bytearray(parts[pickled])
        changed[rng.integers(len(changed))] = rng.integers(256)
        with zipfile.ZipFile(path, 'w') as archive:
            for name, data in parts.items():
                archive.writestr(name, bytes(changed) if name == pickled else data)
        try:
            load_checkpoint(path)
            outcomes.add('read')
        except InputError:
            outcomes.add('refused')
    assert outcomes == {'read', 'refused'}
