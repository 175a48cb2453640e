"""The detection and segmentation configs at full size: what they say, one forward and backward,
what is frozen."""

import numpy as np
import pytest
import torch
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, PARAM_SCHEDULERS, TRANSFORMS
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from our_configs import TOP, check_each, differences, names, read, under
from torch import nn
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from pinas_mm import config_path
from pinas_mm.models import SearchableResNeSt

SMALL = (64, 96)
PUBLISHED_ARCH = [3, 3, 3, 3, 1, 1, 3, 3, 3, 0, 0, 1, 1, 0, 2, 1]
MASK_RCNN = 'mmdet/mask-rcnn_pinas-resnest50_fpn_syncbn-all_ms-1x_coco.py'
PLAIN_MASK_RCNN = 'mmdet/mask-rcnn_pinas-resnest50_fpn_1x_coco.py'
ADE20K = 'mmseg/pinas-resnest50-d8_deeplabv3_4xb4-160k_ade20k-480x480.py'
CITYSCAPES = 'mmseg/pinas-resnest50-d8_deeplabv3_4xb2-80k_cityscapes-768x768.py'

# Each config, the mm config it inherits, and what it changes beside the backbone.
SEGMENTOR = {'model.pretrained'}
DEEPLABV3 = SEGMENTOR | {
    'crop_size',
    'data_preprocessor.size',
    'model.data_preprocessor.size',
    'model.decode_head.channels',
    'model.decode_head.align_corners',
    'model.auxiliary_head.align_corners',
    'train_pipeline',
    'train_dataloader.dataset.pipeline',
}
PARENTS = {
    MASK_RCNN: (
        'mmdet::resnest/mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco.py',
        {
            'model.neck.norm_cfg',
            'model.data_preprocessor.mean',
            'model.data_preprocessor.std',
            'train_cfg.type',
            'train_cfg.max_epochs',
            'train_cfg.max_iters',
            'train_cfg.val_interval',
            'train_dataloader.sampler.type',
            'param_scheduler',
            'optim_wrapper.paramwise_cfg',
            'default_hooks.checkpoint.by_epoch',
            'default_hooks.checkpoint.interval',
            'default_hooks.checkpoint.max_keep_ckpts',
            'log_processor.by_epoch',
        },
    ),
    PLAIN_MASK_RCNN: ('mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', set()),
    'mmdet/retinanet_pinas-resnest50_fpn_1x_coco.py': (
        'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
        set(),
    ),
    'mmdet/faster-rcnn_pinas-resnest50_fpn_syncbn-backbone+head_ms-range-1x_coco.py': (
        'mmdet::resnest/faster-rcnn_s50_fpn_syncbn-backbone+head_ms-range-1x_coco.py',
        set(),
    ),
    'mmdet/cascade-mask-rcnn_pinas-resnest50_fpn_syncbn-backbone+head_ms-1x_coco.py': (
        'mmdet::resnest/cascade-mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco.py',
        set(),
    ),
    ADE20K: ('mmseg::deeplabv3/deeplabv3_r50-d8_4xb4-160k_ade20k-512x512.py', DEEPLABV3),
    CITYSCAPES: ('mmseg::deeplabv3/deeplabv3_r50-d8_4xb2-80k_cityscapes-512x1024.py', DEEPLABV3),
    'mmseg/pinas-resnest50-d8_deeplabv3plus_4xb4-160k_ade20k-512x512.py': (
        'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb4-160k_ade20k-512x512.py',
        SEGMENTOR,
    ),
    'mmseg/pinas-resnest50-d8_deeplabv3plus_4xb2-80k_cityscapes-512x1024.py': (
        'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb2-80k_cityscapes-512x1024.py',
        SEGMENTOR,
    ),
    'mmseg/pinas-resnest50_upernet_4xb4-160k_ade20k-512x512.py': (
        'mmseg::upernet/upernet_r50_4xb4-160k_ade20k-512x512.py',
        SEGMENTOR,
    ),
    'mmseg/pinas-resnest50_upernet_4xb2-80k_cityscapes-512x1024.py': (
        'mmseg::upernet/upernet_r50_4xb2-80k_cityscapes-512x1024.py',
        SEGMENTOR,
    ),
}
# of another space and size; its backbone is what a search found
BCCD = 'mmdet/faster-rcnn_pinas-macro_fpn_1xb8-6e_bccd.py'
# a supernet
SANDWICH = 'mmdet/faster-rcnn_sandwich-elastic-resnet50_fpn_1x_coco.py'
SEGMENTATION = [name for name in PARENTS if name.startswith('mmseg')]


def build(name, device):
    """The model as configured, but randomly initialised: the weights are the user's."""
    config = read(name)
    model = config.model
    model.backbone.init_cfg = None
    if name == BCCD:
        model.backbone.update(arch='22212220', widen_factor=0.25)
    stages = (model.get('train_cfg') or {}).get('rcnn', [])
    for stage in stages if isinstance(stages, list) else [stages]:
        # regions of each image to learn from, of 512: the same network in a fraction of the time
        stage.sampler.num = 32
    with torch.device(device):
        return MODELS.build(model)


def norm_layers(module):
    return [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]


def test_every_config_is_listed_here():
    assert {*names('mmdet', 'mmseg')} == {*PARENTS, BCCD, SANDWICH}


def test_only_the_backbone_changes():
    def check(name):
        parent, others = PARENTS[name]
        config = read(name)
        changed = differences(config.to_dict(), Config.fromfile(config_path(parent)).to_dict())
        assert changed - under(changed, 'model.backbone') == {
            'custom_imports',
            'searched_backbone',
            *others,
        }
        backbone = config.model.backbone
        assert (
            backbone.type == 'pinas_mm.SearchableResNeSt'
            and backbone.arch == PUBLISHED_ARCH
            and backbone.out_indices == (0, 1, 2, 3)
        )
        assert config.custom_imports.imports == ['pinas_mm']
        # A user who sets no weights is told, and one who does sets one line.
        assert backbone.init_cfg == dict(
            type='Pretrained',
            checkpoint='set model.backbone.init_cfg.checkpoint',
            prefix='backbone.',
        )

    check_each(check, PARENTS)


def test_a_detector_becomes_a_supernet():
    config = read(SANDWICH)
    theirs = Config.fromfile(config_path('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'))
    inner = config.model.model
    assert differences(inner.to_dict(), theirs.model.to_dict()) >= {'backbone.type'}
    changed = differences(dict(inner, backbone=None), dict(theirs.model, backbone=None))
    assert not changed and config.optim_wrapper.optimizer.lr == 0.02 / 4
    with torch.device('meta'):
        strategy = revert_sync_batchnorm(MODELS.build(config.model))
    assert strategy.largest == strategy.space.largest and strategy.backbone.is_supernet
    norms = norm_layers(strategy.train().backbone)
    assert norms and all(norm.training for norm in norms), 'no running statistics fit all archs'
    assert all(parameter.requires_grad for parameter in strategy.parameters())


def test_a_user_changes_one_line(tmp_path):
    user = tmp_path / 'mine.py'
    user.write_text(
        f'_base_ = {str(TOP / MASK_RCNN)!r}\n'
        "model = dict(backbone=dict(arch='subnet.yaml', init_cfg=dict(checkpoint='subnet.pth')))\n"
    )
    changed = differences(Config.fromfile(user).to_dict(), read(MASK_RCNN).to_dict())
    assert changed == {'model.backbone.arch', 'model.backbone.init_cfg.checkpoint'}


def test_published_mask_rcnn():
    config = read(MASK_RCNN)
    model, sync = config.model, dict(type='SyncBN', requires_grad=True)
    assert (
        model.backbone.norm_cfg
        == model.neck.norm_cfg
        == model.roi_head.bbox_head.norm_cfg
        == model.roi_head.mask_head.norm_cfg
        == sync
    )
    assert (
        model.backbone.frozen_stages == -1
        and model.roi_head.bbox_head.type == 'Shared4Conv1FCBBoxHead'
    )
    (resize,) = [
        step for step in config.train_dataloader.dataset.pipeline if 'Resize' in step['type']
    ]
    assert sorted(resize['scales']) == [(1333, short) for short in (640, 672, 704, 736, 768, 800)]
    assert model.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert model.data_preprocessor.std == [58.395, 57.12, 57.375]
    assert model.data_preprocessor.bgr_to_rgb
    assert config.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4
    )
    assert config.optim_wrapper.paramwise_cfg == dict(norm_decay_mult=0)
    assert config.train_dataloader.batch_size == 2 and config.auto_scale_lr.base_batch_size == 16
    # detectron2's WarmupMultiStepLR: over 1,000 iterations from a thousandth, then two steps.
    assert config.train_cfg.max_iters == 90000
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.02)
    schedulers = [
        PARAM_SCHEDULERS.build(scheduler.to_dict(), default_args=dict(optimizer=optimiser))
        for scheduler in config.param_scheduler
    ]
    found, iterations = [], np.arange(config.train_cfg.max_iters)
    for _ in iterations:
        found.append(optimiser.param_groups[0]['lr'])
        optimiser.step()
        for scheduler in schedulers:
            scheduler.step()
    expected = 0.02 * np.where(iterations < 1000, 1e-3 + (1 - 1e-3) * iterations / 1000, 1)
    expected *= 0.1 ** ((iterations >= 60000) * 1 + (iterations >= 80000))
    # mmengine's warm-up ends one iteration sooner.
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2.1e-5)
    net = build(MASK_RCNN, 'meta')
    assert (
        norm_layers(net.backbone)
        and len(norm_layers(net.neck)) == 8
        and len(norm_layers(net.roi_head)) == 4 + 4
    )
    assert all(
        isinstance(layer, SyncBatchNorm) and layer.training for layer in norm_layers(net.train())
    )
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_segmentors():
    def check(name):
        config = read(name)
        model = config.model
        assert (
            model.pretrained is None
            and model.backbone.norm_cfg.type == 'SyncBN'
            and model.backbone.get('frozen_stages', -1) == -1
        )
        crop = next(
            step['crop_size']
            for step in config.train_dataloader.dataset.pipeline
            if step['type'] == 'RandomCrop'
        )
        assert (
            tuple(crop)
            == tuple(model.data_preprocessor.size)
            == tuple(config.data_preprocessor.size)
            == tuple(config.crop_size)
        )
        assert f'{crop[0]}x{crop[1]}' in name and config.train_dataloader.batch_size == int(
            name.split('4xb')[1][0]
        )
        dilated = {
            key: model.backbone.get(key)
            for key in ('strides', 'dilations', 'contract_dilation', 'avd_dilated')
        }
        assert dilated == (
            dict(
                strides=(1, 2, 1, 1),
                dilations=(1, 1, 2, 4),
                contract_dilation=True,
                avd_dilated=True,
            )
            if '-d8_' in name
            else dict.fromkeys(dilated)
        )

    check_each(check, SEGMENTATION)


def test_published_segmentors():
    """What of PyTorch-Encoding's DeepLabV3 mmseg's classes can do."""
    models = [read(name).model for name in (ADE20K, CITYSCAPES)]
    for model, classes in zip(models, (150, 19)):
        head, fcn = model.decode_head, model.auxiliary_head
        assert (head.type, head.in_channels, head.channels) == ('ASPPHead', 2048, 256)
        assert head.dilations == (1, 12, 24, 36) and head.dropout_ratio == 0.1
        assert (fcn.type, fcn.in_index, fcn.channels, fcn.num_convs) == ('FCNHead', 2, 256, 1)
        assert not fcn.concat_input and fcn.dropout_ratio == 0.1
        assert head.align_corners and fcn.align_corners
        assert head.num_classes == fcn.num_classes == classes
    assert read(ADE20K).crop_size == (480, 480) and read(CITYSCAPES).crop_size == (768, 768)

    # A base size of 520: the longer side is 0.5 to 2 times as long.
    pipeline = read(ADE20K).train_dataloader.dataset.pipeline
    (resize,) = [step.to_dict() for step in pipeline if step.type == 'RandomResize']
    resize = TRANSFORMS.build(resize)
    for shape in ((300, 600), (640, 480)):
        sides = [
            max(resize(dict(img=np.zeros((*shape, 3), np.uint8)))['img'].shape) for _ in range(50)
        ]
        assert 260 <= min(sides) < 350 and 950 < max(sides) <= 1040


def small_batch(name, model):
    """Two images and their labels, as a config's dataset would give them, preprocessed for
    training."""
    if name.startswith('mmdet'):
        data = demo_mm_inputs(2, (3, *SMALL), num_items=[2, 1], num_classes=3, with_mask=True)
    else:
        labels = torch.randint(0, model.num_classes, (2, 1, *SMALL))
        labels[:, :, :8] = 255
        data = dict(
            inputs=list(torch.randint(0, 256, (2, 3, *SMALL), dtype=torch.uint8)),
            data_samples=[
                SegDataSample(gt_sem_seg=PixelData(data=label), metainfo=dict(img_shape=SMALL))
                for label in labels
            ],
        )
        model.data_preprocessor.size = SMALL
    return model.data_preprocessor(data, training=True)


@pytest.mark.slow
@pytest.mark.parametrize('name', [*PARENTS, BCCD])
def test_one_step_at_full_size(name):
    torch.manual_seed(0)
    model = revert_sync_batchnorm(build(name, 'cpu')).train()
    assert not model.backbone.is_supernet
    assert name == BCCD or (
        type(model.backbone) is SearchableResNeSt and model.backbone.widen_factor == 1
    )
    loss, logged = model.parse_losses(model(**small_batch(name, model), mode='loss'))
    loss.backward()
    assert torch.isfinite(loss) and len(logged) >= 3
    silent = [
        key
        for key, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
    frozen = [key for key, parameter in model.named_parameters() if not parameter.requires_grad]
    assert silent == []
    assert all(key.startswith('backbone.') for key in frozen)
    assert bool(frozen) == (read(name).model.backbone.get('frozen_stages', -1) >= 0)


@pytest.mark.slow
def test_size():
    """Parameters, and MACs of a segmentor at its crop or of a detector's backbone and neck at
    800x1344, as mmdet pads 800x1333."""

    def check(name):
        model = build(name, 'meta').eval()
        height, width = (
            read(name).crop_size
            if name in SEGMENTATION
            else (256, 320)
            if name == BCCD
            else (800, 1344)
        )
        run = model._forward if name in SEGMENTATION else model.extract_feat
        with FlopCounterMode(display=False) as flops:
            run(torch.empty(1, 3, height, width, device='meta'))
        macs, parameters = (
            flops.get_total_flops() / 2e9,
            sum(parameter.numel() for parameter in model.parameters()) / 1e6,
        )
        print(f'{name}: {parameters:.1f} M parameters, {macs:.3g} G MACs at {height}x{width}')
        assert name == BCCD or (20 < parameters < 100 and 50 < macs < 1000)

    check_each(check, [*PARENTS, BCCD])


def test_what_is_frozen_in_a_detector():
    """``frozen_stages=1``, ``norm_eval=True``: as mmdet's own ResNet, whose config this is but for
    the backbone."""
    model = build(PLAIN_MASK_RCNN, 'meta').train()
    backbone = model.backbone
    first_stage = [
        layer
        for layer, position in zip(backbone.layers, backbone.space.positions)
        if position.stage == 0
    ]
    frozen = {
        id(parameter)
        for module in (backbone.stem, *first_stage)
        for parameter in module.parameters()
    }
    assert len(first_stage) == 3 and frozen
    assert {
        id(parameter) for parameter in model.parameters() if not parameter.requires_grad
    } == frozen
    assert norm_layers(backbone) and not any(layer.training for layer in norm_layers(backbone))
    assert model.neck.training and model.roi_head.training


def test_what_is_frozen_in_a_segmentor():
    """Nothing in ours; a user's ``frozen_stages`` freezes parameters and puts their BN into eval
    mode, through the config."""
    model = build(ADE20K, 'meta').train()
    assert all(parameter.requires_grad for parameter in model.parameters()) and all(
        layer.training for layer in norm_layers(model)
    )
    config = dict(read(ADE20K).model.backbone, init_cfg=None, frozen_stages=2)
    with torch.device('meta'):
        backbone = MODELS.build(config).train()
    for layer, position in zip(backbone.layers, backbone.space.positions):
        assert {norm.training for norm in norm_layers(layer)} == {position.stage >= 2}
        assert {parameter.requires_grad for parameter in layer.parameters()} == {
            position.stage >= 2
        }
    assert not any(parameter.requires_grad for parameter in backbone.stem.parameters())


@pytest.mark.parametrize(
    'name, strides', [(ADE20K, (4, 8, 8, 8)), (PLAIN_MASK_RCNN, (4, 8, 16, 32))]
)
def test_output_strides_and_dilations(name, strides):
    backbone = build(name, 'meta').backbone
    maps = backbone(torch.empty(2, 3, 64, 96, device='meta'))
    assert [tuple(x.shape) for x in maps] == [
        (2, c, 64 // s, 96 // s) for c, s in zip((256, 512, 1024, 2048), strides)
    ]
    # A dilated stage starts with half of its dilation.
    dilations = [
        {
            conv.dilation[0]
            for conv in layer.modules()
            if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3)
        }
        for layer in backbone.layers
    ]
    expected = [1] * 3 + [1] * 4 + [1] + [2] * 5 + [2] + [4] * 2 if name == ADE20K else [1] * 16
    assert dilations == [{dilation} for dilation in expected]
