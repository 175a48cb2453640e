"""The network of docs/tutorials/pretrained_supernet.md becomes elastic by the code that stands
there."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import pinas_mm  # noqa: F401
from pinas_mm.models.backbones import ElasticResNet, backbone_type
from pinas_mm.spaces import SPACES
from pinas_mm.spaces.elastic_resnet import ELASTIC_RESNETS

PAGE = (Path(__file__).parents[1] / 'docs/tutorials/pretrained_supernet.md').read_text()
CONFIG, DETECTOR, CODE = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)


@pytest.fixture
def page(monkeypatch):
    """What the code defines; it is known for one test alone."""
    tables = (SPACES, MODELS.module_dict)
    before = [dict(table) for table in tables]
    module = ModuleType('my_elastic')
    monkeypatch.setitem(sys.modules, 'my_elastic', module)
    exec(compile(CODE, 'docs/tutorials/pretrained_supernet.md', 'exec'), vars(module))
    yield module
    for table, content in zip(tables, before):
        table.clear()
        table.update(content)


def test_it_takes_at_most_sixty_lines():
    assert len(CODE.splitlines()) <= 60


def test_the_network_becomes_a_supernet_and_its_parts_subnets(page):
    torch.manual_seed(0)
    network, images = page.MyNetwork(), torch.randn(4, 3, 32, 32)
    supernet = MODELS.build(dict(type='MyElastic'))
    supernet.load_state_dict(network.state_dict())
    supernet.set_arch(page.MY_SPACE.largest)
    assert torch.equal(supernet(images)[0], network(images))
    arch = page.MY_SPACE.decode('101110000')  # three blocks, the last one of no effect
    subnet = page.MyElastic(arch=arch)
    subnet.load_state_dict(supernet.subnet_state(arch))
    supernet.set_arch(arch)
    torch.testing.assert_close(supernet.eval()(images), subnet.eval()(images))
    assert backbone_type('my_space').endswith('.MyElastic')


def test_a_detector_becomes_a_supernet_as_the_page_says():
    config = Config.fromstring(DETECTOR, '.py')
    init_default_scope('mmdet')
    with torch.device('meta'):
        strategy = MODELS.build(config.model)
    assert strategy.model.neck.in_channels == [*strategy.backbone.out_channels]
    assert strategy.largest == ELASTIC_RESNETS[50].largest
    assert MODELS.get('mmdet.RetinaNet') is type(strategy.model)


def test_the_config_builds_what_the_page_says():
    backbone = Config.fromstring(CONFIG, '.py').backbone
    net = MODELS.build(backbone.to_dict() | dict(widen_factor=0.125))
    assert isinstance(net, ElasticResNet) and net.space is ELASTIC_RESNETS[50]
    text = re.search(r'`([\d\s]+)`\s+without\s+the\s+spaces\s+is\s+the\s+whole', PAGE)[1]
    assert net.space.decode(''.join(text.split())) == net.space.largest
