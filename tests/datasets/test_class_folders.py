import shutil

import pytest
from mmpretrain.datasets import CustomDataset
from odd_images import write_odd_images
from PIL import Image

from pinas_mm.datasets import ClassFolders
from pinas_mm.errors import InputError


@pytest.fixture
def root(tmp_path):
    return write_odd_images(tmp_path / 'images', train=14, test=3)


def build(root, part, **kwargs):
    return ClassFolders(data_root=str(root), data_prefix=part, **kwargs)


@pytest.mark.parametrize('slash', ['', '/'])
def test_images_and_classes_are_those_of_mmpretrain(root, slash):
    """For folders that agree, file by file; with or without a slash at the end of the root."""
    for part in ('train', 'test'):
        theirs = CustomDataset(
            data_root=str(root / part), extensions=('.jpg', '.png', '.bmp', '.webp')
        )
        ours = build(f'{root}{slash}', part, classes_from='train')
        assert ours.metainfo == theirs.metainfo and len(ours) == len(theirs)
        for index in range(len(ours)):
            assert ours.get_data_info(index) == theirs.get_data_info(index)
    assert len(ours) == 9 and ours.metainfo['classes'] == ('cat', 'dog', 'frog')


def test_every_kind_of_image_is_read(root):
    load = [dict(type='LoadImageFromFile')]
    for sample in build(root, 'train', pipeline=load):
        assert sample['img'].ndim == 3 and sample['img'].dtype == 'uint8'


def test_labels_are_numbers_of_the_training_folders(root):
    """A class folder that the test set alone has not, or has alone, would shift all that follow."""
    shutil.rmtree(root / 'test/dog')
    with pytest.raises(
        InputError,
        match=rf'{root}/test has other classes than {root}/train, which numbers them: missing '
        'folders: dog; unknown folders: none',
    ):
        build(root, 'test', classes_from='train')
    (root / 'test/ant').mkdir()
    with pytest.raises(
        InputError, match='missing folders: dog; unknown folders: ant. Expected the'
    ):
        build(root, 'test', classes_from='train')
    build(root, 'train')


@pytest.mark.parametrize(
    'setting, message',
    [
        (dict(ann_file='list.txt'), "ann_file='list.txt'"),
        (dict(with_label=False), 'with_label=False'),
        (dict(metainfo=dict(classes=['dog', 'cat'])), r"metainfo.classes=\['dog', 'cat'\]"),
        (dict(classes=['dog', 'cat']), r"classes=\['dog', 'cat'\]"),
    ],
)
def test_what_would_name_other_labels_is_refused(root, setting, message):
    with pytest.raises(InputError, match=rf'^ClassFolders: {message}: .*expected .*CustomDataset'):
        build(root, 'train', **setting)


def test_settings_that_say_what_holds_anyway_are_taken(root):
    dataset = build(root, 'train', ann_file='', with_label=True, metainfo=dict(source='web'))
    assert dataset.metainfo == dict(source='web', classes=('cat', 'dog', 'frog'))


def test_an_empty_folder_is_named(root):
    (root / 'train/bird').mkdir()
    (root / 'train/bird/notes.txt').write_text('no image')
    with pytest.raises(InputError, match=rf'{root}/train: no image in bird: remove the folder'):
        build(root, 'train')


def test_what_begins_with_a_dot_is_no_class_and_no_image(root):
    expected = len(build(root, 'train'))
    for folder in ('train/.ipynb_checkpoints', 'train/cat/.ipynb_checkpoints'):
        (root / folder).mkdir()
        Image.new('RGB', (8, 8)).save(root / folder / 'a.png')
    Image.new('RGB', (8, 8)).save(root / 'train/cat/._a.png')
    assert len(build(root, 'train')) == expected


@pytest.mark.parametrize('part, reason', [('none', 'No such file'), ('train/cat', 'no subfolders')])
def test_a_folder_without_classes_is_named(root, part, reason):
    with pytest.raises(InputError, match=f'{root}/{part}: {reason}.*expected'):
        build(root, part)


def test_files_that_are_left_out_are_said_once(root, caplog):
    said = []
    for _ in range(2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr('pinas_mm.datasets.class_folders.warn_once', said.append)
            build(root, 'test')
    assert said[0] == said[1] and said[0].startswith(f'{root}/test: 3 files are left out')
    assert said[0].endswith(': 3 x .txt')


def test_a_training_set_tells_that_the_test_set_does_not_fit(root):
    """Before anything is trained; a split that does not exist is no fault."""
    build(root, 'train', other_splits=['test', 'extra']).full_init()
    shutil.rmtree(root / 'test/dog')
    with pytest.raises(
        InputError,
        match=rf'{root}/test has other classes than {root}/train, .* missing folders: dog;',
    ):
        build(root, 'train', other_splits=['test'])
