import errno
import os
import socket
import time

import pytest

from pinas_mm.errors import InputError
from pinas_mm.fileio import (
    MOST_BYTES,
    PART,
    folder_written_atomic,
    locked,
    read_bytes,
    read_json,
    read_text,
    read_yaml,
    remove_stale_parts,
    text_written_atomic,
    write_atomic,
)


@pytest.mark.parametrize('fails', ['writer', 'fsync', 'replace'])
def test_a_full_disk_leaves_the_old_file_alone(tmp_path, monkeypatch, fails):
    def no_space(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    def write(file):
        file.write(b'half of the new')
        if fails == 'writer':
            no_space()

    path = tmp_path / 'file'
    path.write_bytes(b'old')
    if fails != 'writer':
        monkeypatch.setattr(os, fails, no_space)
    with pytest.raises(OSError, match='No space left'):
        write_atomic(path, write)
    assert path.read_bytes() == b'old' and os.listdir(tmp_path) == ['file']


def test_the_old_file_stays_readable_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / 'new/folder/file'

    def write(file):
        assert not path.exists()
        file.write(b'first')

    def replace(file):
        file.write(b'second')
        file.flush()
        assert path.read_bytes() == b'first'

    write_atomic(path, write)
    write_atomic(path, replace)
    assert path.read_bytes() == b'second' and os.listdir(path.parent) == ['file']


def test_parts_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path):
    """A dead one's number may be in use again; parts of other programs are none of ours."""
    kept = [f'b.{os.getppid()}{PART}', 'c.part', 'archive.rar.part1']
    for name in (f'a.1{PART}', *kept):
        (tmp_path / name).touch()
    (tmp_path / f'e.2{PART}/below').mkdir(parents=True)
    with locked(tmp_path / kept[0]) as living:
        assert living
        write_atomic(tmp_path / 'd', lambda file: file.write(b'whole'))
        assert sorted(os.listdir(tmp_path)) == sorted([*kept, 'd'])
    write_atomic(tmp_path / 'd', lambda file: file.write(b'whole'))
    assert sorted(os.listdir(tmp_path)) == sorted([*kept[1:], 'd'])


def test_a_part_that_is_being_written_is_locked(tmp_path):
    def write(file):
        file.write(b'half')
        remove_stale_parts(tmp_path)
        file.write(b', whole')

    write_atomic(tmp_path / 'file', write)
    assert (tmp_path / 'file').read_bytes() == b'half, whole'


def test_a_folder_appears_when_all_is_in_it(tmp_path):
    folder = tmp_path / 'new'
    with pytest.raises(ZeroDivisionError), folder_written_atomic(folder) as part:
        (part / 'file').touch()
        1 / 0  # noqa: B018
    assert not os.listdir(tmp_path)
    with folder_written_atomic(folder) as part:
        (part / 'file').touch()
        remove_stale_parts(tmp_path)
        assert not folder.exists()
    assert os.listdir(tmp_path) == ['new'] and os.listdir(folder) == ['file']


def test_file_and_folder_are_synced_in_order(tmp_path, monkeypatch):
    """Else a power cut could leave the rename without the content, or neither."""
    done, fsync, replace = [], os.fsync, os.replace

    def record_fsync(number):
        done.append(os.path.basename(os.readlink(f'/proc/self/fd/{number}')))
        fsync(number)

    def record_replace(old, new):
        done.append(f'-> {new.name}')
        replace(old, new)

    monkeypatch.setattr(os, 'fsync', record_fsync)
    monkeypatch.setattr(os, 'replace', record_replace)
    write_atomic(tmp_path / 'file', lambda file: None)
    assert done == [f'file.{os.getpid()}{PART}', '-> file', tmp_path.name]


def test_text_that_is_not_finished_is_not_written(tmp_path):
    path = tmp_path / 'last'
    path.write_text('old')
    with pytest.raises(ZeroDivisionError), text_written_atomic(path) as file:
        file.write('half')
        1 / 0  # noqa: B018
    assert path.read_text() == 'old'
    with text_written_atomic(path) as file:
        file.write('new')
        assert path.read_text() == 'old'
    assert path.read_text() == 'new'


def test_plain_data_is_read(tmp_path):
    path = tmp_path / 'data.yaml'
    path.write_text('arch: [0, 1]\nscore: 0.5\n')
    assert read_yaml(path) == dict(arch=[0, 1], score=0.5)


def read(tmp_path, reader, content):
    path = tmp_path / 'data'
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return reader(path)


@pytest.mark.parametrize(
    'reader, content, value',
    [
        (read_yaml, 'a: 2020-01-01', dict(a='2020-01-01')),  # no type that JSON does not have
        (
            read_yaml,
            'a: 2020-01-01 10:00:00\n<<: {b: 1}',
            {'a': '2020-01-01 10:00:00', '<<': {'b': 1}},
        ),
        (read_yaml, '\ufeffa: &name [1, .5, yes, ~, 0x10]', dict(a=[1, 0.5, True, None, 16])),
        (read_yaml, '', None),
        (read_yaml, f'a: {"9" * 100}', dict(a=10**100 - 1)),
        (read_yaml, '[' * 64 + ']' * 64, 64),
        (read_json, '[' * 64 + ']' * 64, 64),
        (
            read_json,
            '\ufeff{"a": [1, 0.5, true, null, "\\u0000"]}',
            dict(a=[1, 0.5, True, None, '\0']),
        ),
        (read_json, f'[{"9" * 100}, 1e308]', [10**100 - 1, 1e308]),
        (read_json, '{"a": {"b": 1}, "b": {"b": 1}}', dict(a=dict(b=1), b=dict(b=1))),
        (read_text, 'a\r\nb', 'a\r\nb'),
        (read_bytes, b'\0\xff', b'\0\xff'),
    ],
)
def test_plain_data_of_odd_files(tmp_path, reader, content, value):
    found = read(tmp_path, reader, content)
    if value == 64:  # levels
        value = None
        for _ in range(64):
            value = [] if value is None else [value]
    assert found == value


@pytest.mark.parametrize(
    'reader, content, message',
    [
        (read_yaml, '{', 'cannot be read as YAML of plain data: while parsing a flow'),
        (read_yaml, b'\xff\xfe\x00', 'no text in UTF-8: byte 0 is none of it'),
        (read_yaml, 'a: 1'.encode('utf-16'), 'no text in UTF-8'),
        (read_yaml, 'a: \0', 'no text: byte 3 is 0'),
        (
            read_yaml,
            '!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [x]]',
            'cannot be read as YAML of plain data: a tag is not plain data',
        ),
        (read_yaml, '!!python/name:os.system', 'a tag is not plain data'),
        *(
            (read_yaml, f'a: !!{tag}', 'cannot be read as YAML of plain data: a tag is not plain')
            for tag in ('binary aGk=', 'set {a}', 'omap [a: 1]', 'timestamp 2020-01-01', 'int x')
        ),
        (read_yaml, 'a: &a [x, x]\nb: [*a, *a]', 'a reference is not plain data'),
        (read_yaml, 'a: &a {b: *a}', 'a reference is not plain data'),
        (read_yaml, 'a: &a {b: 1}\nc: {<<: *a}', 'a reference is not plain data'),
        (read_yaml, 'a: 1\na: 2', "key 'a' is there twice"),
        (read_yaml, '1: 1\ntrue: 2', 'key True is there twice'),
        (read_yaml, '{[a]: 1}', 'found unhashable key'),
        (read_yaml, 'a\n---\nb', 'expected a single document'),
        (read_yaml, 'a: 0b_', 'cannot be read as YAML of plain data'),
        (read_yaml, 'a: 1.0e+999', 'a=inf: expected a finite number, such as 0.5'),
        (read_yaml, 'a: [1, {b: .nan}]', r'a\.1\.b=nan: expected a finite number'),
        (read_yaml, f'a: {"9" * 101}', 'a=9{90,101}: expected a number of at most 100 digits'),
        (read_yaml, f'a: {"9" * 9999}', 'a number of more than 100 digits'),
        (read_yaml, f'a: 0x{"f" * 9999}', 'a number of more than 100 digits'),
        (read_yaml, f'a: 1{":59" * 9999}', 'a number of more than 100 digits'),
        (read_yaml, f'a: 1{":59" * 9999}.5', 'a number of more than 100 digits'),
        (read_yaml, '[' * 65 + ']' * 65, 'is nested deeper than 64 levels'),
        *(
            (read_yaml, start * 50_000, 'is nested deeper than 64 levels')
            for start in ('[', '{a: ', '- ', '? ', '[\n')
        ),
        (read_yaml, f'[{"1, " * 50_000}]', 'more than 10,000 values'),
        (read_yaml, 'a' * (2**18 + 1), 'has 262,145 bytes, expected at most 262,144'),
        (read_yaml, '"' + 'a' * 2**17, 'found unexpected end of stream'),
        (read_json, '', r'cannot be read as JSON: Expecting value: line 1 column 1 \(char 0\)'),
        (read_json, '{', 'cannot be read as JSON: Expecting property name'),
        (read_json, '1 2', 'cannot be read as JSON: Extra data'),
        (read_json, b'"\xff"', 'no text in UTF-8: byte 1 is none of it'),
        (read_json, '1'.encode('utf-32'), 'no text in UTF-8'),
        (read_json, '1\0', 'no text: byte 1 is 0'),
        (read_json, '{"a": 1, "b": {"c": 1, "c": 1}}', "key 'c' is there twice"),
        (read_json, 'NaN', 'nan: expected a finite number'),
        (read_json, '{"a": [0, -Infinity]}', r'a\.1=-inf: expected a finite number'),
        (read_json, '[{"a b\\n": 1e999}]', r"0\.'a b\\n'=inf: expected a finite number"),
        (read_json, f'[{"9" * 101}]', '0=9{90,101}: expected a number of at most 100 digits'),
        (read_json, f'[-{"9" * 4000}]', '0=-?.{3,200}: expected a number of at most 100 digits'),
        (read_json, '9' * 10**6, 'cannot be read as JSON: Exceeds the limit'),
        (read_json, '[' * 65 + ']' * 65, 'is nested deeper than 64 levels'),
        (read_json, '[' * 10**6, 'is nested deeper than 64 levels'),
        (read_json, '{"a":' * 10**6, 'is nested deeper than 64 levels'),
    ],
)
def test_what_is_not_plain_data_is_named(tmp_path, monkeypatch, reader, content, message):
    monkeypatch.chdir(tmp_path)
    start = time.perf_counter()
    with pytest.raises(InputError, match=f'^{tmp_path}/data: .*{message}') as error:
        read(tmp_path, reader, content)
    assert len(str(error.value)) < len(str(tmp_path)) + 350 and '\n' not in str(error.value)
    assert time.perf_counter() - start < 2 and os.listdir(tmp_path) == ['data']


@pytest.mark.parametrize('reader', [read_bytes, read_text, read_json, read_yaml])
def test_what_is_no_file_is_named(tmp_path, reader):
    """None is waited for: a pipe has no writer, a device no end."""
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'loop').symlink_to('loop')
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / 'socket'))
        for name, message in {
            'none': r'no such file \(from /',
            '': 'is a folder, expected a file',
            'pipe': 'is a pipe or a device, expected a file',
            'socket': 'cannot be read: No such device or address',
            'loop': 'cannot be read: Too many levels of symbolic links',
            'a\0b': 'cannot be read: embedded null byte',
            'x' * 300: 'cannot be read: File name too long',
            '/dev/zero': 'is a pipe or a device, expected a file',
            '/dev/null/x': 'cannot be read: Not a directory',
        }.items():
            with pytest.raises(InputError, match=message):
                reader(tmp_path / name)


def test_a_large_file_is_not_read(tmp_path):
    with open(tmp_path / 'sparse', 'wb') as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match=r'has 1,099,511,627,776 bytes, expected at most 8,388,6'):
        read_json(tmp_path / 'sparse')


def test_a_file_that_grows_is_read_as_it_was(tmp_path, monkeypatch):
    path, opened = tmp_path / 'growing', os.fstat
    path.write_text('[1]')

    def fstat(descriptor):
        status = opened(descriptor)
        with open(path, 'a') as file:
            file.write(', 2')
        return status

    monkeypatch.setattr(os, 'fstat', fstat)
    assert read_json(path) == [1]


@pytest.mark.parametrize('text', ['[],', '{"a":1},'])
def test_the_largest_files_take_seconds(tmp_path, text):
    content = f'[{text * ((MOST_BYTES - 10) // len(text))}0]'
    start = time.perf_counter()
    with pytest.raises(InputError, match='data: has more than 1,000,000 values'):
        read(tmp_path, read_json, content)
    assert time.perf_counter() - start < 20  # two on an idle machine
