import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from wrong_files import of_bytes, of_json, of_values, try_files

from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableMacroNet, SearchableResNeSt, SearchableShuffleNetV2
from pinas_mm.spaces import SearchSpace, chain, resnest50, shufflenetv2
from pinas_mm.subnets import export
from pinas_mm.subnets.export import (
    EveryWindowAveragePool,
    ImagesToLogits,
    describe,
    export_onnx,
    export_program,
    largest_difference,
    onnx_runner,
    read_exports,
    require_onnx,
    saved_program,
)

# Batches and sizes other than the traced one: one image, no multiple of a stride, odd at the second
# and third stride.
SHAPES = [(1, 32, 32), (3, 33, 50), (2, 61, 37)]


class ShortResNeSt(SearchableResNeSt):
    """All that the whole one has: shortcuts with and without a stride, radix 1 and 2, two
    groups."""

    space = SearchSpace(
        'short', (resnest50.CANDIDATES,) * 2, chain((1, 1), (256, 512), (1, 2), 64), 64
    )


class ShortShuffleNet(SearchableShuffleNetV2):
    """Both kinds of blocks, with and without a stride, and the tail."""

    space = SearchSpace(
        'short', (shufflenetv2.CANDIDATES,) * 2, chain((2,), (64,), (2,), 16), 16, 1024
    )


def randomised(model):
    for norm in (module for module in model.modules() if isinstance(module, _BatchNorm)):
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 1.5)
        if norm.affine:
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, 0, 0.1)
    return model.eval()


def classifier(to_rgb=True):
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    model = randomised(
        MODELS.build(
            dict(
                type='ImageClassifier',
                backbone=dict(
                    type='pinas_mm.SearchableMacroNet', arch='01000000', widen_factor=0.125
                ),
                data_preprocessor=dict(
                    mean=[120.0, 110.0, 100.0], std=[60.0, 55.0, 50.0], to_rgb=to_rgb
                ),
                neck=[
                    dict(type='GlobalAveragePooling'),
                    dict(type='ClsBatchNormNeck', input_features=160, affine=False),
                ],
                head=dict(type='LinearClsHead', num_classes=4, in_channels=160),
            )
        )
    )
    nn.init.normal_(model.head.fc.weight, std=2)
    return model


def images(*shape, most=1.0):
    return torch.rand(shape[0], 3, *shape[1:], generator=torch.Generator().manual_seed(1)) * most


@pytest.fixture(scope='module')
def models():
    torch.manual_seed(0)
    resnest = randomised(ShortResNeSt(arch='23', widen_factor=0.25, out_indices=(0, 1)))
    shufflenet = randomised(ShortShuffleNet(arch='13', widen_factor=0.25, out_indices=(0, 1)))
    return dict(
        resnest=resnest, shufflenet=shufflenet, classifier=ImagesToLogits(classifier()).eval()
    )


@pytest.fixture(scope='module')
def exported(models):
    return {name: export_program(model) for name, model in models.items()}


def outputs_of(model, batch):
    with torch.no_grad():
        outputs = model(batch)
    return [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)


@pytest.mark.parametrize('kernel', [2, 3, 4])
def test_the_average_pool_without_cases_is_the_ceil_mode_one(kernel):
    expected, pool = (
        nn.AvgPool2d(kernel, kernel, ceil_mode=True, count_include_pad=False),
        EveryWindowAveragePool(kernel),
    )
    for height in range(kernel, 3 * kernel + 1):
        for width in range(kernel, 3 * kernel + 1):
            x = images(2, height, width)
            if kernel == 3:
                torch.testing.assert_close(pool(x), expected(x))
            else:
                assert torch.equal(pool(x), expected(x))


LOADER = """
import sys
for name in ('pinas_mm', 'mmengine', 'mmcv', 'mmpretrain', 'mmdet', 'mmseg', 'onnx'):
    sys.modules[name] = None
import json, torch
torch.set_num_threads(1)
outputs = {}
for name, batches in torch.load('batches.pt').items():
    extra = {'description.json': ''}
    program = torch.export.load(f'{name}.pt2', extra_files=extra).module()
    assert json.loads(extra['description.json']) == {'name': name}
    outputs[name] = [program(batch) for batch in batches]
torch.save(outputs, 'outputs.pt')
"""


@pytest.mark.slow
def test_programs_load_and_run_where_no_mm_package_can_be_imported(models, exported, tmp_path):
    batches = {
        name: [images(*shape, most=255 if name == 'classifier' else 1) for shape in SHAPES]
        for name in models
    }
    torch.save(batches, tmp_path / 'batches.pt')
    for name, program in exported.items():
        (tmp_path / f'{name}.pt2').write_bytes(saved_program(program, dict(name=name)))
    subprocess.run([sys.executable, '-c', LOADER], cwd=tmp_path, check=True, timeout=200)
    found = torch.load(tmp_path / 'outputs.pt')
    for name, model in models.items():
        for batch, outputs in zip(batches[name], found[name]):
            expected, outputs = (
                outputs_of(model, batch),
                [outputs] if isinstance(outputs, torch.Tensor) else list(outputs),
            )
            assert [output.shape for output in outputs] == [output.shape for output in expected]
            assert max((a - b).abs().max() for a, b in zip(outputs, expected)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize('name', ['resnest', 'shufflenet'])
def test_onnxruntime_computes_the_same(name, models, exported, tmp_path):
    data = export_onnx(exported[name], ['stage0', 'stage1'], dict(arch=[0]))
    (tmp_path / 'model.onnx').write_bytes(data)
    model = onnx.load(tmp_path / 'model.onnx')
    onnx.checker.check_model(model)
    assert [
        json.loads(entry.value) for entry in model.metadata_props if entry.key == 'description'
    ] == [dict(arch=[0])]
    (dims,) = (
        [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in model.graph.input
    )
    assert dims == ['batch', 3, 'height', 'width'] and [
        output.name for output in model.graph.output
    ] == ['stage0', 'stage1']

    session = onnxruntime.InferenceSession(
        str(tmp_path / 'model.onnx'), providers=['CPUExecutionProvider']
    )
    for shape in SHAPES:
        batch = images(*shape)
        expected, found = (
            outputs_of(models[name], batch),
            session.run(None, {'images': batch.numpy()}),
        )
        assert [output.shape for output in found] == [output.shape for output in expected]
        assert max(np.abs(a - b.numpy()).max() for a, b in zip(found, expected)) < 1e-4
    assert largest_difference(onnx_runner(data), models[name], SHAPES) < 1e-4


@pytest.mark.slow
def test_a_classifier_takes_rgb_images_and_scores_as_mm_does(exported):
    model, run = classifier(), exported['classifier'].module()
    rgb = images(3, 40, 33, most=255).round()
    bgr = [image.flip(0).to(torch.uint8) for image in rgb]
    samples = model.test_step(dict(inputs=bgr, data_samples=[DataSample() for _ in bgr]))
    expected = torch.stack([sample.pred_score for sample in samples])
    scores = run(rgb).softmax(dim=1)
    torch.testing.assert_close(scores, expected)
    assert (run(rgb.flip(1)).softmax(dim=1) - expected).abs().max() > 1e-3


@pytest.mark.usefixtures('exported')
def test_the_model_is_left_as_it_was(models):
    model = classifier().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    ImagesToLogits(model).eval()
    assert model.training and model.data_preprocessor.to_rgb
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    found, new = models['resnest'], ShortResNeSt(arch='23')
    assert [type(module) for module in found.modules()] == [
        type(module) for module in new.modules()
    ]
    assert all(parameter.requires_grad for parameter in found.parameters())


def test_a_supernet_is_refused():
    with pytest.raises(InputError, match='SearchableMacroNet is a supernet: build it with arch'):
        export_program(SearchableMacroNet(widen_factor=0.125))


def test_a_head_without_one_tensor_is_refused():
    model = classifier()
    model.head.forward = lambda feats: list(feats)
    with pytest.raises(
        InputError, match='LinearClsHead returns a list, expected one tensor of logits'
    ):
        export_program(ImagesToLogits(model))


def test_missing_packages_are_named(monkeypatch):
    require_onnx()
    monkeypatch.setattr(
        export.importlib.util, 'find_spec', lambda name: None if name == 'onnxscript' else name
    )
    with pytest.raises(
        InputError, match=r"needs onnxscript: pip install onnxscript, or 'pinas_mm\[export\]'"
    ):
        require_onnx()


def test_a_difference_is_found():
    model = nn.Conv2d(3, 2, 1)
    assert largest_difference(model, model, SHAPES) == 0
    assert largest_difference(lambda x: model(x) + 0.01, model, SHAPES) == pytest.approx(
        0.01, rel=0.3
    )
    assert (
        largest_difference(lambda x: model(x) * (1 if len(x) == 3 else 1.5), model, SHAPES) > 1e-2
    )
    assert largest_difference(lambda x: model(x) * float('nan'), model, SHAPES) == float('inf')
    big = nn.Sequential(model, nn.Upsample(scale_factor=1))
    big[0].weight.data *= 1e6
    assert largest_difference(lambda x: big(x) * 1.001, big, SHAPES) == pytest.approx(
        1e-3, rel=0.01
    )
    with pytest.raises(
        RuntimeError, match=r'an output \(1, 2, 16, 32\) instead of \(1, 2, 32, 32\)'
    ):
        largest_difference(lambda x: model(x)[:, :, ::2], model, SHAPES)


def test_the_description_says_what_to_feed(models):
    config = Config(
        dict(data_preprocessor=dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], to_rgb=True))
    )
    found = describe(models['classifier'].classifier, config)
    assert found['input'] | {} == dict(
        name='images',
        shape=['batch', 3, 'height', 'width'],
        dtype='float32',
        channels='RGB',
        mean=[1.0, 2.0, 3.0],
        std=[4.0, 5.0, 6.0],
        values='0 to 255, normalised inside',
    )
    assert list(found['outputs']) == ['logits']
    detector = Config(
        dict(
            model=dict(
                data_preprocessor=dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], bgr_to_rgb=True)
            )
        )
    )
    assert describe(models['resnest'], detector)['input']['channels'] == 'RGB'
    detector.data_preprocessor = dict(mean=[9.0] * 3, std=[9.0] * 3, to_rgb=False)
    assert describe(models['resnest'], detector)['input']['mean'] == [1.0, 2.0, 3.0]
    assert list(describe(models['resnest'], None)['outputs']) == ['stage0', 'stage1']
    assert (
        'BGR'
        in describe(models['resnest'], Config(dict(data_preprocessor=dict(to_rgb=False))))['input'][
            'channels'
        ]
    )
    json.dumps(found)


@pytest.mark.parametrize('channels', [1, 4])
def test_programs_take_images_with_as_many_channels_as_the_backbone_reads(channels):
    net = SearchableMacroNet(arch='01000000', widen_factor=0.125, in_channels=channels).eval()
    assert describe(net, None)['input']['shape'] == ['batch', channels, 'height', 'width']
    program = export_program(net)
    assert largest_difference(program.module(), net, SHAPES, channels) < 1e-5


GOOD = dict(
    backbone=dict(space='nasbench_macro', arch=[0, 1], weights='1f', differences=dict(torch=0.0))
)
FITS = {
    '=mapping': 'nothing was exported yet',
    'no backbone*': 'compared with what is to be exported',
    'backbone=mapping': 'compared with what is to be exported',
    'backbone.[saw]*': 'compared with what is to be exported',
    'with backbone.new': 'compared with what is to be exported',
    'backbone.differences=mapping': 'none',
    'backbone.differences.torch=0*': 'another one',
    'with backbone.differences.new': 'another one',
    'a byte order mark': 'editors on Windows write it',
    'Windows lines': 'editors on Windows write them',
    'flip *': 'a letter of a name, or a digit',
}


def test_wrong_files_are_refused_in_one_line(tmp_path):
    good = json.dumps(GOOD)
    files = dict(of_values(GOOD)) | dict(of_json(GOOD)) | dict(of_bytes(good.encode()))
    tried, refused, _ = try_files(tmp_path / 'export.json', read_exports, files, FITS)
    assert tried > 100 and refused > 60
