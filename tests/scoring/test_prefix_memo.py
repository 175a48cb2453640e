import pytest
import torch
from torch import Tensor

from pinas_mm.scoring.prefix_memo import PrefixMemo
from pinas_mm.spaces import SearchSpace, chain, get_space

SPACE = get_space('nasbench_macro')
TOY = SearchSpace('toy', (SPACE.candidates[0],) * 3, chain((3,), (8,), (1,), 8), 8)


class Backbone:
    """Three positions that append their choice to a number; part 0 doubles it."""

    space = TOY

    def __init__(self):
        self.runs = []

    def prefix(self, part, arch):
        return part, arch[:part]

    def run(self, prefix, arch, x: Tensor):
        part = prefix[0]
        assert prefix == (part, arch[:part])
        self.runs.append(prefix)
        return x * 2 if part == 0 else x * 10 + arch[part - 1]


def step(memo, arch, x):
    """One step of a model that calls its backbone once."""
    for part in range(4):
        x = memo(part, arch, x)
    return x


@pytest.fixture
def backbone():
    return Backbone()


def batch(memo, archs, x):
    memo.next_batch()
    out = []
    for arch in archs:
        memo.next_step()
        out.append(step(memo, arch, x.clone()).item())
    return out


def test_each_prefix_runs_once_per_batch(backbone):
    memo = PrefixMemo(backbone, backbone.run)
    archs = [(0, 0, 1), (0, 0, 2), (0, 1, 2), (2, 1, 2)]
    assert batch(memo, archs, torch.tensor([1.0])) == [2001, 2002, 2012, 2212]
    assert backbone.runs == [
        (0, ()),
        (1, (0,)),
        (2, (0, 0)),
        (3, (0, 0, 1)),
        (3, (0, 0, 2)),
        (2, (0, 1)),
        (3, (0, 1, 2)),
        (1, (2,)),
        (2, (2, 1)),
        (3, (2, 1, 2)),
    ]
    assert batch(memo, archs, torch.tensor([2.0])) == [4001, 4002, 4012, 4212], 'another batch'
    assert len(backbone.runs) == 20


def test_calls_within_a_step_are_kept_apart(backbone):
    memo = PrefixMemo(backbone, backbone.run)
    memo.next_batch()
    out = []
    for arch in [(0, 0, 1), (0, 0, 2)]:
        memo.next_step()
        out.append(
            (
                step(memo, arch, torch.tensor([1.0])).item(),
                step(memo, arch, torch.tensor([3.0])).item(),
            )
        )
    assert out == [(2001, 6001), (2002, 6002)] and len(backbone.runs) == 2 * (4 + 1)


@pytest.mark.parametrize('change', ['input', 'output'])
def test_what_differs_is_not_shared(backbone, change):
    """Another input, and an output that was changed in place since."""
    memo = PrefixMemo(backbone, backbone.run)
    memo.next_batch()
    memo.next_step()
    x = memo(0, (0, 0, 1), torch.tensor([1.0]))
    if change == 'output':
        x.add_(5)
    memo.next_step()
    again = torch.tensor([1.0 if change == 'output' else 4.0])
    assert memo(0, (0, 0, 2), again).item() == 2 * again.item() and len(backbone.runs) == 2
