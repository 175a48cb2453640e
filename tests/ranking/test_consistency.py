import itertools

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from scipy.spatial.distance import cosine
from torch import nn

from pinas_mm.errors import InputError
from pinas_mm.models import PiNAS
from pinas_mm.models.backbones import SearchableBackbone, SearchableMacroNet
from pinas_mm.ranking.consistency import cosines, draw_archs, linear_cka, measure_consistency
from pinas_mm.spaces import Candidate, Position, SearchSpace
from pinas_mm.spaces.nasbench_macro import NASBENCH_MACRO
from pinas_mm.subnets.state_dict import subnet_state_dict

ARCHS = [(1, 2, 0, 0, 1, 2, 1, 0), (1, 2, 1, 2, 1, 2, 0, 1), (2, 0, 1, 1, 1, 0, 2, 1)]


@pytest.fixture
def batch(loaders):
    return next(iter(loaders[0]))


def test_linear_cka_is_normalised_hsic():
    """Kornblith et al., eqs. 1 and 3: by covariances of the features, and by HSIC with the centring
    matrix."""
    rng = np.random.default_rng(0)
    maps = [
        rng.normal(size=(12, 2, 3, 2)) + 5,
        rng.normal(size=(12, 2, 3, 2)),
        np.zeros((12, 2, 3, 2)),
    ]
    maps.append(2 * maps[0] + rng.normal(size=12 * 12).reshape(maps[0].shape) * 0.1)
    found = linear_cka([torch.tensor(values) for values in maps])
    centring = np.eye(12) - 1 / 12
    for (a, x), (b, y) in itertools.product(enumerate(maps), repeat=2):
        x, y = x.reshape(12, -1), y.reshape(12, -1)
        if a == 2 or b == 2:
            assert found[a, b] == (a == b)
            continue
        kernels = [values @ values.T for values in (x, y)]
        hsic = [
            np.trace(kernels[i] @ centring @ kernels[j] @ centring)
            for i, j in ((0, 1), (0, 0), (1, 1))
        ]
        centred = [values - values.mean(0) for values in (x, y)]
        norms = [np.linalg.norm(centred[i].T @ centred[j]) for i, j in ((0, 1), (0, 0), (1, 1))]
        np.testing.assert_allclose(float(found[a, b]), hsic[0] / np.sqrt(hsic[1] * hsic[2]))
        np.testing.assert_allclose(float(found[a, b]), norms[0] ** 2 / (norms[1] * norms[2]))
    assert found[0, 3] > 0.9 > found[0, 1]


def test_cosines_by_hand():
    found = cosines(torch.tensor([[3.0, 4.0], [4.0, -3.0], [-6.0, -8.0], [0.0, 0.0], [0.0, 0.0]]))
    expected = [
        [1, 0, -1, 0, 0],
        [0, 1, 0, 0, 0],
        [-1, 0, 1, 0, 0],
        [0, 0, 0, 1, 1],
        [0, 0, 0, 1, 1],
    ]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.double))


def plain_subnet(nets, model, batch, arch):
    """What goes into and comes out of every position of a plain subnet in training, and its
    parameters' gradients, by name."""
    subnet = nets.build(arch)
    subnet.load_state_dict(subnet_state_dict(model, arch))
    subnet.train()
    seen = []
    for position, choice in enumerate(arch):
        subnet.backbone.layers[position][str(choice)].register_forward_hook(
            lambda layer, inputs, output: seen.append(
                (inputs[0].detach().numpy(), output.detach().numpy())
            )
        )
    images, labels = nets.images_and_labels(batch)
    logits = subnet.head.fc(subnet.neck(subnet.backbone(images))[0])
    nn.functional.cross_entropy(logits, labels).backward()
    return seen, {name: parameter.grad.numpy() for name, parameter in subnet.named_parameters()}


@pytest.mark.slow
def test_all_is_as_computed_from_plain_subnets(nets, model, batch):
    """Each arch alone as a subnet that trains; distances by scipy, pair by pair and image by
    image."""
    for parameter in model.backbone.parameters():
        parameter.requires_grad_(False)  # as after linear training
    alone = [plain_subnet(nets, model, batch, arch) for arch in ARCHS]
    found = measure_consistency(model, batch, ARCHS)
    pairs = list(itertools.combinations(range(len(ARCHS)), 2))

    def distances(p, side, pairs):
        maps = [(alone[a][0][p][side], alone[b][0][p][side]) for a, b in pairs]
        return [
            np.mean(
                [
                    np.mean(
                        [
                            cosine(*image)
                            for image in zip(x.reshape(len(x), -1), y.reshape(len(y), -1))
                        ]
                    )
                    for x, y in maps
                ]
            ),
            np.mean(
                [1 - float(linear_cka([torch.tensor(x), torch.tensor(y)])[0, 1]) for x, y in maps]
            ),
            np.mean([cosine(x.mean((0, 2, 3)), y.mean((0, 2, 3))) for x, y in maps]),
            np.mean([cosine(x.var((0, 2, 3)), y.var((0, 2, 3))) for x, y in maps]),
        ]

    for p, shift in enumerate(found):
        assert (shift.position, shift.stage) == (p, [0, 0, 1, 1, 1, 2, 2, 2][p])
        differ = [(a, b) for a, b in pairs if ARCHS[a][:p] != ARCHS[b][:p]]
        same = [(a, b) for a, b in pairs if ARCHS[a][p] == ARCHS[b][p]]
        both = [pair for pair in differ if pair in same]
        inputs = [
            shift.input_distance,
            shift.input_cka_distance,
            shift.input_mean_distance,
            shift.input_variance_distance,
        ]
        outputs = [shift.output_distance, shift.output_cka_distance]
        assert (
            inputs == [None] * 4
            if not differ
            else np.allclose(inputs, distances(p, 0, differ), atol=1e-4)
        )
        assert (
            outputs == [None] * 2
            if not both
            else np.allclose(outputs, distances(p, 1, both)[:2], atol=1e-4)
        )
        shared = []
        for a, b in same:
            names = [name for name in alone[a][1] if name.startswith(f'backbone.layers.{p}.')]
            if names:  # an identity has no parameters
                shared.append(
                    1
                    - cosine(
                        *(
                            np.concatenate([alone[i][1][name].ravel() for name in names])
                            for i in (a, b)
                        )
                    )
                )
        if shared:
            np.testing.assert_allclose(shift.gradient_cosine, np.mean(shared), atol=1e-3)
            assert shift.gradient_conflicts == np.mean(np.array(shared) < 0)
        else:
            assert shift.gradient_cosine is shift.gradient_conflicts is None
    assert [shift.input_distance is None for shift in found[:3]] == [True, False, False]
    assert [shift.gradient_cosine is None for shift in found] == [
        False,
        False,
        False,
        True,
        False,
        False,
        True,
        False,
    ]


def test_equal_candidates_have_no_shift(model, batch):
    for layer in model.backbone.layers:
        for choice in layer:
            layer[choice] = layer['1']
    for shift in measure_consistency(model, batch, ARCHS):
        distances = [
            shift.input_distance,
            shift.input_cka_distance,
            shift.input_mean_distance,
            shift.input_variance_distance,
            shift.output_distance,
            shift.output_cka_distance,
        ]
        assert all(value is None or abs(value) < 1e-9 for value in distances)
        if shift.position in (3, 6):  # where the three archs have three choices
            assert shift.gradient_cosine is None
        else:
            assert shift.gradient_cosine == pytest.approx(1) and shift.gradient_conflicts == 0


class Negate(nn.Module):
    def forward(self, x):
        return -x


class Linear(BaseModel):
    """A loss that is linear in the features."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, inputs, data_samples=None, mode='tensor'):
        features = self.backbone(inputs)[-1]
        return dict(
            loss=(features * torch.linspace(-1, 1, features.numel()).reshape(features.shape)).sum()
        )


def test_contradicting_updates_are_seen():
    """The last position is the identity or its negative: what comes before is wanted to move in
    opposite directions."""
    backbone = SearchableMacroNet(widen_factor=0.125, out_indices=(2,))
    backbone.layers[7]['1'] = Negate()
    shifts = measure_consistency(
        Linear(backbone), dict(inputs=torch.rand(16, 3, 32, 32)), [(1,) * 7 + (0,), (1,) * 8]
    )
    assert [shift.gradient_cosine for shift in shifts[:7]] == [pytest.approx(-1)] * 7 and shifts[
        7
    ].gradient_cosine is None
    assert [shift.gradient_conflicts for shift in shifts[:7]] == [1] * 7
    assert all(
        shift.input_distance is None for shift in shifts
    )  # the paths part at the last position


class Cells(SearchableBackbone):
    """Two positions that read the same two slots, each with an operation per (slot, choice): a sum
    of two convolutions."""

    space = SearchSpace(
        name='cells',
        candidates=((Candidate('one', {}), Candidate('two', {})),) * 2,
        positions=(Position(0, 4, 4, 1, (0, 1)),) * 2,
        stem_channels=4,
    )

    def build_stem(self):
        return self.conv(3, 4)

    def build_candidate(self, position, candidate):
        raise NotImplementedError

    def build_position(self, position):
        return nn.ModuleDict(
            {f'{slot}-{choice}': self.conv(4, 4) for slot in range(2) for choice in range(2)}
        )

    def residual_norms(self):
        return iter(())

    def position_path(self, index, arch):
        return [self.layers[index][f'{slot}-{choice}'] for slot, choice in enumerate(arch)]

    def run(self, index, arch, x):
        return sum(layer(x) for layer in self.position_path(index, arch))


def test_where_all_positions_read_the_same_slots():
    """No two archs have the same candidates at a position, but two can share one of its
    operations."""
    model = Linear(Cells())
    archs = list(itertools.product((0, 1), repeat=2))
    first, second = measure_consistency(model, dict(inputs=torch.rand(16, 3, 8, 8)), archs)
    assert first.input_distance is None and second.input_distance > 0
    assert first.output_distance is None and second.output_distance is None
    model.backbone.set_arch((0, 1))
    gradients = []
    for arch in ((0, 1), (0, 0)):
        model.backbone.set_arch(arch)
        model.zero_grad()
        torch.manual_seed(0)
        model(torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(1)))[
            'loss'
        ].backward()
        gradients.append(model.backbone.layers[0]['0-0'].weight.grad.flatten())
    pair, _ = measure_consistency(
        model,
        dict(inputs=torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(1))),
        [(0, 1), (0, 0)],
    )
    assert pair.gradient_cosine == pytest.approx(1 - cosine(*gradients), abs=1e-5)
    assert first.gradient_cosine is not None and second.gradient_cosine is not None


def state(model):
    return (
        {key: value.clone() for key, value in model.state_dict().items()},
        model.backbone._arch,
        [m.training for m in model.modules()],
        [p.requires_grad for p in model.parameters()],
        [getattr(m, 'track_running_stats', None) for m in model.modules()],
    )


def test_the_supernet_is_left_as_it_was(model, batch, bn_warnings):
    model.train()
    model.backbone.set_arch(ARCHS[2])
    model.head.fc.weight.grad = torch.ones_like(model.head.fc.weight)
    for parameter in model.backbone.stem.parameters():
        parameter.requires_grad_(False)
    before = state(model)
    measure_consistency(model, batch, ARCHS[:2])
    with torch.no_grad():
        weight = model.head.fc.weight.clone()
        model.head.fc.weight.fill_(torch.nan)
    with pytest.raises(
        InputError, match='the loss of arch 12001210 is nan: the supernet has diverged'
    ):
        measure_consistency(model, batch, ARCHS[:2])
    with torch.no_grad():
        model.head.fc.weight.copy_(weight)
    after = state(model)
    assert before[1:] == after[1:] and all(
        torch.equal(value, after[0][key]) for key, value in before[0].items()
    )
    assert (model.head.fc.weight.grad == 1).all() and all(
        p.grad is None for p in model.backbone.parameters()
    )
    assert not bn_warnings


def test_archs_are_distinct_networks_drawn_uniformly():
    archs = draw_archs(NASBENCH_MACRO, 300, seed=3)
    assert (
        len({NASBENCH_MACRO.canonical(arch) for arch in archs}) == 300
        and draw_archs(NASBENCH_MACRO, 5, seed=3) == archs[:5]
    )
    share = np.mean(np.array(archs) == 0, axis=0)
    assert (abs(share - 1 / 3) < 0.1).all(), 'identities would pile up at the ends of the stages'
    with pytest.raises(InputError, match="5 distinct networks of space 'cells' asked, 4 found"):
        draw_archs(Cells.space, 5)


def test_what_cannot_be_measured(nets, model, batch):
    with pytest.raises(InputError, match=r'1 arch\(s\) to compare: expected at least 2'):
        measure_consistency(model, batch, [ARCHS[0], ARCHS[0]])
    with pytest.raises(InputError, match='built with arch=.*a supernet'):
        measure_consistency(nets.build(ARCHS[0]), batch, ARCHS)
    with pytest.raises(
        InputError, match='a batch of 15 images: expected one tensor of at least 16'
    ):
        measure_consistency(model, {key: value[:15] for key, value in batch.items()}, ARCHS)
    pinas = PiNAS(
        model.backbone,
        dict(type='LinearNeck', in_channels=160, out_channels=8),
        dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss')),
        queue_len=8,
        feat_dim=8,
    )
    with pytest.raises(InputError, match='PiNAS has no task loss'):
        measure_consistency(pinas, batch, ARCHS)
