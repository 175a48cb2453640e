import errno
import os

import pytest

from pinas_mm.errors import InputError
from pinas_mm.fileio import read_yaml, write_atomic


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
