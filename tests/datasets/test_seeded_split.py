from pathlib import Path

import pytest
from mmengine.registry import DATASETS

import pinas_mm  # noqa: F401
from pinas_mm.datasets import Digits
from pinas_mm.errors import InputError


def split(part, held_out=100, **kwargs):
    config = dict(
        type='pinas_mm.SeededSplit',
        dataset=dict(type='pinas_mm.Digits', split='learning'),
        part=part,
        held_out=held_out,
    )
    return DATASETS.build(config | kwargs)


def images(dataset):
    return [dataset[i]['img'].tobytes() for i in range(len(dataset))]


@pytest.mark.slow
def test_parts_are_disjoint_and_complete():
    learning, held_out = images(split('learning')), images(split('held_out'))
    assert len(held_out) == 100 and not set(learning) & set(held_out)
    assert sorted(learning + held_out) == sorted(images(Digits('learning')))


@pytest.mark.slow
def test_the_seed_fixes_the_parts():
    assert (
        images(split('held_out'))
        == images(split('held_out', seed=0))
        != images(split('held_out', seed=1))
    )


def test_held_out_samples_come_from_everywhere():
    """Neither the first nor the last of the dataset, which are often sorted by class."""
    whole = images(Digits('learning'))
    places = sorted(whole.index(image) for image in images(split('held_out', 300)))
    thirds = [
        sum(third * 366 <= place < (third + 1) * 366 for place in places) for third in range(3)
    ]
    assert min(thirds) > 70


def test_metainfo_and_pipeline_are_kept():
    dataset = split('held_out')
    assert isinstance(dataset, Digits) and dataset.metainfo == Digits('learning').metainfo
    assert dataset[0]['img'].shape == (32, 32, 3)


@pytest.mark.parametrize(
    'part, held_out, message',
    [
        ('train', 100, "part='train'"),
        ('learning', 0, 'held_out=0 of 1097 samples in Digits'),
        ('learning', 1097, 'held_out=1097 of 1097'),
        ('held_out', -1, 'held_out=-1'),
    ],
)
def test_wrong_arguments_are_named(part, held_out, message):
    with pytest.raises(InputError, match=message):
        split(part, held_out)


def test_a_missing_or_empty_folder_is_named(tmp_path):
    (tmp_path / 'empty/cat').mkdir(parents=True)
    for folder, reason in (('none', 'none'), ('empty', 'Found 0 files')):
        dataset = dict(
            type='mmpretrain.CustomDataset', data_root=str(tmp_path / folder), pipeline=[]
        )
        with pytest.raises(
            InputError,
            match=f"SeededSplit: mmpretrain.CustomDataset of '{tmp_path}/{folder}': .*{reason}",
        ):
            DATASETS.build(
                dict(type='pinas_mm.SeededSplit', dataset=dataset, part='learning', held_out=10)
            )


@pytest.fixture
def persons(tmp_path):
    """Forty images of ten persons, one to seven of each."""
    lines = [
        f'{person:03d}_{number}M{20 + person}.jpg {20 + person} M'
        for person, count in enumerate([1, 7, 4, 4, 2, 6, 3, 5, 3, 5])
        for number in range(count)
    ]
    (tmp_path / 'list.txt').write_text('\n'.join(lines))
    return dict(
        type='pinas_mm.AgeGenderList', tasks='age', data_root=str(tmp_path), ann_file='list.txt'
    )


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(4))
def test_nobody_is_in_both_parts(persons, seed):
    names = {
        part: [
            Path(info['img_path']).name for info in map(dataset.get_data_info, range(len(dataset)))
        ]
        for part in ('learning', 'held_out')
        for dataset in [split(part, 10, dataset=persons, group=r'^(\d+)_', seed=seed)]
    }
    found = {part: {name[:3] for name in names[part]} for part in names}
    assert (
        not found['learning'] & found['held_out']
        and len(found['learning'] | found['held_out']) == 10
    )
    assert len(names['learning']) + len(names['held_out']) == 40
    # Ten images, and at most the others of the last person.
    assert 10 <= len(names['held_out']) < 10 + 7


@pytest.mark.slow
def test_groups_that_cannot_be_made_are_named(persons):
    with pytest.raises(InputError, match=r"group='P\(.\)' is not in the file name '000_0M20.jpg'"):
        split('learning', 10, dataset=persons, group='P(.)')
    with pytest.raises(
        InputError, match=r"group='\(Z\)\?M' is not in the file name '000_0M20.jpg'"
    ):
        split('learning', 10, dataset=persons, group='(Z)?M')
    with pytest.raises(
        InputError, match=r"group='M' is not in the file name '' of Digits"
    ):  # whose images are no files
        split('learning', 10, group='M')
    with pytest.raises(
        InputError,
        match=r"held_out=38 of 40 samples in 1 groups by '\[MF\]': none is left to learn from",
    ):
        split('learning', 38, dataset=persons, group='[MF]')


@pytest.mark.parametrize('share, count', [(0.1, 110), (0.5, 548), (1e-9, 1), (0.9995, 1096)])
def test_a_share_of_the_samples(share, count):
    assert len(split('held_out', share)) == count
    assert len(split('learning', share)) == 1097 - count


def test_what_is_no_share_and_no_number_is_named():
    for held_out in (1.0, 0.0, -0.5, 2.5, True):
        with pytest.raises(
            InputError, match=rf'held_out={held_out} of 1097 samples in Digits: exp'
        ):
            split('learning', held_out)
    with pytest.raises(InputError, match='SeededSplit: no held_out: expected a share such as 0.1'):
        split('learning', None)


def wrapped(kind, **kwargs):
    part = dict(type='pinas_mm.Digits', split='learning', indices=60)
    return dict(type=kind, **kwargs) | (
        dict(datasets=[part, dict(part, split='held_out')])
        if kind == 'ConcatDataset'
        else dict(dataset=part)
    )


@pytest.mark.parametrize(
    'dataset, size',
    [
        (wrapped('ConcatDataset'), 120),
        (wrapped('RepeatDataset', times=3), 180),
        (wrapped('mmpretrain.KFoldDataset', num_splits=3, seed=0), 40),
    ],
)
def test_wrappers_are_looked_into(dataset, size):
    """No image is in both parts, however often a wrapper repeats it."""
    parts = {name: split(name, 0.25, dataset=dataset) for name in ('learning', 'held_out')}
    found = {name: images(part) for name, part in parts.items()}
    assert not set(found['learning']) & set(found['held_out'])
    assert len(found['learning']) + len(found['held_out']) == size
    assert len(found['held_out']) == size // 4
    assert images(split('held_out', 0.25, dataset=dataset)) == found['held_out']
    assert parts['learning'].metainfo['classes'] == Digits.METAINFO['classes']
    labels = [parts['held_out'].get_data_info(index)['gt_label'] for index in range(size // 4)]
    assert labels == [parts['held_out'][index]['gt_label'] for index in range(size // 4)]


def test_a_wrapper_that_mixes_images_is_refused():
    """Its mosaics would show held-out images while learning."""
    with pytest.raises(
        InputError,
        match=r'around MultiImageMixDataset, which mixes images, .*: expected dict\('
        r"type='MultiImageMixDataset', dataset=dict\(type='pinas_mm.SeededSplit', ...\), ...\)",
    ):
        split('learning', dataset=wrapped('mmdet.MultiImageMixDataset', pipeline=[]))
