import pytest
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmengine.registry import DATASETS
from mmpretrain.datasets import KFoldDataset

from pinas_mm.datasets import Digits, SeededSamples
from pinas_mm.datasets.wrappers import (
    ChosenSamples,
    metainfo,
    plain_datasets,
    plain_sample,
    sample_info,
    sample_infos,
)


class Balanced(Digits):
    """Digits that say their classes, as a class-balanced dataset wants it."""

    def get_cat_ids(self, idx):
        return [self.get_data_info(idx)['gt_label']]


class Renamed(Digits):
    """Digits that add to what their list says."""

    def get_data_info(self, idx):
        return super().get_data_info(idx) | dict(name=f'digit {idx}')


DIGITS = dict(type='pinas_mm.Digits', split='learning', indices=30)


def digits(kind=Digits, **kwargs):
    return kind('learning', indices=30, **kwargs)


WRAPPERS = dict(
    concat=lambda: ConcatDataset([digits(), Digits('held_out', indices=7)]),
    repeat=lambda: RepeatDataset(digits(), 3),
    balanced=lambda: ClassBalancedDataset(digits(Balanced), oversample_thr=0.2),
    kfold=lambda: KFoldDataset(DIGITS, fold=1, num_splits=3, seed=5),
    nested=lambda: RepeatDataset(dict(type='ConcatDataset', datasets=[DIGITS, DIGITS]), 2),
    chosen=lambda: ChosenSamples(RepeatDataset(digits(), 2), [3, 40, 59]),
    seeded=lambda: SeededSamples(ConcatDataset([digits(), digits()])),
    plain=digits,
    in_a_list=lambda: digits(serialize_data=False),
    not_read_yet=lambda: digits(lazy_init=True),
    own_record=lambda: RepeatDataset(digits(Renamed), 2),
)


@pytest.mark.parametrize('name', WRAPPERS)
def test_a_sample_is_found_in_the_dataset_it_comes_from(name):
    """The image that the wrapper gives is the one of the plain dataset."""
    dataset = WRAPPERS[name]()
    infos = list(sample_infos(dataset))
    expected = [sample_info(dataset, index) for index in range(len(dataset))]
    assert list(map(repr, infos)) == list(map(repr, expected))
    assert len(infos) == len(dataset) > 0
    parts = {id(part) for part in plain_datasets(dataset)}
    for index, info in enumerate(infos):
        plain, place = plain_sample(dataset, index)
        assert id(plain) in parts and isinstance(plain, Digits)
        assert (plain[place]['img'] == dataset[index]['img']).all()
        assert info['gt_label'] == dataset[index]['gt_label']
    assert metainfo(dataset)['classes'] == Digits.METAINFO['classes']


def test_a_dataset_that_says_nothing_is_a_plain_one():
    dataset = [1, 2, 3]
    assert plain_sample(dataset, 2) == (dataset, 2) and list(plain_datasets(dataset)) == [dataset]
    assert list(sample_infos(dataset)) == [{}, {}, {}] and metainfo(dataset) == {}
    assert DATASETS.get('pinas_mm.Digits') is Digits
