import pytest
from mmengine.config import Config

import pinas_mm  # noqa: F401
from pinas_mm.datasets import Digits
from pinas_mm.datasets.fingerprint import fingerprint
from pinas_mm.engine.run_data import data_of, without_roots


def loader(**dataset):
    return dict(batch_size=4, dataset=dict(type='pinas_mm.Digits') | dataset)


def test_every_dataset_that_a_config_reads_has_its_fingerprint():
    config = Config(
        dict(
            train_dataloader=loader(),
            val_dataloader=loader(split='held_out', indices=20),
            test_dataloader=loader(split='lost'),  # cannot be built
            arch_evaluation=dict(calibration_dataloader=loader(pipeline=[])),
            custom_hooks=[dict(type='A'), dict(type='B', bank_dataloader=loader(split='test'))],
        )
    )
    assert data_of(config) == {
        'train_dataloader': fingerprint(Digits()),
        'val_dataloader': fingerprint(Digits('held_out', indices=20)),
        'arch_evaluation.calibration_dataloader': fingerprint(Digits()),
        'custom_hooks.1.bank_dataloader': fingerprint(Digits('test')),
    }


@pytest.mark.parametrize('root', ['data/coco', '/disk/data/coco/', '~/coco'])
def test_settings_are_compared_without_where_the_data_are(root):
    root = root.rstrip('/')
    config = Config(
        dict(
            data_root=f'{root}/',
            train_dataloader=dict(
                batch_size=2,
                dataset=dict(
                    type='RepeatDataset',
                    dataset=dict(type='X', data_root=f'{root}/', ann_file='train.json'),
                ),
            ),
            val_dataloader=dict(batch_size=2, dataset=dict(type='X', data_root='.')),
            val_evaluator=[dict(type='Y', ann_file=f'{root}/val.json', other=f'{root}2/val.json')],
            model=dict(depth=50, names=('a', f'{root}')),
        )
    )
    before = config.to_dict()
    found = without_roots(config.to_dict(), config)
    assert found['data_root'] == '<data_root>'
    assert found['train_dataloader']['dataset']['dataset'] == dict(
        type='X', data_root='<data_root>', ann_file='train.json'
    )
    assert found['val_dataloader']['dataset']['data_root'] == '.'
    assert found['val_evaluator'] == [
        dict(type='Y', ann_file='<data_root>/val.json', other=f'{root}2/val.json')
    ]
    assert found['model'] == dict(depth=50, names=['a', '<data_root>'])
    assert config.to_dict() == before
