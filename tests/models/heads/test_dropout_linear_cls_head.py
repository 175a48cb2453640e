import pytest
import torch
from mmpretrain.models import LinearClsHead
from mmpretrain.structures import DataSample

from pinas_mm.models.heads import DropoutLinearClsHead


def features():
    return (torch.rand(64, 50, generator=torch.Generator().manual_seed(0)) + 1,)


@pytest.mark.parametrize('dropout', [0, 0.1, 0.4])
def test_a_share_of_the_features_is_zeroed_and_the_rest_scaled_while_training(dropout):
    torch.manual_seed(0)
    head, inputs = DropoutLinearClsHead(5, 50, dropout=dropout), features()
    seen = []
    head.fc.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    head(inputs)
    kept = seen[0] != 0
    torch.testing.assert_close(seen[0][kept], inputs[0][kept] / (1 - dropout))
    assert float((~kept).float().mean()) == pytest.approx(dropout, abs=0.03)
    head.eval()
    torch.testing.assert_close(head(inputs), inputs[0] @ head.fc.weight.T + head.fc.bias)


def test_it_is_the_linear_head_otherwise():
    ours, theirs = DropoutLinearClsHead(5, 50), LinearClsHead(5, 50)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    samples = [DataSample().set_gt_label(i % 5) for i in range(64)]
    ours.eval()
    assert torch.equal(
        ours.loss(features(), samples)['loss'], theirs.loss(features(), samples)['loss']
    )
    assert ours.dropout.p == 0.1
