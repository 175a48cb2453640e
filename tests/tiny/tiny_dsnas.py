"""Small DSNAS configs: digits, nasbench_macro; and what test_dsnas.py runs in other processes."""

import ctypes
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODELS, init_default_scope
from tiny_runner import Tiny
from two_ranks import labelled

from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.engine import ActiveGradientDataParallel
from pinas_mm.pipelines import dsnas as dsnas_stages
from pinas_mm.spaces.nasbench_macro import NASBENCH_MACRO
from pinas_mm.strategies import DSNASOptimWrapper

ITERATIONS = 3  # an epoch: 24 digits in batches of 8
# The logits move so fast that slots are fixed within few steps.
LOGITS = dict(type='Adam', lr=0.1, betas=(0.5, 0.999))
ACCURACY = dict(type='Accuracy', topk=(1,))


def model(**backbone):
    config = Tiny.classifier(**dict(widen_factor=0.125) | backbone)
    config['head']['in_channels'] = round(1280 * config['backbone']['widen_factor'])
    return config


def dsnas(folder, epochs=4, search=2, warm_up=1, wrapper=None, hook=None, **kwargs):
    """A config of DSNAS: ``search`` of ``epochs`` epochs are the first stage."""
    digits = Tiny.digits(batch_size=8, indices=24, shuffle=True)
    settings = dict(
        work_dir=str(folder),
        default_scope='mmpretrain',
        randomness=dict(seed=0),
        model=model(),
        train_dataloader=digits,
        custom_imports=dict(imports=['pinas_mm']),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        default_hooks=dict(epoch_seed=dict(type='pinas_mm.EpochSeedHook')),
        optim_wrapper=dict(
            type='pinas_mm.DSNASOptimWrapper',
            logits_optimizer=LOGITS,
            optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=1e-3),
        )
        | (wrapper or {}),
        custom_hooks=[
            dict(type='pinas_mm.DSNASHook', search=search, warm_up=warm_up) | (hook or {})
        ],
        param_scheduler=[
            dict(type='CosineAnnealingLR', T_max=epochs, by_epoch=True, convert_to_iter_based=True)
        ],
        test_dataloader=Tiny.digits('test', indices=16),
        test_evaluator=ACCURACY,
        test_cfg=dict(),
    )
    return Config(settings | kwargs)


def steps(
    wrapper_cfg, rank, shared_arch=False, backbone='SearchableMacroNet', channels=160, count=4
):
    """A few train steps of one rank; archs, logits and weights."""
    torch.manual_seed(0)
    net = MODELS.build(
        model()
        | dict(
            backbone=dict(
                type=f'pinas_mm.{backbone}', widen_factor=0.125, zero_init_residual=False
            ),
            head=dict(type='LinearClsHead', num_classes=10, in_channels=channels),
            data_preprocessor=None,
        )
    ).train()
    if wrapper_cfg == 'ddp':
        wrapped = MMDistributedDataParallel(net, find_unused_parameters=True)
    else:
        wrapped = ActiveGradientDataParallel(net)
    wrapper = DSNASOptimWrapper(
        optimizer=torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-2),
        logits_optimizer=LOGITS,
        shared_arch=shared_arch,
        fix_lead=0.3,
    )
    wrapper.initialize_count_status(wrapped, 0, count)
    archs, gradients = [], []
    for step in range(count):
        wrapped.train_step(labelled(rank, step), wrapper)
        archs.append(wrapper.arch)
        gradients.append(wrapper.signal.clone())
    return dict(
        archs=archs,
        signal=gradients,
        logits=[row.detach().clone() for row in wrapper.logits.rows],
        fixed=wrapper.logits.fixed,
        baseline=wrapper.baseline,
        weights={name: parameter.detach().clone() for name, parameter in net.named_parameters()},
    )


def train(rank, folder):
    """One of two ranks: a few steps in every form, and both stages."""
    init_default_scope('mmpretrain')
    results = dict(
        own=steps('active', rank),
        shared=steps('active', rank, shared_arch=True, count=2),
        ddp=steps('ddp', rank),
        cells=steps('active', rank, backbone='SearchableNASBench201', channels=8, count=2),
    )
    results['stages'] = dsnas_stages.run_stages(
        dsnas(
            folder / 'stages',
            epochs=3,
            launcher='pytorch',
            model_wrapper_cfg=dict(type='pinas_mm.ActiveGradientDataParallel'),
        )
    )
    torch.save(results, folder / f'{rank}.pth')


def resident():
    """MB of this process that are in memory, without what the C library keeps of freed memory to
    give out again."""
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096 / 1e6


def parameters(net):
    """MB of a model's parameters."""
    return sum(parameter.numel() for parameter in net.parameters()) * 4 / 1e6


def measure_memory(folder):
    """Writes ``memory.pth``: MB in memory at the end of both stages, and of their models'
    parameters; nothing where the C library cannot tell."""
    if not hasattr(ctypes.CDLL(None), 'malloc_trim'):
        return
    init_default_scope('mmpretrain')
    found, build = [], dsnas_stages.build_runner

    def watched(config):
        runner = build(config)
        found.append(dict(parameters=parameters(runner.model)))
        runner.register_hook(
            Tiny.Record(
                after_train_iter=lambda *unused, **kwargs: found[-1].update(resident=resident())
            ),
            'VERY_LOW',
        )
        return runner

    dsnas_stages.build_runner = watched
    config = dsnas(
        folder / 'run',
        epochs=2,
        search=1,
        warm_up=0,
        model=model(widen_factor=3.0),
        default_hooks=dict(checkpoint=None),
        test_dataloader=None,
        test_cfg=None,
        test_evaluator=None,
    )
    config.train_dataloader.dataset.update(
        indices=16, pipeline=[dict(type='Resize', scale=8), dict(type='PackInputs')]
    )
    dsnas_stages.run_stages(config)
    torch.save(found, folder / 'memory.pth')


def hand_over(path, arch=(2, 2, 1, 0, 1, 2, 0, 1), epoch=2, **meta):
    """A hand-over as the first stage writes it, after two epochs unless said otherwise."""
    net = MODELS.build(model(arch=arch))
    meta = (
        dict(
            stage=2,
            space='nasbench_macro',
            arch=list(arch),
            widen_factor=0.125,
            epoch=epoch,
            iter=epoch * ITERATIONS,
            train_seconds=7.0,
            probabilities=[[1 / 3] * 3] * NASBENCH_MACRO.num_slots,
        )
        | meta
    )
    save_checkpoint(path, net.state_dict(), meta)
    return net
