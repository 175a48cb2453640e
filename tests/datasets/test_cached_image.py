import multiprocessing
import os
import pickle

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.registry import TRANSFORMS
from PIL import Image

from pinas_mm.datasets import LoadCachedImage


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


@pytest.mark.parametrize('damage', ['torn line', 'cut images', 'no images', 'empty images'])
def test_a_damaged_cache_is_decoded_again(images, tmp_path, damage):
    loader = LoadCachedImage(str(tmp_path / 'cache'))
    for path in images[:2]:
        loader(dict(img_path=path))
    if damage == 'torn line':
        loader.index.write_bytes(loader.index.read_bytes()[:-9])
    elif damage == 'no images':
        loader.images.unlink()
    else:
        os.truncate(loader.images, 20 if damage == 'cut images' else 0)
    for _ in range(2):
        again = LoadCachedImage(str(tmp_path / 'cache'))
        for path in images:
            equal(again(dict(img_path=path)), plain(path))


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
