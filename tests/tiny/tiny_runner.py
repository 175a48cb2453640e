"""Small configs, and Runners of them."""

import itertools

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _BatchNorm

from pinas_mm.engine.search_config import search_config
from pinas_mm.engine.settings_check import check_settings

RUNS = itertools.count()


def digits(split='learning', batch_size=16, indices=64, shuffle=False, pipeline=(), **kwargs):
    """A dataloader config over the first ``indices`` digits of a split."""
    return (
        dict(
            batch_size=batch_size,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=shuffle),
            dataset=dict(
                type='pinas_mm.Digits',
                split=split,
                indices=indices,
                serialize_data=False,
                pipeline=[*pipeline, dict(type='PackInputs')],
            ),
        )
        | kwargs
    )


def held_out_and_test():
    """What a config has that validates on 16 held-out digits, and tests on 16 of the test split."""
    accuracy = dict(type='Accuracy', topk=(1,))
    return dict(
        val_dataloader=digits('held_out', indices=16),
        val_evaluator=accuracy,
        val_cfg=dict(),
        test_dataloader=digits('test', indices=16),
        test_evaluator=accuracy,
        test_cfg=dict(),
    )


def small_adaptation():
    """What the config of a small adaptation to the digits has beside its model."""
    return dict(
        default_scope='mmpretrain',
        train_dataloader=digits(),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05)),
        **held_out_and_test(),
        supernet_stage=dict(custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')]),
        search_loop=dict(
            type='pinas_mm.SearchLoop',
            searcher=dict(type='random'),
            num_archs=2,
            calibration_batches=1,
            input_size=32,
        ),
        subnet_stage=dict(),
    )


def four_views(**kwargs):
    """The learning set as Pi-NAS reads it, without randomness: the views of an image are equal."""
    views = dict(type='MultiView', num_views=[4], transforms=[[dict(type='Resize', scale=32)]])
    return digits(pipeline=[views], collate_fn=dict(type='default_collate'), **kwargs)


def classifier(**backbone):
    return dict(
        type='ImageClassifier',
        backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.25) | backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=320),
        data_preprocessor=dict(num_classes=10, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=False),
    )


def pinas(**kwargs):
    return (
        dict(
            type='pinas_mm.PiNAS',
            queue_len=24,
            feat_dim=16,
            momentum=0.9,
            backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.25),
            neck=dict(
                type='NonLinearNeck',
                in_channels=320,
                hid_channels=32,
                out_channels=16,
                with_last_bn=False,
                norm_cfg=dict(type='BN1d'),
            ),
            head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.2),
            data_preprocessor=dict(
                type='SelfSupDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3
            ),
        )
        | kwargs
    )


def randomise(model, seed=0):
    """Weights and norms that make archs differ; as if trained."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data.copy_(
            torch.randn(parameter.shape, generator=generator) / max(1, parameter[0].numel()) ** 0.5
        )
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.weight.data.copy_(torch.rand(layer.weight.shape, generator=generator) + 0.5)
    return model


class Record(Hook):
    """Calls a function after every training iteration, training epoch or validation."""

    priority = 'LOW'

    def __init__(self, **functions):
        for name, function in functions.items():
            setattr(self, name, function)


class Tiny:
    """The configs above, and Runners of them."""

    digits, four_views = staticmethod(digits), staticmethod(four_views)
    classifier, pinas, randomise, Record = (
        staticmethod(classifier),
        staticmethod(pinas),
        staticmethod(randomise),
        Record,
    )

    def __init__(self, folder):
        self.folder = folder

    def runner(self, **kwargs):
        return Runner.from_cfg(self.config(**kwargs))

    def config(self, **kwargs):
        kwargs.setdefault('model', classifier())
        return Config(
            dict(
                work_dir=str(self.folder),
                experiment_name=f'tiny{next(RUNS)}',
                default_scope='mmpretrain',
                randomness=dict(seed=0),
            )
            | kwargs
        )

    def searching(self, **kwargs):
        """A Runner whose test is the search of ``search_loop``, checked as the tools do."""
        config = search_config(self.config(**kwargs))
        check_settings(config)
        return Runner.from_cfg(config)

    def training(self, epochs=1, loader=None, **kwargs):
        """A Runner that trains; 4 iterations an epoch by default."""
        return self.runner(
            **dict(
                train_dataloader=loader or digits(),
                train_cfg=dict(by_epoch=True, max_epochs=epochs),
                optim_wrapper=dict(
                    optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=1e-3)
                ),
            )
            | kwargs
        )
