"""The configs of docs/tutorials/found_network.md build the models they promise, with the subnet's
weights."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import pinas_mm  # noqa: F401
from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.models.backbones import SearchableResNeSt
from pinas_mm.spaces.subnet_file import SubnetFile

PAGE = Path(__file__).parents[1] / 'docs/tutorials/found_network.md'
SNIPPETS = re.findall(r'```python\n(.*?)```', PAGE.read_text(), re.DOTALL)
ARCH = '3013231203213032'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('page')
    torch.manual_seed(0)
    backbone = SearchableResNeSt(arch=ARCH)
    subnet = SubnetFile(
        space='resnest50',
        arch=backbone.arch,
        widen_factor=1.0,
        scores={},
        costs={},
        seed=0,
        config='',
    )
    subnet.write(folder / 'subnet.yaml')
    save_checkpoint(
        folder / 'subnet.pth',
        {f'backbone.{key}': value for key, value in backbone.state_dict().items()},
        {},
    )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    'snippet, scope, model',
    zip(SNIPPETS, ('mmdet', 'mmseg'), ('FasterRCNN', 'EncoderDecoder'), strict=True),
)
def test_a_snippet_builds_its_model(folder, monkeypatch, snippet, scope, model):
    monkeypatch.chdir(folder)
    (folder / 'config.py').write_text(snippet)
    config = Config.fromfile(folder / 'config.py')
    init_default_scope(scope)
    built = MODELS.build(config.model).eval()
    built.backbone.init_weights()
    assert (
        type(built).__name__ == model and built.backbone.space.encode(built.backbone.arch) == ARCH
    )
    weights = torch.load(folder / 'subnet.pth', weights_only=True)['state_dict']
    assert all(
        torch.equal(value, weights[f'backbone.{key}'])
        for key, value in built.backbone.state_dict().items()
    )
    with torch.no_grad():
        features = built.backbone(torch.zeros(1, 3, 64, 64))
        assert [tuple(feature.shape[1:]) for feature in features] == [
            (256, 16, 16),
            (512, 8, 8),
            (1024, 4, 4),
            (2048, 2, 2),
        ]
        out = built.neck(features) if scope == 'mmdet' else built.decode_head(features)
    assert len(out) == 5 if scope == 'mmdet' else out.shape == (1, 19, 16, 16)
