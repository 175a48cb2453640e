import copy
import random

import numpy as np
import pytest
import torch
from digit_supernets import build
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import Runner
from odd_images import corrupt, write_odd_images
from torch.utils.data import BatchSampler, IterableDataset

from pinas_mm.datasets.scene_layouts import write_digit_scenes
from pinas_mm.engine.loaders import (
    arch_evaluation,
    build_loader,
    calibration_loader,
    first_images,
    whole_set_loader,
)
from pinas_mm.engine.runner import build_runner
from pinas_mm.errors import InputError, warn_once

CROP = [dict(type='RandomCrop', crop_size=32, padding=8), dict(type='RandomFlip', prob=0.5)]


def read(loader):
    """Images and dataset indices of every batch."""
    return [
        (
            torch.stack(list(batch['inputs'])),
            [sample.sample_idx for sample in batch['data_samples']],
        )
        for batch in loader
    ]


def digits(tiny, **kwargs):
    """The dataset's own samples, in order."""
    dataset = DATASETS.build(tiny.digits(**kwargs)['dataset'])
    return [dataset.get_data_info(i)['sample_idx'] for i in range(len(dataset))]


def indexed(config):
    config['dataset']['pipeline'][-1] |= dict(meta_keys=('sample_idx',))
    return config


def test_calibration_data_are_the_same_at_every_pass_and_whatever_ran_between(tiny):
    config = indexed(tiny.digits(shuffle=True, pipeline=CROP))
    loader = calibration_loader(config, 3, seed=1)
    first = read(loader)
    random.seed(9), np.random.seed(9), torch.manual_seed(9)
    for again in (read(loader), read(calibration_loader(config, 3, seed=1))):
        assert len(again) == len(first) == 3
        for (images, indices), (expected, expected_indices) in zip(again, first):
            assert (
                torch.equal(images, expected) and indices == expected_indices and len(indices) == 16
            )

    other = read(calibration_loader(config, 3, seed=2))
    assert [indices for _, indices in other] != [indices for _, indices in first]
    drawn = [index for _, indices in first for index in indices]
    assert len(set(drawn)) == 48 and set(drawn) <= set(digits(tiny)) and drawn != digits(tiny)[:48]
    assert config == indexed(tiny.digits(shuffle=True, pipeline=CROP)), 'the config is not edited'


def test_a_samples_augmentation_depends_on_the_seed_and_the_sample_alone(tiny):
    config = indexed(tiny.digits(pipeline=CROP))
    by_index = [
        {
            index: image
            for images, indices in read(
                calibration_loader(config | dict(batch_size=size), 99, seed=1)
            )
            for image, index in zip(images, indices)
        }
        for size in (16, 32)
    ]
    assert (
        all(torch.equal(image, by_index[1][index]) for index, image in by_index[0].items())
        and len(by_index[0]) == 64
    )
    plain = {
        index: image
        for images, indices in read(whole_set_loader(indexed(tiny.digits())))
        for image, index in zip(images, indices)
    }
    assert sum(not torch.equal(image, plain[index]) for index, image in by_index[0].items()) > 32, (
        'it is augmented'
    )


def test_only_whole_batches(tiny):
    assert [
        len(indices)
        for _, indices in read(calibration_loader(indexed(tiny.digits(indices=40)), 49))
    ] == [16, 16]
    for indices, batches in ((15, 1), (64, 0)):
        with pytest.raises(
            InputError,
            match=rf'calibration_dataloader: no whole batch .* {indices} samples '
            rf'\(num_batches={batches}\): expected at least 16 images',
        ):
            calibration_loader(tiny.digits(indices=indices), batches)


@pytest.fixture
def said(monkeypatch):
    messages = []

    def print_log(message, **kwargs):
        if message.startswith('BN is recalibrated'):
            messages.append(message)

    monkeypatch.setattr('mmengine.logging.print_log', print_log)
    warn_once.cache_clear()
    return messages


def test_too_few_calibration_images_are_said_once_or_refused(tiny, said):
    key = 'arch_evaluation.calibration_dataloader'
    for _ in range(2):
        calibration_loader(tiny.digits(indices=64), 4)
        assert said == []
    for _ in range(2):
        calibration_loader(tiny.digits(indices=60), 8)
    assert said == [
        f'BN is recalibrated with 48 images: {key} has 60 images, 3 whole batches of 16, and '
        'calibration_batches=8; of fewer than 64 images the scores are unsure'
    ]
    calibration_loader(tiny.digits(indices=64, batch_size=32), 1)
    assert 'with 32 images' in said[1] and 'calibration_batches' not in said[1]
    with pytest.raises(InputError, match=rf'{key}.batch_size=8: .* expected at least 16'):
        calibration_loader(tiny.digits(batch_size=8), 4)
    with pytest.raises(InputError, match='bank_dataloader of KNNHook.batch_size=8: .*'):
        calibration_loader(tiny.digits(batch_size=8), 4, key='bank_dataloader of KNNHook')
    assert len(said) == 2


def cached_transforms(place):
    """RTMDet's kind of training pipeline: transforms that mix an image with those that came before
    it."""
    return dict(
        type='mmdet.CocoDataset',
        data_root=str(place / 'coco'),
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        metainfo=dict(classes=tuple('0123456789')),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmdet.LoadAnnotations', with_bbox=True),
            dict(type='mmdet.CachedMosaic', img_scale=(48, 48), max_cached_images=8),
            dict(type='mmdet.Resize', scale=(48, 48), keep_ratio=False),
            dict(type='mmdet.CachedMixUp', img_scale=(48, 48), max_cached_images=4),
            dict(type='mmdet.PackDetInputs', meta_keys=('img_id',)),
        ],
    )


@pytest.mark.slow
@pytest.mark.parametrize('wrapped', [False, True])
@pytest.mark.parametrize('workers', [0, 2])
def test_transforms_that_remember_samples_give_the_same_at_every_pass(tmp_path, workers, wrapped):
    init_default_scope('mmdet')
    write_digit_scenes(tmp_path / 'scenes', dict(train=40), 48)
    dataset = cached_transforms(tmp_path / 'scenes')
    if wrapped:
        dataset = dict(
            type='ConcatDataset', datasets=[dict(type='RepeatDataset', times=1, dataset=dataset)]
        )
    config = dict(
        batch_size=16,
        num_workers=workers,
        persistent_workers=workers > 0,
        dataset=dataset,
        sampler=None,
    )

    def images(loader):
        return [torch.stack(batch['inputs']) for batch in loader]

    loader = calibration_loader(config, 2)
    first, second = images(loader), images(loader)
    other = images(calibration_loader(config | dict(num_workers=0, persistent_workers=False), 2))
    assert len(first) == 2
    for again in (second, other):
        assert all(map(torch.equal, first, again))
    # They do mix: an image after the first four is not what is on the disk.
    plain = cached_transforms(tmp_path / 'scenes')
    del plain['pipeline'][2], plain['pipeline'][3]
    unmixed = images(calibration_loader(config | dict(dataset=plain), 2))
    assert not any(map(torch.equal, first[0][5:], unmixed[0][5:]))


@pytest.mark.parametrize(
    'sampler',
    [
        dict(sampler=dict(type='DefaultSampler', shuffle=True)),
        dict(sampler=dict(type='InfiniteSampler', shuffle=True)),
        dict(
            sampler=dict(type='DefaultSampler', shuffle=False),
            batch_sampler=dict(type='AspectRatioBatchSampler', _scope_='mmdet', drop_last=True),
        ),
    ],
)
def test_the_whole_set_once_in_order_whatever_the_sampler(tiny, sampler):
    config = indexed(tiny.digits(batch_size=25, **sampler))
    batches = read(whole_set_loader(config))
    assert [len(indices) for _, indices in batches] == [25, 25, 14]
    assert [index for _, indices in batches for index in indices] == digits(tiny)
    assert config == indexed(tiny.digits(batch_size=25, **sampler))


def test_a_part_of_the_whole_set_is_drawn_by_seed(tiny):
    config = indexed(tiny.digits())
    drawn = [
        [index for _, indices in read(whole_set_loader(config, 20, seed)) for index in indices]
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2] and all(
        len(set(part)) == 20 and set(part) <= set(digits(tiny)) for part in drawn
    )
    with pytest.raises(InputError, match='num_samples=0: expected a whole number of at least 1'):
        whole_set_loader(config, 0)


@pytest.fixture
def warned(monkeypatch):
    """What is said once."""
    texts = []
    monkeypatch.setattr('pinas_mm.engine.loaders.warn_once', texts.append)
    return texts


def test_counts_are_at_most_what_there_is(tiny, warned):
    config = indexed(tiny.digits())
    loader = whole_set_loader(config, 65, key='bank_samples')
    assert [index for _, indices in read(loader) for index in indices] == digits(tiny)
    assert warned == ['bank_samples=65: Digits has 64 samples, all are used']


@pytest.mark.parametrize('workers', [0, 1])
def test_a_last_batch_that_would_be_the_only_one_is_not_dropped(tiny, warned, workers):
    """mmengine's training would end at once, without a step."""
    config = indexed(tiny.digits(indices=20, batch_size=32, drop_last=True, num_workers=workers))
    assert len(Runner.build_dataloader(copy.deepcopy(config))) == 0
    assert [len(indices) for _, indices in read(build_loader(config, seed=0))] == [20]
    (text,) = warned
    assert text.startswith('batch_size=32 with drop_last: Digits has 20 samples for a process')
    warned.clear()
    endless = config | dict(sampler=dict(type='InfiniteSampler', shuffle=False))
    assert len(next(iter(build_loader(endless)))['inputs']) == 32, 'goes on with the first'
    whole = indexed(tiny.digits(indices=20, batch_size=16, drop_last=True))
    assert [len(indices) for _, indices in read(build_loader(whole))] == [16]
    assert warned == []


@pytest.mark.parametrize(
    'loop', [dict(by_epoch=True, max_epochs=2), dict(by_epoch=False, max_iters=2)]
)
def test_a_training_on_less_than_a_batch_has_steps(tiny, warned, loop):
    config = tiny.training(loader=tiny.digits(indices=20, batch_size=32, drop_last=True)).cfg
    config.train_cfg, config.experiment_name = loop, f'few_{loop["by_epoch"]}'
    config.custom_hooks = [dict(type='pinas_mm.ArchSamplingHook')]
    runner = build_runner(config)
    runner.train()
    assert runner.iter == 2 and len(warned) == 1


def test_a_batch_sampler_that_makes_no_batch_is_refused(tiny):
    """mmengine's training would end at once, without a step."""
    config = tiny.digits(indices=20, batch_size=32)
    config['batch_sampler'] = dict(type=BatchSampler, drop_last=True)
    message = 'BatchSampler: Digits has 20 samples, which make no batch of 32: expected a smaller'
    with pytest.raises(InputError, match=message):
        build_loader(config, seed=0)
    assert len(build_loader(config | dict(batch_size=20), seed=0)) == 1


def test_a_calibration_batch_is_at_most_the_dataset(tiny, warned):
    loader = calibration_loader(indexed(tiny.digits(indices=20, batch_size=32)), 3)
    assert [len(indices) for _, indices in read(loader)] == [20]
    key = 'arch_evaluation.calibration_dataloader'
    assert warned[0] == f'{key}.batch_size=32: Digits has 20 samples, so the batch is 20'
    assert warned[1].startswith(f'BN is recalibrated with 20 images: {key} has 20 images, 1 whole')


@pytest.mark.parametrize('make', [whole_set_loader, lambda data: calibration_loader(data, 1)])
def test_a_file_that_cannot_be_read_is_named_by_every_loader(tmp_path, tiny, make):
    """Loaders of seeded samples restore their pipelines at every batch."""
    root = write_odd_images(tmp_path / 'images', train=6, test=1)
    corrupt(root / 'train/dog/5.webp')
    dataset = dict(
        type='pinas_mm.ClassFolders',
        data_root=str(root),
        data_prefix='train',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    )
    data = dict(batch_size=18, num_workers=0, sampler=None, dataset=dataset)
    with pytest.raises(InputError, match='train/dog/5.webp: not an image that can be decoded$'):
        list(make(data))


class Endless(IterableDataset):
    """A stream, which has neither a length nor a sampler."""

    def __iter__(self):
        yield from range(10)


class WithLength(Endless):
    """A stream that says how long it is, as torch allows."""

    def __len__(self):
        return 10


@pytest.mark.parametrize('kind', [Endless, WithLength])
@pytest.mark.parametrize('drop_last', [False, True])
def test_a_stream_is_read(kind, drop_last):
    data = dict(batch_size=4, num_workers=0, dataset=kind(), sampler=None, drop_last=drop_last)
    assert list(map(len, build_loader(data, seed=0))) == ([4, 4] if drop_last else [4, 4, 2])
    with pytest.raises(InputError, match=f'^here: {kind.__name__} is a stream: expected a dataset'):
        calibration_loader(data | dict(batch_size=16), 2, key='here')
    with pytest.raises(InputError, match=f'{kind.__name__} is a stream: expected a dataset whose'):
        whole_set_loader(data)


def test_how_archs_are_evaluated_is_written_out():
    loader, other = dict(batch_size=32), dict(batch_size=8, dataset=1)
    config = dict(arch_evaluation=dict(calibration_dataloader=loader), train_dataloader=other)
    whole = dict(calibration_dataloader=loader, calibration_batches=49, autocast=None)
    assert arch_evaluation(config) == arch_evaluation(config, training_set=True) == whole
    assert arch_evaluation(config, calibration_batches=3, autocast=None) == whole | dict(
        calibration_batches=3
    )
    assert arch_evaluation(config, calibration_dataloader=other) == whole | dict(
        calibration_dataloader=other
    )
    few = dict(train_dataloader=other, arch_evaluation=dict(calibration_batches=2))
    assert arch_evaluation(few, training_set=True) == dict(
        calibration_dataloader=dict(batch_size=16, dataset=1), calibration_batches=2, autocast=None
    )
    with pytest.raises(InputError, match='arch_evaluation has no calibration_dataloader: expected'):
        arch_evaluation(few)
    with pytest.raises(InputError, match='arch_evaluation has batches: expected arch_evaluation='):
        arch_evaluation(dict(arch_evaluation=dict(calibration_dataloader=loader, batches=3)))


@pytest.mark.parametrize(('batch', 'expected'), [(2, 16), (20, 20), (150, 128)])
def test_a_minibatch_for_scores_that_train_nothing_has_16_to_128_images(tiny, batch, expected):
    config = tiny.digits(shuffle=True, indices=150)
    model = build()
    images = first_images(model, dict(config, batch_size=batch), seed=1)
    assert images.shape == (expected, 3, 32, 32)
    assert torch.equal(images, first_images(model, dict(config, batch_size=batch), seed=1))
