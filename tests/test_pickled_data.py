"""Files made by hand, pickle's own opcodes included, against what torch reads of them."""

import io
import os
import pickle
import random
import zipfile
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from pickle_programs import bytes_of, call, name, number, text, together, write

from pinas_mm.checkpoint import load_checkpoint, pickled_data
from pinas_mm.errors import InputError
from pinas_mm.pickled_data import PickledArray, PickledDtype

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
    list_for_bytes=array((1,), DOUBLE, [1.0] * 8),
    shape_of_a_list=array([1], DOUBLE, b'A' * 8),
    dtype_of_text=array((1,), 'f8', b'A' * 8),
    true_as_a_size=array((True,), DOUBLE, b'A' * 8),
    strides_that_wrap=array((0, 2**63 - 1), DOUBLE, b''),
    sizes_that_wrap=array((2**62, 2**62, 0), DOUBLE, b''),
    booleans_of_no_truth=array((2,), np.dtype('?'), b'\1\2'),
    boolean_of_no_truth=Call(SCALAR, (np.dtype('?'), b'\xff')),
    state_of_text=Call(RECONSTRUCT, (np.ndarray, (0,), b'b'), 'state'),
    by_columns_as_text=Call(
        RECONSTRUCT, (np.ndarray, (0,), b'b'), (1, (1,), DOUBLE, 'F', b'A' * 8)
    ),
    no_state=Call(RECONSTRUCT, (np.ndarray, (0,), b'b'), (1,)),
    fields=np.zeros(1, dtype='i4,f4'),
    dates=np.zeros(1, dtype='M8[s]'),
    text=np.array(['text']),
    short_scalar=Call(SCALAR, (DOUBLE, b'A')),
    scalar_of_objects=Call(SCALAR, (np.dtype('O'), b'A' * 8)),
    dtype_of_nothing=Call(np.dtype, ('no such type',)),
    dtype_with_a_shape=Call(np.dtype, ('3f8',)),
    dtype_of_two=Call(np.dtype, ('f8,f8',)),
    dtype_of_a_list=Call(np.dtype, (['f8'],)),
    dtype_order=Call(np.dtype, ('f8', False, True), (3, 'S', None, None, None, -1, -1, 0)),
    dtype_order_in_an_array=Call(
        np.dtype, ('f8', False, True), (3, np.ones(2), None, None, None, -1, -1, 0)
    ),
    dtype_short_state=Call(np.dtype, ('f8', False, True), (3, '<')),
    bytes_of_a_size=Call(bytes, (2**40,)),
    dtype_state=Call(np.dtype, ('f8', False, True), (3, '<', None, ('a',), {}, 8, 1, 0)),
    history_called=Call(HistoryBuffer, ([1.0], [1])),
    history_of_lists=history(_log_history=[1.0]),
    counts_in_a_list=history(_count_history=[1]),
    histories_of_numbers=history(_log_history=1.0, _count_history=1.0),
    history_of_unequal_arrays=history(_count_history=np.ones(2)),
    history_of_no_length=history(max_length=None),
    history_of_negative_length=history(max_length=-1),
    history_of_tables=history(_log_history=np.ones((1, 1)), _count_history=np.ones((1, 1))),
    other_attribute=Call(getattr, (HistoryBuffer, '__init__')),
    attribute_of_another=Call(getattr, (torch.Tensor, 'min')),
    attribute_named_by_an_array=Call(getattr, (HistoryBuffer, np.ones(2))),
)


@pytest.mark.parametrize('name', REFUSED)
def test_all_else_is_refused_in_one_line(tmp_path, name):
    expected = (
        'not loadable as a checkpoint of plain tensors: only tensors, numbers and log histories'
    )
    with pytest.raises(InputError, match=expected) as error:
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


# Programs that Python's own pickler never writes.
def dtype_of(kind):
    return call('numpy.dtype', text(kind), b'\x89', b'\x88')


def empty():
    return call(f'{RECONSTRUCT.__module__}._reconstruct', name('numpy.ndarray'), b')', bytes_of(1))


def content(count, kind='u1', letter='A'):
    return together(
        number(1),
        together(number(count)),
        dtype_of(kind),
        b'\x89',
        bytes_of(count * int(kind[1:]), letter),
    )


FIRST = empty() + content(5000) + b'bq\0'
SHARED = call(
    'torch._utils._rebuild_device_tensor_from_numpy',
    b'h\0',
    name('torch.uint8'),
    text('cpu'),
    b'\x89',
)
PROGRAMS = {
    # NumPy frees the first content, which the tensor still reads.
    'two contents': together(FIRST, SHARED, b'h\0' + content(1, letter='B') + b'b'),
    'a content in itself': empty() + b'q\0' + together(b'h\0', b'h\0') + b'b',
    'the class by its name': name('pinas_mm.pickled_data.PickledArray')
    + together(together(number(8)))
    + b'\x81',
    'the class by its short name': name('PickledArray') + together(together(number(8))) + b'\x81',
    'another class by its name': name('pinas_mm.pickled_data.PickledDtype') + b')\x81',
    'a dtype made by no call': name('numpy.dtype') + b')\x81',
    'an array made by no call': name('numpy.ndarray') + together(together(number(8))) + b'\x81',
    'a history without a class': name('mmengine.logging.history_buffer.HistoryBuffer') + b'Nb',
    'an array that is called': empty() + content(2) + b'b)R',
    'an array that makes objects': empty() + content(2) + b'b)\x81',
    'a state of a function': name('builtins.getattr') + b'}b',
    'what the class is': together(
        call(
            'torch._tensor._rebuild_from_type_v2',
            name(f'{RECONSTRUCT.__module__}._reconstruct'),
            name('torch.Tensor'),
            together(name('numpy.ndarray'), b')', bytes_of(1)),
            b'}' + text('__class__') + name('torch.Tensor') + b's',
        )
    ),
}


@pytest.mark.parametrize('program', PROGRAMS)
def test_programs_of_pickle_are_refused_in_one_line(tmp_path, program):
    write(tmp_path / 'a.pth', PROGRAMS[program])
    with pytest.raises(InputError, match='not loadable as a checkpoint') as error:
        load_checkpoint(tmp_path / 'a.pth')
    assert '\n' not in str(error.value)


def test_programs_of_the_same_parts_load(tmp_path):
    """What is refused above is refused for what it does."""
    write(tmp_path / 'a.pth', together(FIRST, SHARED, empty() + content(3, 'f8') + b'b'))
    first, shared, third = load_checkpoint(tmp_path / 'a.pth')['value']
    assert bytes(first) == bytes(shared.tolist()) == b'A' * 5000 and third.shape == (3,)
    assert type(first) is PickledArray


def test_a_history_without_a_state_is_an_empty_one(tmp_path):
    write(tmp_path / 'a.pth', name('mmengine.logging.history_buffer.HistoryBuffer') + b')\x81')
    found = load_checkpoint(tmp_path / 'a.pth')['value']
    found.update(1.0)
    assert found.current() == 1
    write(tmp_path / 'a.pth', name('mmengine.logging.history_buffer.HistoryBuffer') + b')\x81Nb')
    with pytest.raises(InputError, match='it has a HistoryBuffer without two arrays of equal len'):
        load_checkpoint(tmp_path / 'a.pth')


def test_a_dtype_alone_is_saved_again_as_an_ordinary_one(tmp_path):
    found = read(tmp_path / 'a.pth', np.dtype('>f8'))
    assert type(found) is PickledDtype and found.dtype == np.dtype('>f8')
    assert pickle.loads(pickle.dumps(found)) == np.dtype('>f8')


def random_program(rng, memo, depth=4):
    """A value made of the names and states of a checkpoint, put together at random."""
    inner = partial(random_program, rng, memo, depth - 1)
    names = (
        'mmengine.logging.history_buffer.HistoryBuffer',
        'builtins.getattr',
        'builtins.bytes',
        'numpy.ndarray',
        'numpy.dtype',
        f'{RECONSTRUCT.__module__}._reconstruct',
        f'{RECONSTRUCT.__module__}.scalar',
        'torch._utils._rebuild_device_tensor_from_numpy',
        'torch._tensor._rebuild_from_type_v2',
        'torch.Tensor',
        'torch.uint8',
        'collections.OrderedDict',
        'builtins.bytearray',
    )
    kind = rng.randrange(4 if depth == 0 else 11)
    if kind == 0:
        return number(rng.choice([0, 1, 2, 5000, -1, 2**40, 2**63]))
    if kind == 1:
        return text(rng.choice(['f8', 'u1', 'O', 'min', 'cpu', '<', '_log_history', 'data']))
    if kind == 2:
        return b'N' if not memo else b'h' + bytes([rng.randrange(len(memo))])
    if kind == 3:
        return bytes_of(rng.choice([0, 1, 8, 5000]))
    if kind == 4:
        return empty() + content(rng.choice([0, 2, 5000])) + b'b'
    if kind == 5:
        return together(*(inner() for _ in range(rng.randrange(4))))
    if kind == 6 and len(memo) < 200:
        value = inner()
        memo.append(value)
        return value + b'q' + bytes([len(memo) - 1])
    if kind == 7:
        return name(rng.choice(names))
    if kind == 8:
        return inner() + (content(2) if rng.random() < 0.5 else inner()) + b'b'
    end = b'\x81' if kind == 9 else b'R'
    return name(rng.choice(names)) + together(*(inner() for _ in range(rng.randrange(5)))) + end


def test_random_programs_never_do_more_than_raise():
    """2,000 of them; what they make is read and copied after the memory of refused ones is free."""
    rng, outcomes = random.Random(0), Counter()
    for _ in range(2000):
        file, memo = io.BytesIO(), []
        write(file, together(*(random_program(rng, memo) for _ in range(3))))
        file.seek(0)
        try:
            with pickled_data():
                found = torch.load(file, weights_only=True)['value']
        except Exception as error:
            outcomes[type(error).__name__] += 1
            continue
        outcomes['read'] += 1
        for value in found:
            if isinstance(value, np.ndarray | torch.Tensor):
                assert repr(value + 0)
    assert outcomes['read'] > 300 and outcomes['UnpicklingError'] > 300


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
