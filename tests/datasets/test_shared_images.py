import pytest
import torch
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.registry import DATASETS
from mmpretrain.datasets import CustomDataset
from torch.utils.data import TensorDataset

from pinas_mm.datasets.shared_images import shared_images
from pinas_mm.tasks.domains import DomainPair
from pinas_mm.tasks.domains.digit_domains import write_digit_domain


@pytest.fixture
def folder(tmp_path):
    for look in ('grey', 'noisy'):
        write_digit_domain(tmp_path / look, look, num_images=30)
    return tmp_path


def config(folder, look='grey'):
    return dict(
        type='mmpretrain.CustomDataset',
        data_root=str(folder / look),
        pipeline=[dict(type='mmpretrain.PackInputs')],
    )


@pytest.mark.slow
def test_parts_of_a_split_share_none_and_the_whole_shares_all(folder):
    whole = CustomDataset(data_root=str(folder / 'grey'))
    parts = [
        DATASETS.build(
            dict(type='pinas_mm.SeededSplit', part=part, held_out=10, dataset=config(folder))
        )
        for part in ('learning', 'held_out')
    ]
    assert shared_images(*parts) == []
    held_out = sorted(info['img_path'] for info in map(parts[1].get_data_info, range(10)))
    assert shared_images(parts[1], whole) == shared_images(whole, parts[1]) == held_out
    assert shared_images(whole, CustomDataset(data_root=str(folder / 'noisy'))) == []


@pytest.mark.slow
def test_other_spellings_and_links_are_the_same_files(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / 'link').symlink_to(folder / 'grey')
    absolute = CustomDataset(data_root=str(folder / 'grey'))
    for other in ('grey', './grey', 'noisy/../grey', 'link'):
        assert len(shared_images(absolute, CustomDataset(data_root=other))) == 30


@pytest.mark.slow
def test_datasets_of_datasets_are_looked_into(folder):
    grey, noisy = (CustomDataset(data_root=str(folder / look)) for look in ('grey', 'noisy'))
    both = ConcatDataset([noisy, grey])
    assert len(shared_images(grey, both)) == len(shared_images(noisy, both)) == 30
    assert len(shared_images(both, RepeatDataset(noisy, times=2))) == 30
    pair = DomainPair(source=config(folder), target=config(folder, 'noisy'))
    assert len(shared_images(grey, pair)) == len(shared_images(noisy, pair)) == 30


def test_images_that_are_no_files_are_compared_by_their_records():
    """Such as CIFAR's. A few may be twice in a set: no scans of equal digits prove a leak."""
    held_out, learning, test = (
        DATASETS.build(dict(type='pinas_mm.Digits', split=split, indices=indices))
        for split, indices in (('held_out', None), ('learning', None), ('test', 100))
    )
    assert shared_images(held_out, learning) == shared_images(learning, test) == []
    whole = DATASETS.build(dict(type='pinas_mm.Digits', split='test'))
    assert shared_images(test, whole) == [f'sample {index}' for index in range(100)]
    assert shared_images(ConcatDataset([held_out, test]), whole)[0] == 'sample 300'
    nine = DATASETS.build(dict(type='pinas_mm.Digits', split='test', indices=9))
    assert shared_images(whole, ConcatDataset([learning, nine])) == []
    assert shared_images(test, TensorDataset(torch.zeros(1))) == []
