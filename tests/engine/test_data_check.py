import re

import pytest
from odd_images import corrupt, cut, write_odd_images
from our_configs import TOP

from pinas_mm.engine.config import load_config
from pinas_mm.engine.data_check import check_data, distinct_samples
from pinas_mm.errors import InputError


@pytest.fixture
def config(tmp_path, monkeypatch):
    root = write_odd_images(tmp_path / 'images', train=14, test=3)
    monkeypatch.setenv('PINAS_DATA', str(root))
    return load_config(TOP / 'pinas/pinas_nasbench-macro-search_cifar10.py', {})


def test_every_image_of_every_dataset_is_read_once(config, tiny, tmp_path, capsys):
    samples = list(distinct_samples([config, config]))
    paths = {dataset.get_data_info(index)['img_path'] for dataset, index in samples}
    endings = ('.jpg', '.png', '.webp', '.bmp')
    files = {
        str(path) for path in (tmp_path / 'images').rglob('*') if path.suffix.lower() in endings
    }
    assert paths == files and len(samples) == len(files) == 3 * 14 + 3 * 3
    check_data(config)
    assert capsys.readouterr().out == '--check-data: 51 images read, 0 cannot be used\n'


def test_bad_images_are_listed_with_the_reason(config, tmp_path, capsys):
    root = tmp_path / 'images'
    corrupt(root / 'train/cat/5.webp')
    cut(root / 'train/dog/11_long.jpg')
    (root / 'train/frog/13.jpg').write_bytes(b'')
    with pytest.raises(
        InputError, match=r'--check-data: 3 of 51 images cannot be used, such as .*: mend or remove'
    ):
        check_data(config)
    lines = capsys.readouterr().out.splitlines()
    patterns = [
        f'{root}/train/cat/5.webp: not an image that can be decoded',
        f'{root}/train/dog/11_long.jpg: not an image that can be decoded',
        f'{root}/train/frog/13.jpg: not an image that can be decoded',
        '--check-data: 51 images read, 3 cannot be used',
    ]
    assert all(re.fullmatch(*pair) for pair in zip(patterns, lines, strict=True)), lines
