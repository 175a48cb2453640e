import pytest
from command_line import worker_message
from mmengine.dataset import RepeatDataset
from odd_images import corrupt, cut, with_map, write_odd_images

from pinas_mm.datasets import ClassFolders
from pinas_mm.datasets.named_loading import name_unreadable_files
from pinas_mm.engine.loaders import build_loader
from pinas_mm.errors import InputError

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=8), dict(type='PackInputs')]


@pytest.fixture
def root(tmp_path):
    return write_odd_images(tmp_path / 'images', train=2, test=1)


def test_the_file_and_the_reason(root, tiny):
    config = dict(
        type='pinas_mm.ClassFolders', data_root=str(root), data_prefix='train', pipeline=PIPELINE
    )
    dataset = RepeatDataset(dict(type='ConcatDataset', datasets=[config]), 2)
    name_unreadable_files(dataset)
    path = root / 'train/cat/0 alpha.png'
    assert dataset[0]['inputs'].shape == (3, 8, 8)
    corrupt(path)
    with pytest.raises(InputError, match=f'^{path}: not an image that can be decoded$'):
        dataset[6]
    path.write_bytes(b'')
    with pytest.raises(InputError, match=f'^{path}: not an image that can be decoded$'):
        dataset[0]
    path.unlink()
    with pytest.raises(InputError, match=f'^{path}: No such file or directory$'):
        dataset[0]


def test_a_segmentation_map_is_named(tmp_path):
    dataset = with_map(tmp_path)
    assert dataset[0]['gt_seg_map'].shape == (8, 8)
    path = tmp_path / 'ann/2.png'
    for spoil in (corrupt, lambda path: path.write_bytes(b'')):
        spoil(path)
        with pytest.raises(InputError, match=f'^{path}: not an image that can be decoded$'):
            dataset[0]
    path.unlink()
    with pytest.raises(InputError, match=f'^{path}: No such file or directory$'):
        dataset[0]


def test_settings_that_fit_no_image_are_no_fault_of_files(tmp_path):
    """mmseg asserts that the dataset's reduce_zero_label is the transform's."""
    dataset = with_map(tmp_path)
    dataset.pipeline.transforms[1].reduce_zero_label = True
    with pytest.raises(AssertionError, match='reduce_zero_label'):
        dataset[0]
    del dataset.data_list[0]['img_path']
    with pytest.raises(KeyError, match='img_path'):
        dataset[0]
    dataset.data_list[0]['img_path'] = f'{tmp_path}/img/2.jpg'
    dataset.pipeline.transforms[0].imdecode_backend = 'unknown'
    with pytest.raises(ValueError, match='unknown'):
        dataset[0]


def test_an_error_of_another_transform_keeps_its_traceback(root, tiny):
    dataset = ClassFolders(data_root=str(root), data_prefix='train', pipeline=PIPELINE[:1])
    dataset.pipeline.transforms.append(lambda results: results['none'])
    name_unreadable_files(dataset)
    with pytest.raises(KeyError, match='none'):
        dataset[0]


@pytest.mark.parametrize('name', ['11_long.jpg', '5.webp', '6.bmp', '3_palette.png', '8.JPG'])
def test_a_file_that_ends_early_is_named_by_a_worker(tmp_path, tiny, name):
    """An interrupted copy. The message of a worker's error ends in ours (command_line.py)."""
    root = write_odd_images(tmp_path / 'images', train=12, test=1)
    cut(root / 'train/dog' / name)
    data = dict(
        type='pinas_mm.ClassFolders', data_root=str(root), data_prefix='train', pipeline=PIPELINE
    )
    loader = build_loader(dict(batch_size=6, num_workers=1, sampler=None, dataset=data))
    with pytest.raises(InputError) as caught:
        list(loader)
    assert str(caught.value).startswith('Caught InputError in DataLoader worker')
    expected = f'{root}/train/dog/{name}: not an image that can be decoded'
    assert worker_message(caught.value).strip() == expected
