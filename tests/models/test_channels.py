import pytest
import torch
from mmengine.model import BaseDataPreprocessor, BaseModel, ImgDataPreprocessor
from mmengine.registry import init_default_scope
from mmpretrain.models import (
    ClsBatchNormNeck,
    GeneralizedMeanPooling,
    GlobalAveragePooling,
    LinearClsHead,
    LinearNeck,
    MultiTaskHead,
    StackedLinearClsHead,
)
from torch import nn

from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableMacroNet, SearchableResNeSt
from pinas_mm.models.channels import check_channels

# Stages of 32, 64 and 128 channels at a width of 0.5, and a tail of 640.
MAPS = [32, 64, 128]


class Holder(BaseModel):
    """A model of parts."""

    def forward(self, inputs):
        raise NotImplementedError


def model(backbone=None, **parts):
    result = Holder()
    result.backbone = backbone or SearchableMacroNet('1' * 8, 0.5, out_indices=(0, 1, 2))
    for name, part in parts.items():
        setattr(result, name, part)
    return result


def refused(message, *args, **parts):
    with pytest.raises(InputError, match=message):
        check_channels(model(*args, **parts))


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


@pytest.fixture
def det(scope):
    models = pytest.importorskip('mmdet.models')
    init_default_scope('mmdet')
    return models


def fpn(necks, channels):
    return necks.FPN(channels, 16, 4)


NECKS = dict(
    FPN=fpn,
    PAFPN=lambda necks, channels: necks.PAFPN(channels, 16, 4),
    NASFPN=lambda necks, channels: necks.NASFPN(channels, 16, 5, stack_times=1),
    HRFPN=lambda necks, channels: necks.HRFPN(channels, 16),
    YOLOXPAFPN=lambda necks, channels: necks.YOLOXPAFPN(channels, 16, num_csp_blocks=1),
)


@pytest.mark.parametrize('name', NECKS)
def test_necks_of_detectors(det, name):
    build = NECKS[name]
    check_channels(model(neck=build(det, MAPS)))
    message = (
        rf'model.neck: in_channels=.* of {name}: SearchableMacroNet with out_indices=\(0, 1, 2\) '
        r'and widen_factor=0.5 gives \[32, 64, 128\]: expected in_channels=\[32, 64, 128\]'
    )
    refused(message, neck=build(det, [16, 32, 64]))
    if name != 'HRFPN':  # it joins the maps, so that their order does not matter
        refused(message, neck=build(det, [32, 128, 64]))


def test_a_neck_that_does_not_keep_its_in_channels_is_told_by_its_layer(det):
    check_channels(model(neck=det.ChannelMapper(MAPS, out_channels=16)))
    refused(
        r"model.neck: its layer 'convs.1.conv' reads 128 channels and gets an input of shape "
        r'\(1, 64, 16, 16\): .* gives \[32, 64, 128\]: expected in_channels of ChannelMapper that',
        neck=det.ChannelMapper([32, 128, 64], out_channels=16),
    )


@pytest.mark.parametrize('channels', [[32, 64], [32, 64, 128, 256]])
def test_a_neck_for_more_or_fewer_maps(det, channels):
    refused(r'gives \[32, 64, 128\]: expected in_channels=\[32, 64, 128\]', neck=fpn(det, channels))


def test_the_neck_of_yolov3_reads_from_the_last_map_to_the_first(det):
    def neck(channels):
        return det.YOLOV3Neck(3, channels, [64, 32, 16])

    right = neck([128, 64, 32])
    head = dict(
        num_classes=3,
        out_channels=[16, 16, 16],
        anchor_generator=dict(
            type='mmdet.YOLOAnchorGenerator', base_sizes=[[(10, 10)]] * 3, strides=[32, 16, 8]
        ),
    )
    check_channels(model(neck=right, bbox_head=det.YOLOV3Head(in_channels=[64, 32, 16], **head)))
    refused(
        r'model.bbox_head: in_channels=\[16, 32, 64\] of YOLOV3Head: model.neck gives '
        r'\[64, 32, 16\]: expected in_channels=\[64, 32, 16\]',
        neck=right,
        bbox_head=det.YOLOV3Head(in_channels=[16, 32, 64], **head),
    )
    refused(
        r'in_channels=\[32, 64, 128\] of YOLOV3Neck: .* gives \[32, 64, 128\]: '
        r'expected in_channels=\[128, 64, 32\]',
        neck=neck([32, 64, 128]),
    )


def test_necks_in_a_row_and_dense_heads_read_every_map_with_one_number(det):
    neck = nn.Sequential(fpn(det, MAPS), det.BFP(16, 4))
    heads = [det.RetinaHead(3, in_channels=count, feat_channels=8) for count in (16, 256)]
    check_channels(model(neck=neck, bbox_head=heads[0]))
    refused(
        r'model.bbox_head: in_channels=256 of RetinaHead: model.neck.1 gives \[16, 16, 16, 16\]: '
        r'expected in_channels=16',
        neck=neck,
        bbox_head=heads[1],
    )
    refused(
        r'model.neck.1: in_channels=8 of BFP: model.neck.0 gives .*: expected in_channels=16',
        neck=nn.Sequential(fpn(det, MAPS), det.BFP(8, 4, refine_type='conv')),
    )
    refused(
        r'model.rpn_head: in_channels=256 of RPNHead: .*: expected in_channels=16',
        neck=neck,
        rpn_head=det.RPNHead(256),
        roi_head=nn.Identity(),
    )


def test_a_head_that_needs_more_than_maps_is_left_alone(det):
    class Queries(nn.Module):
        in_channels = 7

        def forward(self, maps, samples):
            raise AssertionError

    check_channels(model(neck=fpn(det, MAPS), bbox_head=Queries()))


@pytest.fixture
def seg(scope):
    models = pytest.importorskip('mmseg.models')
    init_default_scope('mmseg')
    return models


def fcn(seg, in_channels, in_index, **kwargs):
    arguments = dict(in_channels=in_channels, in_index=in_index, channels=8, num_classes=3)
    return seg.FCNHead(**arguments, **kwargs)


def test_heads_of_segmentors(seg):
    right, wrong = fcn(seg, 64, 1), fcn(seg, 64, 2)
    check_channels(model(decode_head=right, auxiliary_head=None))
    check_channels(model(decode_head=fcn(seg, 128, -1)))
    message = r': in_channels=64 of FCNHead: .* gives \[32, 64, 128\]: expected in_channels=128'
    refused(f'model.decode_head{message}', decode_head=wrong)
    refused(
        f'model.auxiliary_head.1{message}',
        decode_head=right,
        auxiliary_head=nn.ModuleList([right, wrong]),
    )


@pytest.mark.parametrize('index', [3, -4])
def test_an_index_beyond_the_maps(seg, index):
    refused(
        rf'model.decode_head: in_index={index} of FCNHead: .* \[32, 64, 128\]: expected 0 to 2',
        decode_head=fcn(seg, 64, index),
    )


def test_heads_of_segmentors_that_read_several_maps(seg):
    def uper(in_channels, in_index=(0, 1, 2)):
        return seg.UPerHead(
            in_channels=in_channels, in_index=list(in_index), channels=8, num_classes=3
        )

    check_channels(model(decode_head=uper(MAPS)))
    check_channels(model(decode_head=uper([64, 32], (1, 0))))
    refused(
        r'in_channels=\[32, 64, 64\] of UPerHead: .*: expected in_channels=\[32, 64, 128\]',
        decode_head=uper([32, 64, 64]),
    )
    refused(r'in_index=\[0, 1, 2, 3\] of UPerHead', decode_head=uper([*MAPS, 256], range(4)))

    def joined(*in_channels):
        return fcn(seg, [*in_channels], [0, 2], input_transform='resize_concat')

    check_channels(model(decode_head=joined(32, 128)))
    refused(
        r'in_channels=96 in all of FCNHead: .*: expected in_channels=\[32, 128\]',
        decode_head=joined(32, 64),
    )


def test_another_key_of_a_head_is_told_by_its_layer(seg):
    head = seg.DepthwiseSeparableASPPHead(
        in_channels=128, in_index=2, channels=8, num_classes=3, c1_in_channels=48, c1_channels=4
    )
    refused(
        r"model.decode_head: its layer 'c1_bottleneck.conv' reads 48 channels and gets an input of "
        r'shape \(1, 32, 32, 32\): .* gives \[32, 64, 128\]',
        decode_head=head,
    )


@pytest.mark.parametrize(
    'neck',
    [
        GlobalAveragePooling(),
        GeneralizedMeanPooling(),
        nn.Sequential(GlobalAveragePooling(), ClsBatchNormNeck(320)),
    ],
)
def test_heads_of_classifiers(neck):
    backbone = SearchableMacroNet('1' * 8, 0.25)
    right, wrong = (LinearClsHead(num_classes=3, in_channels=channels) for channels in (320, 1280))
    check_channels(model(backbone, neck=neck, head=right))
    check_channels(model(backbone, neck=neck, head=MultiTaskHead(dict(age=right))))
    message = r'in_channels=1280 of LinearClsHead: .* gives \[320\]: expected in_channels=320'
    refused(f'model.head: {message}', backbone, neck=neck, head=wrong)
    tasks = MultiTaskHead(dict(age=right, gender=wrong))
    refused(f'model.head.task_heads.gender: {message}', backbone, neck=neck, head=tasks)
    stacked = StackedLinearClsHead(num_classes=3, in_channels=64, mid_channels=[8])
    refused(r'in_channels=64 of StackedLinearClsHead', backbone, neck=neck, head=stacked)


def test_a_neck_of_a_classifier_changes_the_channels():
    backbone, pool = SearchableMacroNet('1' * 8, 0.25), GlobalAveragePooling()
    head = LinearClsHead(num_classes=3, in_channels=1280)
    check_channels(model(backbone, neck=nn.Sequential(pool, LinearNeck(320, 1280, 0)), head=head))
    refused(
        r'model.neck.1: in_channels=300 of LinearNeck: model.neck.0 gives \[320\]: expected '
        r'in_channels=320',
        backbone,
        neck=nn.Sequential(pool, LinearNeck(300, 1280, 0)),
        head=head,
    )


def test_images_have_as_many_means_as_the_backbone_reads_channels():
    def preprocessor(count):
        return ImgDataPreprocessor(mean=[0.0] * count, std=[1.0] * count)

    gray = SearchableMacroNet('1' * 8, 0.25, in_channels=1)
    check_channels(model(gray, data_preprocessor=preprocessor(1)))
    check_channels(model(data_preprocessor=BaseDataPreprocessor()))
    refused(
        'data_preprocessor: mean and std of 3 channels, but SearchableMacroNet reads in_channels=1',
        gray,
        data_preprocessor=preprocessor(3),
    )


def test_a_supernet_is_left_as_it_was(det):
    checked = model(
        SearchableMacroNet(widen_factor=0.5, out_indices=(0, 1, 2)), neck=fpn(det, MAPS)
    )
    checked.train()
    state = {key: value.clone() for key, value in checked.state_dict().items()}
    random_state = torch.random.get_rng_state()
    check_channels(checked)
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert checked.neck.training and checked.backbone.training and checked.backbone._arch is None
    assert all(torch.equal(value, state[key]) for key, value in checked.state_dict().items())
    assert not any(module._forward_pre_hooks for module in checked.modules())


def test_what_holds_the_model_is_looked_into(det):
    """A wrapper, as every model has on more than one GPU, and a strategy."""
    inside = model(neck=fpn(det, [64, 32, 128]))
    strategy = nn.Module()
    strategy.model, strategy.backbone = inside, inside.backbone
    for holder in (nn.DataParallel(inside), strategy):
        with pytest.raises(InputError, match=r'gives \[32, 64, 128\]'):
            check_channels(holder)


def test_other_models_are_left_alone():
    check_channels(nn.Conv2d(3, 3, 1))
    other = nn.Module()
    other.backbone, other.neck = nn.Conv2d(3, 3, 1), nn.Conv2d(1, 1, 1)
    check_channels(other)
    check_channels(model(neck=nn.Identity()))


@pytest.mark.slow
def test_the_necks_of_a_network_of_full_size(det):
    backbone = SearchableResNeSt('1' * 16, out_indices=(0, 1, 2, 3))
    check_channels(model(backbone, neck=fpn(det, [256, 512, 1024, 2048])))
    refused('gives', backbone, neck=fpn(det, [256, 512, 1024, 1024]))


class MixesPositions(nn.Module):
    """A neck for images of one size: its layer reads positions, not channels."""

    def __init__(self, positions):
        super().__init__()
        self.mix = nn.Linear(positions, positions)

    def forward(self, maps):
        return (self.mix(maps[-1].flatten(2)),)


class ReadsFlattened(nn.Module):
    """A neck for images of one size: its layer reads a whole map."""

    def __init__(self, numbers):
        super().__init__()
        self.fc = nn.Linear(numbers, 8)

    def forward(self, maps):
        return (self.fc(maps[-1].flatten(1)),)


@pytest.mark.parametrize('neck', [MixesPositions(256), ReadsFlattened(128 * 32 * 32)])
def test_layers_for_images_of_one_size_are_left_alone(neck):
    check_channels(model(neck=neck))
