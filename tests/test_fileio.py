import errno
import os

import pytest

from pinas_mm.errors import InputError
from pinas_mm.fileio import (
    PART,
    folder_written_atomic,
    locked,
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


@pytest.mark.parametrize(
    'content',
    [
        None,
        b'{',
        b'\xff\xfe\x00',
        b'!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [hacked]]',
        b'!!python/name:os.system',
    ],
)
def test_what_is_not_plain_yaml_is_named(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'data.yaml'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        InputError,
        match='no such file' if content is None else 'cannot be read as YAML of plain data',
    ) as error:
        read_yaml(path)
    assert str(path) in str(error.value) and not (tmp_path / 'hacked').exists()
