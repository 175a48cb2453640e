import re

import pytest
from mmcv.transforms import TRANSFORMS, BaseTransform
from odd_images import corrupt, cut, with_map, write_odd_images
from our_configs import TOP

from pinas_mm.engine.config import load_config
from pinas_mm.engine.data_check import ReadOnce, check_data, distinct_samples
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


@TRANSFORMS.register_module()
class NeedsBoxes(BaseTransform):
    def transform(self, results):
        if 'gt_bboxes' not in results:
            raise AssertionError('no boxes')


def test_a_transform_that_fails_is_no_bad_image(config, tmp_path, capsys):
    """Its error fails the tool, as it would fail training."""
    for loader in (config.train_dataloader, config.arch_evaluation.calibration_dataloader):
        loader.dataset.dataset.pipeline.insert(1, dict(type='NeedsBoxes'))
    corrupt(tmp_path / 'images/train/cat/5.webp')
    with pytest.raises(
        RuntimeError,
        match=r'--check-data: the pipelines fail on \d+ of 51 images, such as .*: NeedsBoxes: '
        'AssertionError: no boxes',
    ):
        check_data(config)
    lines = capsys.readouterr().out.splitlines()
    assert f'{tmp_path}/images/train/cat/5.webp: not an image that can be decoded' in lines
    failed = [line for line in lines if line.endswith(': NeedsBoxes: AssertionError: no boxes')]
    assert len(failed) > 30 and all(line.startswith(str(tmp_path)) for line in failed)
    assert lines[-1] == (
        f'--check-data: 51 images read, 1 cannot be used, the pipelines fail on {len(failed)}'
    )


def test_a_missing_segmentation_map_is_listed(tmp_path):
    dataset = with_map(tmp_path)
    assert ReadOnce([(dataset, 0)])[0] is None
    (tmp_path / 'ann/2.png').unlink()
    assert ReadOnce([(dataset, 0)])[0] == (
        f'{tmp_path}/img/2.jpg: {tmp_path}/ann/2.png: No such file or directory',
        True,
    )


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
