import shutil

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from torch.utils.data import IterableDataset, TensorDataset

from pinas_mm.datasets import ClassFolders, Digits, SeededSplit
from pinas_mm.datasets import fingerprint as module
from pinas_mm.datasets.fingerprint import fingerprint


@pytest.fixture
def folder(tmp_path):
    """Two classes of eight files each, of unequal sizes; they are never opened."""
    for number, name in enumerate(('cat', 'dog')):
        (tmp_path / 'images/train' / name).mkdir(parents=True)
        for index in range(8):
            (tmp_path / f'images/train/{name}/{index}.jpg').write_bytes(b'x' * (9 * index + number))
    return tmp_path / 'images'


def classes(folder, **kwargs):
    return ClassFolders(str(folder), data_prefix='train', pipeline=[], **kwargs)


def halve(train):
    for file in train.glob('*/[4-7].jpg'):
        file.unlink()


def replace(train):
    """With as many of the same names."""
    for file in train.glob('cat/*.jpg'):
        file.write_bytes(b'y' * 100)


def one_class_less(train):
    shutil.rmtree(train / 'dog')


def rename(train):
    (train / 'cat/2.jpg').rename(train / 'cat/2a.jpg')


def relabel(train):
    (train / 'cat/7.jpg').rename(train / 'dog/9.jpg')


def add(train):
    (train / 'dog/8.jpg').write_bytes(b'x')


@pytest.mark.parametrize('change', [halve, replace, one_class_less, rename, relabel, add])
@pytest.mark.parametrize('serialised', [True, False])
def test_changed_data_are_told(folder, change, serialised):
    before = fingerprint(classes(folder, serialize_data=serialised))
    change(folder / 'train')
    assert fingerprint(classes(folder, serialize_data=serialised)) != before


@pytest.mark.parametrize('change', [halve, replace, one_class_less, rename, relabel])
def test_of_many_samples_some_are_looked_at(folder, change, monkeypatch):
    monkeypatch.setattr(module, 'MOST_NAMES', 12)
    monkeypatch.setattr(module, 'MOST_FILES', 5)
    before = fingerprint(classes(folder))
    change(folder / 'train')
    assert (fingerprint(classes(folder)) != before) == (change is not rename)


def test_so_many_are_spread_evenly():
    assert module._spread(np.arange(5), 5).tolist() == [0, 1, 2, 3, 4]
    assert module._spread(np.arange(101), 5).tolist() == [0, 25, 50, 75, 100]
    assert len(set(module._spread(np.arange(1_281_167), 4096).tolist())) == 4096


def test_moved_or_copied_data_are_the_same(folder, tmp_path, monkeypatch):
    before = fingerprint(classes(folder))
    assert before['samples'] == 16
    shutil.copytree(folder, tmp_path / 'other disk/copy')
    folder.rename(tmp_path / 'elsewhere')
    (tmp_path / 'link').symlink_to('elsewhere')
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path / 'elsewhere', 'elsewhere/', './link', tmp_path / 'other disk/copy'):
        assert fingerprint(classes(place)) == before
    assert fingerprint(classes('link', serialize_data=False)) == before
    split = dict(type='pinas_mm.ClassFolders', data_prefix='train', pipeline=[])
    parts = [
        SeededSplit(dict(split, data_root=str(root)), 'held_out', 4)
        for root in (tmp_path / 'elsewhere', 'other disk/copy')
    ]
    assert fingerprint(parts[0]) == fingerprint(parts[1]) != before


def test_wrappers_have_the_data_of_what_they_wrap(folder):
    plain = classes(folder)
    before = fingerprint(ConcatDataset([plain, plain]))
    assert before['samples'] == 32
    assert fingerprint(RepeatDataset(plain, times=2))['samples'] == 32
    rename(folder / 'train')
    assert fingerprint(ConcatDataset([plain, classes(folder)])) != before


def test_without_files_it_is_of_what_is_in_memory():
    before = fingerprint(Digits())
    assert before == fingerprint(Digits(pipeline=[dict(type='mmpretrain.PackInputs')]))
    assert before['samples'] == 1097
    assert before != fingerprint(Digits(split_seed=1)), 'as many, of another split'
    digits = Digits(serialize_data=False)
    digits.data_list[7]['gt_label'] += 1
    assert fingerprint(digits) != before


class Boxes(BaseDataset):
    METAINFO = dict(classes=('cell',))

    def __init__(self, width):
        self.width = width
        super().__init__()

    def load_data_list(self):
        boxes = [dict(bbox=[0, 0, np.float32(self.width), 4.0], bbox_label=np.int64(0))]
        return [dict(img_path='a.jpg', instances=boxes, more={2, 1}, what=object())]


def test_boxes_are_known_and_what_has_no_text_of_its_own_is_left_out():
    assert fingerprint(Boxes(3)) == fingerprint(Boxes(3)) != fingerprint(Boxes(4))


def test_of_other_datasets_the_number_is_known():
    one, two = (fingerprint(TensorDataset(torch.zeros(count))) for count in (3, 4))
    assert one['samples'] == 3 and two['samples'] == 4

    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(3))

    assert fingerprint(Stream()) is None


def test_what_is_known_of_a_sample_may_be_anything():
    class Named(list):
        def get_data_info(self, index):
            return self[index]

    found = [fingerprint(Named(names)) for names in (['a', 'b'], ['a', 'b'], ['a', 'c'])]
    assert found[0] == found[1] != found[2]


class Labelled(BaseDataset):
    """Three images of these labels."""

    def load_data_list(self):
        labels = self.metainfo['labels']
        return [dict(img_path=f'{i}.jpg', gt_label=label) for i, label in enumerate(labels)]


def test_labels_are_known_also_of_samples_that_are_not_looked_at_closely(monkeypatch):
    monkeypatch.setattr(module, 'MOST_FILES', 2)
    a, b = (fingerprint(Labelled(metainfo=dict(labels=labels))) for labels in ([0, 1, 0], [0] * 3))
    assert a['samples'] == b['samples'] == 3 and a['contents'] != b['contents']
