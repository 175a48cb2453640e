import pickle

import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope
from mmpretrain.structures import DataSample

from pinas_mm.datasets.unsharded_sampler import sample_classes
from pinas_mm.engine.loaders import whole_set_loader
from pinas_mm.errors import InputError
from pinas_mm.tasks.domains import UnlabelledDomain
from pinas_mm.tasks.domains.digit_domains import write_digit_domain

SEEN = []
PACKED = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


def images(folder, **kwargs):
    return (
        dict(type='CustomDataset', data_root=folder, pipeline=PACKED, serialize_data=False) | kwargs
    )


@TRANSFORMS.register_module()
class _Spy(BaseTransform):
    """Notes what a pipeline is told, and writes a label of its own making."""

    def transform(self, results):
        SEEN.append(set(results))
        results['gt_label'] = 7
        return results


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    init_default_scope('mmpretrain')
    path = tmp_path_factory.mktemp('grey')
    write_digit_domain(path, 'grey', num_images=20)
    return str(path)


def test_images_without_labels(folder):
    labelled = DATASETS.build(images(folder))
    dataset = UnlabelledDomain(images(folder))
    assert len(dataset) == len(labelled) == 20 and dataset.metainfo == labelled.metainfo
    for index in range(20):
        ours, theirs = dataset[index], labelled[index]
        assert torch.equal(ours['inputs'], theirs['inputs']) and ours.keys() == theirs.keys()
        sample = ours['data_samples']
        assert isinstance(sample, DataSample) and not sample.all_keys(), (
            'not even a path, which holds the class'
        )
        assert dataset.get_data_info(index).keys() == {'img_path', 'sample_idx'}


def test_nothing_of_it_holds_a_label(folder):
    dataset = UnlabelledDomain(images(folder))
    assert b'gt_label' not in pickle.dumps(dataset) and {
        key for info in dataset.data_list for key in info
    } == {'img_path'}
    # So no loader can draw each class in proportion: the draw would depend on the labels.
    assert sample_classes(dataset) is None
    assert (
        len(
            whole_set_loader(
                dict(dataset=dataset, batch_size=5, num_workers=0), num_samples=10, seed=1
            ).sampler
        )
        == 10
    )


def test_pipelines_are_told_of_the_image_alone(folder):
    SEEN.clear()
    dataset = UnlabelledDomain(images(folder, pipeline=[dict(type='_Spy'), *PACKED]))
    assert not dataset[3]['data_samples'].all_keys()
    assert SEEN == [{'img_path', 'sample_idx'}]


def test_subsets_and_splits(folder):
    split = dict(type='pinas_mm.SeededSplit', held_out=5, dataset=images(folder))
    held_out, learning = (
        UnlabelledDomain(dict(split, part=part)) for part in ('held_out', 'learning')
    )
    paths = [
        {dataset.get_data_info(index)['img_path'] for index in range(len(dataset))}
        for dataset in (held_out, learning)
    ]
    assert (len(paths[0]), len(paths[1]), len(paths[0] & paths[1])) == (5, 15, 0)
    assert len(learning.get_subset([1, 3])) == 2


@pytest.mark.parametrize(
    'config, message',
    [
        (
            dict(type='CustomDataset', data_root='nowhere', data_prefix='images'),
            "CustomDataset of 'nowhere' 'images': no images can be read",
        ),
        (dict(type='CustomDataset', data_root='EMPTY'), 'no images can be read: Found 0 files'),
        (
            dict(
                type='pinas_mm.SeededSplit',
                part='learning',
                held_out=2,
                dataset=dict(type='CustomDataset', data_root='EMPTY'),
            ),
            "UnlabelledDomain: SeededSplit: CustomDataset of '.*EMPTY': Found 0 files",
        ),
        (
            dict(type='CustomDataset', data_root='.', ann_file='EMPTY/list.txt'),
            'no images|no image',
        ),
        (
            dict(type='ConcatDataset', datasets=[dict(type='pinas_mm.Digits')]),
            'a ConcatDataset, expected a plain mm dataset',
        ),
    ],
)
def test_bad_domains(tmp_path, monkeypatch, config, message):
    init_default_scope('mmpretrain')
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'EMPTY/0').mkdir(parents=True)
    (tmp_path / 'EMPTY/list.txt').write_text('')
    with pytest.raises(InputError, match=message) as error:
        UnlabelledDomain(config)
    assert str(error.value).startswith('UnlabelledDomain: ')
