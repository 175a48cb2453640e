from types import SimpleNamespace

import pytest
from torch import nn

from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableMacroNet, SearchableResNeSt
from pinas_mm.models.channels import check_channels


def model(backbone=None, **parts):
    return SimpleNamespace(
        backbone=backbone or SearchableMacroNet('1' * 8, 0.25, out_indices=(1, 2)), **parts
    )


def test_necks():
    mmdet = pytest.importorskip('mmdet.models')
    check_channels(model(neck=mmdet.FPN([32, 64], 16, 3)))
    for wrong in ([64, 32], [32, 64, 128]):
        message = (
            r'in_channels=.* of the neck: SearchableMacroNet with out_indices=\(1, 2\) and '
            r'widen_factor=0.25 gives \[32, 64\]'
        )
        with pytest.raises(InputError, match=message):
            check_channels(model(neck=mmdet.FPN(wrong, 16, len(wrong))))
    check_channels(
        model(
            SearchableResNeSt('1' * 16, out_indices=(0, 1, 2, 3)),
            neck=mmdet.FPN([256, 512, 1024, 2048], 16, 4),
        )
    )


def test_heads_of_segmentors():
    heads = pytest.importorskip('mmseg.models')
    right, wrong = (
        heads.FCNHead(in_channels=32, channels=8, num_classes=3, in_index=index) for index in (0, 1)
    )
    check_channels(model(decode_head=right, auxiliary_head=None))
    for parts in (
        dict(decode_head=wrong),
        dict(decode_head=right, auxiliary_head=nn.ModuleList([right, wrong])),
    ):
        with pytest.raises(InputError, match=r'in_channels=32 of the FCNHead: .* gives \[64\]'):
            check_channels(model(**parts))
    joined = heads.FCNHead(
        in_channels=[32, 64],
        channels=8,
        num_classes=3,
        in_index=[0, 1],
        input_transform='resize_concat',
    )
    check_channels(model(decode_head=joined))


def test_heads_of_classifiers():
    from mmpretrain.models import (
        ClsBatchNormNeck,
        GeneralizedMeanPooling,
        GlobalAveragePooling,
        LinearClsHead,
        LinearNeck,
        MultiTaskHead,
    )

    backbone = SearchableMacroNet('1' * 8, 0.25)
    right, wrong = (LinearClsHead(num_classes=3, in_channels=channels) for channels in (320, 1280))
    for neck in (
        None,
        GlobalAveragePooling(),
        GeneralizedMeanPooling(),
        nn.Sequential(GlobalAveragePooling(), ClsBatchNormNeck(320)),
    ):
        check_channels(model(backbone, neck=neck, head=right))
        with pytest.raises(
            InputError,
            match=r'in_channels=1280 of the LinearClsHead: .* widen_factor=0.25 gives \[320\]',
        ):
            check_channels(model(backbone, neck=neck, head=wrong))
    check_channels(model(backbone, neck=LinearNeck(320, 1280), head=wrong))
    tasks = MultiTaskHead(dict(age=right, gender=wrong))
    with pytest.raises(
        InputError, match=r'in_channels=1280 of the LinearClsHead: .* gives \[320\]'
    ):
        check_channels(model(backbone, head=tasks))
    check_channels(model(backbone, head=MultiTaskHead(dict(age=right))))


def test_a_wrapped_model_is_checked_too():
    """As every model is on more than one GPU."""
    mmdet = pytest.importorskip('mmdet.models')
    inside = nn.Module()
    inside.backbone, inside.neck = (
        SearchableMacroNet('1' * 8, 0.25, out_indices=(1, 2)),
        mmdet.FPN([64, 32], 16, 2),
    )
    with pytest.raises(InputError, match=r'gives \[32, 64\]'):
        check_channels(nn.DataParallel(inside))


def test_other_models_are_left_alone():
    check_channels(nn.Conv2d(3, 3, 1))
    check_channels(
        SimpleNamespace(backbone=nn.Conv2d(3, 3, 1), neck=SimpleNamespace(in_channels=[1]))
    )
    check_channels(model(neck=nn.Identity()))
