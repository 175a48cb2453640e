"""Small supernets and loaders of digits, and their BN statistics worked out by hand."""

import torch
from mmengine.registry import MODELS, init_default_scope
from torch.nn.modules.batchnorm import _BatchNorm

import pinas_mm  # noqa: F401
from pinas_mm.subnets.state_dict import subnet_state_dict


def dataloader(split, batch_size, **kwargs):
    dataset = dict(type='pinas_mm.Digits', split=split, pipeline=[dict(type='PackInputs')])
    return dict(batch_size=batch_size, num_workers=0, dataset=dataset, sampler=None) | kwargs


def build(arch=None, backbone='SearchableMacroNet', channels=160, **kwargs):
    """BN in the neck too; affine parameters and statistics are random, so that none is trivial.
    Channels last is faster on CPUs."""
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type=f'pinas_mm.{backbone}', widen_factor=0.125, arch=arch) | kwargs,
            neck=dict(
                type='LinearNeck',
                in_channels=channels,
                out_channels=24,
                gap_dim=2,
                norm_cfg=dict(type='BN1d'),
            ),
            head=dict(type='LinearClsHead', num_classes=10, in_channels=24),
            data_preprocessor=dict(num_classes=10, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=False),
        )
    )
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            for tensor in (
                layer.weight.data,
                layer.bias.data,
                layer.running_mean,
                layer.running_var,
            ):
                tensor.uniform_(0.5, 1.5)
            layer.num_batches_tracked.fill_(7)
    return model.to(memory_format=torch.channels_last)


def images_and_labels(batch):
    """The pre-processing written out."""
    images = torch.stack(list(batch['inputs'])).float()
    return (images - 127.5) / 127.5, torch.tensor(
        [int(sample.gt_label) for sample in batch['data_samples']]
    )


def statistics_by_hand(model, arch, loader):
    """Per BN layer of the plain subnet, whose layers all use their batch's own statistics: the
    batches' means, averaged."""
    subnet = build(arch)
    subnet.load_state_dict(subnet_state_dict(model, arch))
    subnet.train()
    seen = {}

    def before(name):
        def hook(layer, inputs):
            x = inputs[0].transpose(0, 1).flatten(1)
            seen.setdefault(name, []).append((x.mean(dim=1), x.var(dim=1, unbiased=True)))

        return hook

    for name, layer in subnet.named_modules():
        if isinstance(layer, _BatchNorm):
            layer.register_forward_pre_hook(before(name))
    with torch.no_grad():
        for batch in loader:
            subnet(images_and_labels(batch)[0], mode='tensor')
    return {
        name: [torch.stack(values).mean(dim=0) for values in zip(*batches)]
        for name, batches in seen.items()
    }


def statistics(model):
    return {
        name: (
            layer.running_mean.clone(),
            layer.running_var.clone(),
            int(layer.num_batches_tracked),
        )
        for name, layer in model.named_modules()
        if isinstance(layer, _BatchNorm)
    }
