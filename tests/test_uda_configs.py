"""The configs of unsupervised domain adaptation, on a few images in the published folders'
layout."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import our_configs
import pytest
import torch
from mmcv import imread, imwrite
from mmengine.registry import DATASETS, MODELS

from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.pipelines.adaptation import JOINT, Adaptation
from pinas_mm.tasks.domains import CDAN, DANN, MMD
from pinas_mm.tasks.domains.digit_domains import write_digit_domain

OFFICE31, OFFICE_HOME = (
    '_resnest50_1xb64-10k_office31-amazon2webcam.py',
    '_resnest50_1xb64-10k_office-home-art2clipart.py',
)
FOLDERS = {
    OFFICE31: ('data/office31/amazon/images', 'data/office31/webcam/images'),
    OFFICE_HOME: ('data/office_home/Art', 'data/office_home/Clipart'),
}
IMAGES = 40


def read(name):
    return our_configs.read(f'adapt/{name}')


@pytest.fixture(scope='module')
def office(tmp_path_factory):
    """Ten classes in both layouts, as photographs of another shape."""
    root = tmp_path_factory.mktemp('office')
    for look, folder in zip(('grey', 'noisy'), FOLDERS[OFFICE_HOME]):
        write_digit_domain(root / folder, look, num_images=IMAGES)
    for path in root.glob('data/*/*/*/*.png'):
        imwrite(np.pad(imread(path), ((0, 8), (0, 0), (0, 0))), str(path))
    for theirs, ours in zip(FOLDERS[OFFICE_HOME], FOLDERS[OFFICE31]):
        shutil.copytree(root / theirs, root / ours)
    return root


@pytest.mark.parametrize('data, classes, held_out', [(OFFICE31, 31, 159), (OFFICE_HOME, 65, 873)])
def test_the_alignment_is_one_line(data, classes, held_out):
    first = read('uda-dann' + data)
    for name, alignment in (('uda-dann', DANN), ('uda-cdan', CDAN), ('uda-mmd', MMD)):
        config = read(name + data)
        head = config.model.head
        with torch.device('meta'):
            built = MODELS.build(
                config.model.alignment.to_dict()
                | dict(in_channels=head.in_channels, num_classes=head.num_classes)
            )
        assert type(built) is alignment and (head.in_channels, head.num_classes) == (
            config.model.neck.out_channels,
            classes,
        )
        if alignment is CDAN:  # 256 channels and 31 classes are too many products
            assert built.feature_map.shape == (256, 1024)
        assert {key for key in config if config[key] != first.get(key)} == (
            set() if alignment is DANN else {'model'}
        )
    assert first.data_preprocessor.num_classes == classes
    parts = [
        first.train_dataloader.dataset.target,
        first.val_dataloader.dataset.dataset,
        first.arch_evaluation.calibration_dataloader.dataset.dataset,
    ]
    assert [(part.part, part.held_out) for part in parts] == [
        ('learning', held_out),
        ('held_out', held_out),
        ('learning', held_out),
    ]


@pytest.mark.slow
@pytest.mark.parametrize('data', FOLDERS)
def test_the_data(office, monkeypatch, data):
    monkeypatch.chdir(office)
    config = read('uda-dann' + data)
    target = config.train_dataloader.dataset.target
    for part in (
        target,
        config.val_dataloader.dataset.dataset,
        config.arch_evaluation.calibration_dataloader.dataset.dataset,
    ):
        part.held_out = 8
    pair, scored, tested, calibrated = (
        DATASETS.build(copy.deepcopy(loader.dataset))
        for loader in (
            config.train_dataloader,
            config.val_dataloader,
            config.test_dataloader,
            config.arch_evaluation.calibration_dataloader,
        )
    )
    assert [len(dataset) for dataset in (pair, scored, tested, calibrated)] == [
        IMAGES + IMAGES - 8,
        8,
        IMAGES,
        IMAGES - 8,
    ]
    labels = [
        ['gt_label' in dataset.get_data_info(index) for index in range(len(dataset))]
        for dataset in (pair, scored, tested, calibrated)
    ]
    assert labels[0] == [True] * IMAGES + [False] * (IMAGES - 8), 'of both domains the source alone'
    assert not any(labels[1]) and all(labels[2]) and not any(labels[3]), (
        'of the target the test set alone'
    )
    for dataset in (pair, scored, tested, calibrated):
        assert dataset[0]['inputs'].shape == (3, 224, 224)

    def paths(dataset):
        return {dataset.get_data_info(index)['img_path'] for index in range(len(dataset))}

    source, learned = (paths(domain) for domain in pair.datasets)
    assert {Path(path).parents[1] for path in source} == {Path(FOLDERS[data][0])} and paths(
        calibrated
    ) == learned
    assert not learned & paths(scored) and learned | paths(scored) == paths(tested)


@pytest.mark.slow
def test_the_steps_of_an_adaptation(office, monkeypatch, tmp_path):
    """tools/adapt.py on a small supernet and small images."""
    monkeypatch.chdir(office)
    torch.manual_seed(0)
    supernet = SearchableMacroNet(widen_factor=0.125)
    supernet.init_weights()
    save_checkpoint(
        tmp_path / 'source.pth',
        {f'backbone.{key}': value for key, value in supernet.state_dict().items()},
        {},
    )
    config = read('uda-cdan' + OFFICE_HOME)
    config.model.backbone = dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.125)
    config.merge_from_dict(
        {
            'work_dir': str(tmp_path / 'adapt'),
            'model.neck.in_channels': 160,
            'model.head.num_classes': 10,
            'train_cfg.max_iters': 2,
            'model.alignment.hidden_channels': 16,
            'train_dataloader.dataset.target.held_out': 8,
            'val_dataloader.dataset.dataset.held_out': 8,
            'arch_evaluation.calibration_dataloader.dataset.dataset.held_out': 8,
            'held_out': 8,
            'search_loop.num_archs': 4,
            'search_loop.input_size': 32,
            'search_loop.searcher': dict(type='random'),
        }
    )
    small = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(32, 32)),
        dict(type='PackInputs'),
    ]
    for dataset in (
        config.train_dataloader.dataset.source,
        config.train_dataloader.dataset.target.dataset,
        config.test_dataloader.dataset,
        config.val_dataloader.dataset.dataset.dataset,
        config.arch_evaluation.calibration_dataloader.dataset.dataset.dataset,
    ):
        dataset.pipeline = small
    for loader in (
        config.train_dataloader,
        config.val_dataloader,
        config.test_dataloader,
        config.arch_evaluation.calibration_dataloader,
    ):
        loader.update(batch_size=16, num_workers=0, persistent_workers=False)
    report = Adaptation(config, str(tmp_path / 'source.pth')).run('subnet')
    assert 0 <= report['rows'][JOINT]['metrics']['accuracy/top1'] <= 100
    history = (tmp_path / 'adapt/search/history.jsonl').read_text()
    records = [json.loads(line) for line in history.splitlines()[1:]]
    assert (
        'accuracy' not in history
        and {'information/mutual_information'}
        <= next(r for r in records if 'arch' in r)['metrics'].keys()
    )
