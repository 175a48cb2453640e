import shutil

import pytest
from mmengine.registry import init_default_scope

from pinas_mm.errors import InputError
from pinas_mm.tasks.domains import DomainPair
from pinas_mm.tasks.domains.digit_domains import write_digit_domain

PACKED = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


def folder(path, **kwargs):
    return (
        dict(type='CustomDataset', data_root=str(path), pipeline=PACKED, serialize_data=False)
        | kwargs
    )


@pytest.fixture(scope='module')
def office(tmp_path_factory):
    """Office-31's layout."""
    init_default_scope('mmpretrain')
    tmp_path = tmp_path_factory.mktemp('office')
    write_digit_domain(tmp_path / 'amazon/images', 'grey', num_images=30)
    write_digit_domain(tmp_path / 'webcam/images', 'inverted', num_images=12)
    for digit in range(10):
        for domain in ('amazon', 'webcam'):
            (tmp_path / domain / 'images' / str(digit)).mkdir(exist_ok=True)
    (tmp_path / 'empty/0').mkdir(parents=True)
    shutil.copytree(tmp_path / 'webcam/images/0', tmp_path / 'other/0')
    shutil.copytree(tmp_path / 'webcam/images/1', tmp_path / 'other/bike')
    return tmp_path


def test_both_domains_are_marked_and_the_source_alone_has_labels(office):
    pair = DomainPair(folder(office / 'amazon/images'), folder(office / 'webcam/images'))
    assert (
        len(pair) == 42
        and pair.cumulative_sizes == [30, 42]
        and len(pair.metainfo['classes']) == 10
    )
    for index in range(42):
        sample = pair[index]['data_samples']
        assert sample.domain == ('source' if index < 30 else 'target')
        if index < 30:
            assert str(int(sample.gt_label)) == sample.img_path.split('/')[-2]
        else:
            assert sample.all_keys() == ['domain'], 'nothing else'


def test_a_target_that_names_no_classes(office):
    """Loose images, as a target that nobody has labelled would be."""
    loose = office / 'loose'
    loose.mkdir()
    for path in (office / 'webcam/images').glob('*/*.png'):
        shutil.copy(path, loose / path.name)
    assert len(DomainPair(folder(office / 'amazon/images'), folder(loose, with_label=False))) == 42


@pytest.mark.parametrize(
    'source, target, message',
    [
        (
            'amazon/images',
            'dslr/images',
            r'the target domain of DomainPair: UnlabelledDomain: CustomDataset of '
            r"'.*dslr/images': no images",
        ),
        (
            'empty',
            'webcam/images',
            r"the source domain of DomainPair: CustomDataset of '.*empty': no images can be read: "
            r'Found 0 files',
        ),
        (
            'amazon/images',
            'empty',
            r"the target domain of DomainPair: .*empty': no images can be read: Found 0 files",
        ),
        (
            'amazon/images',
            'other',
            r"other classes, 10 in the source and 2 in the target; only in the source: \['1', "
            r".*target: \['bike'\]",
        ),
    ],
)
def test_bad_pairs(office, source, target, message):
    with pytest.raises(InputError, match=message):
        DomainPair(folder(office / source), folder(office / target))


def test_a_source_without_labels(office):
    with pytest.raises(
        InputError, match='source domain of DomainPair: CustomDataset gives no labels'
    ):
        DomainPair(
            folder(office / 'amazon/images', with_label=False), folder(office / 'webcam/images')
        )


def test_classes_in_another_order(office):
    names = tuple('9876543210')
    with pytest.raises(InputError, match='another order'):
        DomainPair(
            folder(office / 'amazon/images'),
            folder(office / 'webcam/images', metainfo=dict(classes=names)),
        )
