import json
import math
import multiprocessing
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.registry import TRANSFORMS
from PIL import Image

from pinas_mm.datasets import LoadCachedImage, cached_image
from pinas_mm.errors import InputError


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    paths = []
    for number, shape in enumerate([(8, 6, 3), (5, 9, 3), (7, 7)]):
        paths.append(str(tmp_path / f'{number}.jpg'))
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(paths[-1])
    return paths


def plain(path):
    return LoadImageFromFile()(dict(img_path=path))


def equal(found, expected):
    assert (
        found.keys() == expected.keys()
        and found['img_shape'] == expected['img_shape']
        and found['ori_shape'] == expected['ori_shape']
    )
    assert found['img'].dtype == expected['img'].dtype and np.array_equal(
        found['img'], expected['img']
    )


def decoding(monkeypatch):
    """Counts what is really decoded."""
    count, transform = [], LoadImageFromFile.transform

    def counting(self, results):
        count.append(results['img_path'])
        return transform(self, results)

    monkeypatch.setattr(LoadImageFromFile, 'transform', counting)
    return count


def test_images_are_decoded_once_and_equal(images, tmp_path, monkeypatch):
    loader = LoadCachedImage(str(tmp_path / 'cache'))
    expected = [plain(path) for path in images]
    count = decoding(monkeypatch)
    for _ in range(3):
        for path, result in zip(images, expected):
            found = loader(dict(img_path=path))
            equal(found, result)
            found['img'][:] = 0  # a pipeline that changes its image does not change the cache
    assert count == images
    another = LoadCachedImage(str(tmp_path / 'floats'), to_float32=True)
    for _ in range(2):
        assert np.array_equal(
            another(dict(img_path=images[0]))['img'], expected[0]['img'].astype(np.float32)
        )
    assert count == [*images, images[0]], 'images are kept as they are decoded'
    count.pop()
    another = LoadCachedImage(str(tmp_path / 'cache'), to_float32=True)
    assert (
        np.array_equal(
            another(dict(img_path=images[0]))['img'], expected[0]['img'].astype(np.float32)
        )
        and count == images
    )
    equal(pickle.loads(pickle.dumps(loader))(dict(img_path=images[1])), expected[1])
    assert count == images
    LoadCachedImage(str(tmp_path / 'cache'), color_type='grayscale')(dict(img_path=images[0]))
    assert len(count) == 4, 'another setting of decoding has its own cache'


def test_a_changed_file_is_noticed(images, tmp_path):
    loader = LoadCachedImage(str(tmp_path / 'cache'))
    loader(dict(img_path=images[0]))
    Image.fromarray(np.full((8, 6, 3), 77, np.uint8)).save(images[0])
    os.utime(images[0], ns=(1, 1))
    for cached in (loader, LoadCachedImage(str(tmp_path / 'cache')), loader):
        equal(cached(dict(img_path=images[0])), plain(images[0]))


def test_it_stays_within_its_bound(images, tmp_path, monkeypatch):
    loader = LoadCachedImage(str(tmp_path / 'cache'), max_gb=200 / 2**30)
    count = decoding(monkeypatch)
    for _ in range(2):
        for path in images:
            loader(dict(img_path=path))
    assert loader.images.stat().st_size <= 200 and count == images + images[1:]


def entry(**changes):
    """Another first line of the index; a function is of the old value."""

    def edit(index, images):
        first, *others = index.read_bytes().splitlines(keepends=True)
        line = json.loads(first)
        for key, value in changes.items():
            line[key] = value(line[key]) if callable(value) else value
        index.write_bytes(json.dumps(line).encode() + b'\n' + b''.join(others))

    return edit


def without(key):
    def edit(index, images):
        first, *others = index.read_bytes().splitlines(keepends=True)
        line = json.loads(first)
        del line[key]
        index.write_bytes(json.dumps(line).encode() + b'\n' + b''.join(others))

    return edit


def line(text):
    """Another text for the first line."""

    def edit(index, images):
        _, *others = index.read_bytes().splitlines(keepends=True)
        index.write_bytes(text + b'\n' + b''.join(others))

    return edit


def swapped(index, images):
    """The pixels of one image under the name of another."""
    first, second, *others = map(json.loads, index.read_text().splitlines())
    first['path'], second['path'] = second['path'], first['path']
    first['version'], second['version'] = second['version'], first['version']
    index.write_text(''.join(json.dumps(line) + '\n' for line in (first, second, *others)))


def cut(size):
    return lambda index, images: os.truncate(images, size)


def flipped(place):
    def edit(index, images):
        data = bytearray(images.read_bytes())
        data[place] ^= 1
        images.write_bytes(data)

    return edit


def in_place_of(file, make):
    def edit(index, images):
        path = dict(index=index, images=images)[file]
        path.unlink()
        make(path)

    return edit


EDITS = {
    'a negative offset': entry(offset=-8),
    'an offset beyond the end': entry(offset=10**6),
    'an offset beyond any file': entry(offset=2**70),
    'an offset of one more': entry(offset=lambda offset: offset + 1),
    'an offset as text': entry(offset='0'),
    'an offset of a fraction': entry(offset=0.5),
    'an offset of NaN': entry(offset=math.nan),
    'no offset': without('offset'),
    'a shape turned': entry(shape=lambda shape: shape[::-1]),
    'a shape of equal size': entry(shape=[6, 8, 3]),
    'a flat shape': entry(shape=lambda shape: [math.prod(shape)]),
    'a negative shape': entry(shape=[-8, -6, 3]),
    'an empty shape': entry(shape=[]),
    'a shape with a zero': entry(shape=[0, 6, 3]),
    'a shape of an absurd size': entry(shape=[10**9, 10**9]),
    'a shape beyond any size': entry(shape=[10**18] * 20),
    'a shape of many sizes': entry(shape=[1] * 100 + [144]),
    'a shape of fractions': entry(shape=[8.0, 6.0, 3.0]),
    'a shape as text': entry(shape='863'),
    'a shape of nothing': entry(shape=None),
    'no shape': without('shape'),
    'another version': entry(version=lambda version: [version[0], version[1] + 1]),
    'a short version': entry(version=[1]),
    'a version as text': entry(version='new'),
    'no version': without('version'),
    'another checksum': entry(checksum=lambda number: number ^ 1),
    'a checksum as text': entry(checksum='0'),
    'a negative checksum': entry(checksum=-1),
    'no checksum': without('checksum'),
    'a path of a list': entry(path=[]),
    'a path of a dict': entry(path={}),
    'a path of a number': entry(path=3),
    'a path that is not there': entry(path='elsewhere.jpg'),
    'no path': without('path'),
    'an unknown key': entry(colour='red'),
    'an entry of the format before': line(b'{"path": "a.jpg", "version": [1, 2], "crc32": 3}'),
    'two images swapped': swapped,
    'a list for a line': line(b'[1, 2]'),
    'a number for a line': line(b'3'),
    'text for a line': line(b'"path"'),
    'null for a line': line(b'null'),
    'an empty line': line(b''),
    'half a line': line(b'{"path": "a.jp'),
    'a deep line': line(b'[' * 100_000),
    'a long number': line(b'{"path": ' + b'1' * 10_000 + b'}'),
    'bytes of no text': line(b'\xff\xfe\x00'),
    'NaN for a line': line(b'NaN'),
    'a torn last line': lambda index, images: index.write_bytes(index.read_bytes()[:-9]),
    'a doubled index': lambda index, images: index.write_bytes(index.read_bytes() * 2),
    'an index cut to a half': lambda index, images: os.truncate(index, index.stat().st_size // 2),
    'an empty index': lambda index, images: os.truncate(index, 0),
    'no index': lambda index, images: index.unlink(),
    'a folder for the index': in_place_of('index', Path.mkdir),
    'a pipe for the index': in_place_of('index', os.mkfifo),
    'images cut': cut(20),
    'images cut by a byte': lambda index, images: os.truncate(images, images.stat().st_size - 1),
    'no bytes of images': cut(0),
    'no images': lambda index, images: images.unlink(),
    'a folder for the images': in_place_of('images', Path.mkdir),
    'a pipe for the images': in_place_of('images', os.mkfifo),
    'a first bit': flipped(0),
    'a last bit': flipped(-1),
    'zeros for the images': lambda index, images: images.write_bytes(bytes(images.stat().st_size)),
    'images in front': lambda index, images: images.write_bytes(b'0' + images.read_bytes()),
}


@pytest.mark.parametrize('edit', EDITS)
def test_a_damaged_cache_is_decoded_again(images, tmp_path, edit):
    """By a loader that has read it before, as a worker of a running training has, and by new
    ones."""
    before = LoadCachedImage(str(tmp_path / 'cache'))
    expected = [plain(path) for path in images]
    for path in images * 2:
        before(dict(img_path=path))
    EDITS[edit](before.index, before.images)
    for loader in (before, LoadCachedImage(str(tmp_path / 'cache')), before):
        for _ in range(2):
            for path, result in zip(images, expected):
                equal(loader(dict(img_path=path)), result)


def test_a_damaged_image_is_cached_again(images, tmp_path, monkeypatch):
    for edit in ('a torn last line', 'half a line', 'a shape turned', 'a first bit', 'images cut'):
        folder = tmp_path / edit
        first = LoadCachedImage(str(folder))
        for path in images:
            first(dict(img_path=path))
        EDITS[edit](first.index, first.images)
        fill(str(folder), images)
        count = decoding(monkeypatch)
        fill(str(folder), images)
        assert count == []


def test_lines_that_follow_a_cut_index_are_read(images, tmp_path, monkeypatch):
    before, folder = LoadCachedImage(str(tmp_path / 'cache')), str(tmp_path / 'cache')
    for path in images[:2] * 2:
        before(dict(img_path=path))
    os.truncate(before.index, 0)
    fill(folder, images[2:])
    count = decoding(monkeypatch)
    before(dict(img_path=images[2]))
    assert count == []


def test_an_image_that_another_process_added_is_not_added_again(images, tmp_path):
    first, second = (LoadCachedImage(str(tmp_path / 'cache')) for _ in range(2))
    image = plain(images[0])['img']
    stat = os.stat(images[0])
    for loader in (first, second):
        loader._store(images[0], (stat.st_size, stat.st_mtime_ns), image)
    assert len(first.index.read_text().splitlines()) == 1
    assert first.images.stat().st_size == image.size


def test_a_cache_that_cannot_be_written_is_said_once(images, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(cached_image, 'warn_once', said.append)
    loader = LoadCachedImage(str(tmp_path / 'cache'))
    loader.index.mkdir()
    for path in images:
        equal(loader(dict(img_path=path)), plain(path))
    assert len(said) == 1 and 'cache/color-cv2: no more images are cached: index.jsonl' in said[0]


def test_a_file_for_the_folder_is_refused(tmp_path):
    (tmp_path / 'cache').touch()
    with pytest.raises(
        InputError, match="cache_dir='.*cache': expected a folder that can be writt"
    ):
        LoadCachedImage(str(tmp_path / 'cache'))


def fill(folder, paths):
    loader = LoadCachedImage(folder)
    for path in paths:
        loader(dict(img_path=path))


def test_processes_share_it(images, tmp_path, monkeypatch):
    context = multiprocessing.get_context('fork')
    workers = [
        context.Process(target=fill, args=(str(tmp_path / 'cache'), paths))
        for paths in (images, images[::-1], images)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    loader = LoadCachedImage(str(tmp_path / 'cache'))
    count = decoding(monkeypatch)
    for path in images:
        equal(loader(dict(img_path=path)), plain(path))
    assert len(count) == 3, 'only those decoded to compare with'
    assert len(loader.index.read_text().splitlines()) == 3
    assert TRANSFORMS.get('pinas_mm.LoadCachedImage') is LoadCachedImage


def test_a_missing_file_is_the_loaders_error(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.jpg'):
        LoadCachedImage(str(tmp_path / 'cache'))(dict(img_path=str(tmp_path / 'none.jpg')))
