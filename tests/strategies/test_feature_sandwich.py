"""On detectors and segmentors, on elastic backbones and on separate candidates."""

import copy

import pytest
import tiny_elastic  # noqa: F401
import torch
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from our_configs import TOP

from pinas_mm.datasets.scene_layouts import write_digit_scenes
from pinas_mm.engine.runner import build_runner
from pinas_mm.errors import InputError
from pinas_mm.strategies.feature_sandwich import disagreement, normalised

SIZE, NORM = 64, dict(type='BN', requires_grad=True)
ELASTIC = dict(type='TinyElastic', out_indices=(0, 1))
SEPARATE = dict(
    type='pinas_mm.SearchableMacroNet',
    widen_factor=0.125,
    out_indices=(1, 2),
    zero_init_residual=False,
)
CHANNELS = {'TinyElastic': [8, 12], 'pinas_mm.SearchableMacroNet': [16, 32]}
STRIDES = [4, 8]


def retinanet(backbone):
    """With a neck."""
    return dict(
        type='mmdet.RetinaNet',
        data_preprocessor=dict(
            type='mmdet.DetDataPreprocessor', mean=[100.0] * 3, std=[50.0] * 3, pad_size_divisor=32
        ),
        backbone=backbone,
        neck=dict(
            type='mmdet.FPN',
            in_channels=CHANNELS[backbone['type']],
            out_channels=8,
            num_outs=2,
            norm_cfg=NORM,
        ),
        bbox_head=dict(
            type='mmdet.RetinaHead',
            num_classes=3,
            in_channels=8,
            feat_channels=8,
            stacked_convs=1,
            anchor_generator=dict(
                type='mmdet.AnchorGenerator', scales=[4], ratios=[1.0], strides=STRIDES
            ),
            bbox_coder=dict(type='mmdet.DeltaXYWHBBoxCoder'),
        ),
        train_cfg=dict(
            assigner=dict(type='mmdet.MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4),
            sampler=dict(type='mmdet.PseudoSampler'),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        test_cfg=dict(nms_pre=10, score_thr=0.0, max_per_img=5),
    )


def segmentor(backbone):
    """With an auxiliary head and no neck."""
    head = dict(
        type='mmseg.FCNHead',
        channels=8,
        num_convs=1,
        num_classes=3,
        norm_cfg=NORM,
        dropout_ratio=0.0,
    )
    low, high = CHANNELS[backbone['type']]
    return dict(
        type='mmseg.EncoderDecoder',
        data_preprocessor=dict(
            type='mmseg.SegDataPreProcessor', mean=[100.0] * 3, std=[50.0] * 3, size=(SIZE, SIZE)
        ),
        backbone=backbone,
        decode_head=dict(head, in_channels=high, in_index=1),
        auxiliary_head=dict(head, in_channels=low, in_index=0),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )


def batch(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (2, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    if model is retinanet:
        data = demo_mm_inputs(2, (3, SIZE, SIZE), num_items=[2, 1], num_classes=3)
        return data | dict(inputs=list(images))
    labels = torch.randint(3, (2, 1, SIZE, SIZE), generator=generator)
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=label), metainfo=dict(img_shape=(SIZE, SIZE)))
        for label in labels
    ]
    return dict(inputs=list(images), data_samples=samples)


def build(model, backbone=ELASTIC, **kwargs):
    init_default_scope('mmdet' if model is retinanet else 'mmseg')
    torch.manual_seed(0)
    if backbone is SEPARATE:
        kwargs = dict(input_size=SIZE) | kwargs
    config = dict(type='pinas_mm.FeatureSandwichStrategy', model=model(backbone))
    return MODELS.build(config | kwargs).train()


def single_passes(strategy, data, weight):
    """The losses of each pass by hand: maps by a forward pass of their own, and the correlation of
    their channels by torch.corrcoef."""
    model, archs = strategy.model, strategy.draw_archs()
    data = model.data_preprocessor(copy.deepcopy(data), True)

    def maps(arch):
        model.backbone.set_arch(arch)
        return model.extract_feat(data['inputs'])

    def own(arch):
        model.backbone.set_arch(arch)
        return model.parse_losses(model(**copy.deepcopy(data), mode='loss'))[0]

    with torch.no_grad():
        target = maps(archs[0])

    def differ(arch):
        of_maps = []
        for x, y in zip(maps(arch), target, strict=True):
            channels = zip(x.transpose(0, 1).flatten(1), y.transpose(0, 1).flatten(1))
            of_maps.append(
                torch.stack([1 - torch.corrcoef(torch.stack(pair))[0, 1] for pair in channels])
            )
        return torch.stack([values.mean() for values in of_maps]).mean()

    def others(arch):
        return own(arch) + weight * differ(arch)

    return (
        archs,
        own,
        differ,
        [lambda: own(archs[0])] + [lambda arch=arch: others(arch) for arch in archs[1:]],
    )


@pytest.mark.parametrize('model', [retinanet, segmentor])
@pytest.mark.parametrize('backbone', [ELASTIC, SEPARATE], ids=['elastic', 'separate'])
def test_all_learn_from_the_truth_and_the_others_from_the_maps_of_the_largest(
    nets, model, backbone
):
    strategy, data = build(model, backbone, num_random=1, distillation=3.0), batch(model)
    by_hand = copy.deepcopy(strategy)
    archs, own, differ, losses = single_passes(by_hand, data, weight=3.0)
    assert archs[:2] == [strategy.largest, strategy.smallest] and len(archs) == 3
    expected = nets.sum_of_passes(by_hand, losses)
    optim_wrapper = nets.recording(strategy)
    logged = strategy.train_step(copy.deepcopy(data), optim_wrapper)
    nets.assert_same_gradients(optim_wrapper.updates[0], expected, rtol=1e-3, atol=1e-4)

    with torch.no_grad():
        distilled = torch.stack([differ(arch) for arch in archs[1:]])
        total = torch.stack([own(arch) for arch in archs]).sum() + 3 * distilled.sum()
    assert distilled.min() > 0.05
    torch.testing.assert_close(logged['loss_distillation'], 3 * distilled.mean(), rtol=1e-4, atol=0)
    torch.testing.assert_close(logged['loss'], total / 3, rtol=1e-4, atol=0)
    names = dict(retinanet='loss_bbox', segmentor='aux.loss_ce')
    assert names[model.__name__] in logged


def test_the_largest_arch_is_not_pulled_towards_the_others(nets):
    """What it alone runs gets the gradient of its own loss, whatever the weight."""
    updates = []
    for weight in (0.0, 100.0):
        strategy = build(retinanet, SEPARATE, num_random=0, distillation=weight)
        optim_wrapper = nets.recording(strategy)
        strategy.train_step(batch(retinanet), optim_wrapper)
        updates.append(optim_wrapper.updates[0])
    for name, gradient in updates[0].items():
        choice = name.partition('layers.')[2].split('.')[:2]
        if len(choice) == 2 and choice[1] == str(strategy.largest[int(choice[0])]):
            assert gradient.any() and torch.equal(gradient, updates[1][name])
    name = 'model.neck.lateral_convs.0.conv.weight'
    assert not torch.allclose(updates[0][name], updates[1][name])


def test_mixed_precision_and_accumulation_are_those_of_all_strategies(nets):
    """Maps in half precision are compared in full."""
    strategy, data = build(retinanet, num_random=0), [batch(retinanet, seed) for seed in (0, 1)]
    by_hand, expected = copy.deepcopy(strategy), {}
    for each in data:
        passes = by_hand.passes(by_hand.model.data_preprocessor(copy.deepcopy(each), True))
        for _ in range(2):
            with torch.autocast('cpu', torch.bfloat16):
                _, losses = next(passes)
            by_hand.zero_grad()
            by_hand.model.parse_losses(losses)[0].backward()
            for name, parameter in by_hand.named_parameters():
                if parameter.grad is not None:
                    expected[name] = expected.get(name, 0) + parameter.grad / 2
        by_hand.step += 1
    optim_wrapper = nets.recording(strategy, wrapper=nets.amp, accumulative_counts=2)
    optim_wrapper.initialize_count_status(strategy, 0, 2)
    for each in data:
        strategy.train_step(copy.deepcopy(each), optim_wrapper)
    (found,) = optim_wrapper.updates
    nets.assert_same_gradients(
        found, {name: expected.get(name) for name in found}, rtol=1e-4, atol=1e-5
    )
    inputs = by_hand.model.data_preprocessor(copy.deepcopy(data[0]), True)
    with torch.autocast('cpu', torch.bfloat16):
        assert by_hand.model.extract_feat(inputs['inputs'])[0].dtype == torch.bfloat16
        _, maps = by_hand.losses_and_maps(by_hand.largest, inputs)
    assert maps[0].dtype == torch.float32
    assert maps[0].var(dim=(0, 2, 3), correction=0).allclose(torch.ones(8), atol=1e-3)


def test_disagreement_is_one_minus_the_correlation_whatever_the_scale():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 5, 5, generator=generator)
    factors = torch.tensor([0.5, 20.0, 300.0]).view(1, 3, 1, 1)

    def between(a, b):
        return disagreement([normalised(a)], [normalised(b)]).item()

    assert between(x, factors * x + 7) == pytest.approx(0, abs=1e-5)
    assert between(x, -x) == pytest.approx(2, rel=1e-4)
    other = torch.randn(2, 3, 5, 5, generator=generator)
    expected = sum(
        1 - torch.corrcoef(torch.stack([x[:, c].flatten(), other[:, c].flatten()]))[0, 1].item()
        for c in range(3)
    )
    assert between(x, other) == pytest.approx(expected / 3, rel=1e-4)
    # Every map counts alike, however large it is.
    maps = [normalised(x), normalised(x[..., :1, :1])]
    assert disagreement(maps, [-y for y in maps]).item() == pytest.approx(2, rel=1e-3)


def test_a_channel_without_variance_gives_no_huge_gradient():
    """A dead ReLU's, and a level of one pixel of one image, as SSD's last."""
    dead = torch.zeros(2, 1, 4, 4, requires_grad=True)
    target = normalised(torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)))
    loss = disagreement([normalised(dead)], [target])
    (gradient,) = torch.autograd.grad(loss, dead)
    assert loss.item() == pytest.approx(0.5, rel=1e-3) and 0 < gradient.abs().max() < 100
    pixel = torch.ones(1, 3, 1, 1, requires_grad=True)
    loss = disagreement([normalised(pixel)], [normalised(2 * pixel.detach())])
    assert loss == 0 and not torch.autograd.grad(loss, pixel)[0].any()


def test_a_head_may_change_the_maps_in_place(nets):
    strategy = build(retinanet, num_random=0)
    before = strategy.train_step(batch(retinanet), nets.recording(strategy))
    strategy = build(retinanet, num_random=0)
    loss = strategy.model.loss

    def changed(*args, **kwargs):
        handle = strategy.model.bbox_head.register_forward_hook(
            lambda head, inputs, output: [x.mul_(0) for x in inputs[0]] and None
        )
        try:
            return loss(*args, **kwargs)
        finally:
            handle.remove()

    strategy.model.loss = changed
    after = strategy.passes(strategy.model.data_preprocessor(batch(retinanet), True))
    next(after)
    _, losses = next(after)
    assert losses['loss_distillation'].item() == pytest.approx(before['loss_distillation'].item())


@pytest.mark.parametrize(
    'name, model, backbone', [('detect', retinanet, SEPARATE), ('segment', segmentor, ELASTIC)]
)
def test_a_runner_trains_it(tmp_path, monkeypatch, name, model, backbone):
    """On a few of the quick start's scenes."""
    monkeypatch.chdir(tmp_path)
    write_digit_scenes(tmp_path / 'data/digit_scenes', dict(train=4, val=2, test=2), SIZE)
    config = Config.fromfile(TOP / f'quickstart/{name}.py')
    inner = model(backbone)
    for head in ('bbox_head', 'decode_head', 'auxiliary_head'):
        if head in inner:
            inner[head]['num_classes'] = 11
    config.model = dict(type='pinas_mm.FeatureSandwichStrategy', model=inner, input_size=SIZE)
    config.train_dataloader.batch_size = 2
    for part in ('val', 'test'):
        for key in ('dataloader', 'cfg', 'evaluator'):
            config[f'{part}_{key}'] = None
    config.custom_hooks = []
    config.train_cfg = dict(by_epoch=False, max_iters=2)
    config.default_hooks.checkpoint.update(interval=2, by_epoch=False)
    config.work_dir = str(tmp_path / 'work')
    runner = build_runner(config)
    before = {key: value.clone() for key, value in runner.model.state_dict().items()}
    runner.train()
    logged = runner.message_hub.log_scalars
    assert logged['train/loss_distillation'].current() > 0
    assert dict(detect='train/loss_bbox', segment='train/aux.loss_ce')[name] in logged
    after = runner.model.state_dict()
    assert after['step'] == 2 and any(
        not torch.equal(value, before[key]) for key, value in after.items() if 'backbone' in key
    )
    assert (tmp_path / 'work/iter_2.pth').is_file()


def test_models_without_feature_maps_are_refused(nets):
    with pytest.raises(
        InputError,
        match='FeatureSandwichStrategy compares the feature maps .* its model is a '
        'ImageClassifier: expected SandwichStrategy',
    ):
        init_default_scope('mmpretrain')
        MODELS.build(
            dict(type='pinas_mm.FeatureSandwichStrategy', model=nets.classifier(), input_size=SIZE)
        )
    strategy = build(retinanet)
    strategy.model.neck.register_forward_hook(lambda neck, inputs, output: dict(maps=output))
    with pytest.raises(
        InputError, match='the FPN of its model returns something else than feature maps'
    ):
        strategy.train_step(batch(retinanet), nets.recording(strategy))
    assert len(strategy.model.neck._forward_hooks) == 1  # ours is gone, after the error too
    # A neck that the losses do without: heads would learn from maps that nobody compares.
    strategy = build(retinanet)
    neck = strategy.model.neck
    strategy.model.extract_feat = lambda images: neck.forward(strategy.model.backbone(images))
    with pytest.raises(InputError, match='RetinaNet computes its losses without its FPN: expected'):
        strategy.train_step(batch(retinanet), nets.recording(strategy))


def test_separate_candidates_are_told_apart_by_their_costs():
    with pytest.raises(
        InputError,
        match="FeatureSandwichStrategy: expected model.input_size, .* space 'nasbench_macro'",
    ):
        build(retinanet, SEPARATE, input_size=None)
