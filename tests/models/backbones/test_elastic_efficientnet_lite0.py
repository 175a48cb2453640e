import pytest
import torch
from published_lite0 import BLOCKS, STAGE_OF_BLOCK, by_hand, published_lite0
from torch import nn

from pinas_mm.converters.efficientnet_lite_checkpoint import convert_efficientnet_lite
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import ElasticEfficientNetLite0, backbone_type
from pinas_mm.spaces.elastic_efficientnet_lite0 import ELASTIC_EFFICIENTNET_LITE0
from pinas_mm.subnets.export import export_program

# Stage by stage; of a block its expansion and, where it is 5, its kernel.
ARCH = '1 0 2 0 21 01 2 0 1 2 1 00 21 00 0 10 01 21 11 0'


def decode(text):
    return ELASTIC_EFFICIENTNET_LITE0.decode(text.replace(' ', ''))


def test_an_arch_by_hand():
    """Depth 2, 1, 3, 2 and 2; of every block so many times its input's channels and a kernel."""
    published = published_lite0()
    converted = convert_efficientnet_lite(published)
    arch = decode(ARCH)
    net = ElasticEfficientNetLite0(arch=arch, out_indices=tuple(range(8))).eval()
    net.load_state_dict(
        {
            key.removeprefix('backbone.'): value
            for key, value in converted.items()
            if key.removeprefix('backbone.') in net.state_dict()
        }
    )
    blocks = [
        (1, 3),
        *((3, 3), (6, 3)),
        *((6, 5), None),
        *((3, 3), (4, 3), (6, 3)),
        *((3, 3), (6, 5), None),
        *((4, 3), (3, 5), None, None),
        (3, 3),
    ]
    images = torch.randn(1, 3, 50, 37, generator=torch.Generator().manual_seed(0))
    for ours, expected in zip(net(images), by_hand(published, images, blocks), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_the_network_by_hand():
    net, places = ElasticEfficientNetLite0(), [0] * 7
    for (size, expansion, stride, before, after), stage in zip(BLOCKS, STAGE_OF_BLOCK):
        block = net.get_submodule(f'layer{stage + 1}.{places[stage]}')
        depthwise = block.depthwise_conv.conv
        assert depthwise.weight.shape == (before * expansion, 1, size, size)
        assert depthwise.stride == (stride, stride)
        assert block.linear_conv.conv.weight.shape == (after, before * expansion, 1, 1)
        places[stage] += 1
    # 4.652 M published, with a classifier of 1,000 classes.
    assert sum(p.numel() for p in net.parameters()) + 1281 * 1000 == 4_652_008
    assert {layer.eps for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)} == {1e-3}
    acts = {type(module) for module in net.modules() if 'activation' in type(module).__module__}
    assert acts == {nn.ReLU6}


def test_stem_and_tail_keep_their_width():
    net = ElasticEfficientNetLite0(widen_factor=0.5, in_channels=4, out_indices=tuple(range(8)))
    assert net.conv1.conv.weight.shape == (32, 4, 3, 3)
    assert net.out_channels == (8, 16, 24, 40, 56, 96, 160, 1280)


def test_norms_and_convolutions_may_be_others():
    """With the published eps all the same."""
    net = ElasticEfficientNetLite0(
        widen_factor=0.25, norm_cfg=dict(type='SyncBN'), conv_cfg=dict(type='Conv2d')
    )
    assert isinstance(net.conv2.bn, nn.SyncBatchNorm) and net.conv2.bn.eps == 1e-3
    assert type(net.layer3[0].depthwise_conv.conv) is nn.Conv2d
    assert net.layer3[0].depthwise_conv.conv.padding == (2, 2)
    norm = ElasticEfficientNetLite0(widen_factor=0.25, norm_cfg=dict(type='BN', eps=1e-5)).conv1.bn
    assert norm.eps == 1e-5


@pytest.mark.slow
def test_a_subnet_is_exported_for_any_size():
    arch = ELASTIC_EFFICIENTNET_LITE0.smallest
    subnet = ElasticEfficientNetLite0(arch=arch, widen_factor=0.25).eval()
    program = export_program(subnet).module()
    with torch.no_grad():
        for size in ((64, 64), (97, 130)):
            images = torch.randn(3, 3, *size)
            torch.testing.assert_close(program(images)[0], subnet(images)[0])


def test_the_space_is_known_by_name():
    assert backbone_type('elastic_efficientnet_lite0') == 'pinas_mm.ElasticEfficientNetLite0'
    with pytest.raises(InputError, match='has 3 entries, .* 29 slots'):
        ElasticEfficientNetLite0(arch='000')
