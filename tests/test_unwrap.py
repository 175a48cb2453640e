"""A model inside test-time augmentation, with and without an arch, through a tiny Runner."""

import pytest
import torch
from mmengine.model import BaseTTAModel
from mmengine.registry import MODELS

from pinas_mm.checkpoint import load_strict, save_checkpoint
from pinas_mm.errors import InputError
from pinas_mm.scoring.bn_recalibration import recalibrated_bn
from pinas_mm.unwrap import unwrapped

ARCH = '22212220'
FLIPS = [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)]


def tta(model):
    return dict(type='AverageClsScoreTTA', module=model)


def augmented(loader):
    """Every image as it is and flipped, in one sample."""
    pack = dict(type='PackInputs')
    loader['dataset']['pipeline'] = [dict(type='TestTimeAug', transforms=[FLIPS, [pack]])]
    return loader


def accuracy(model, batch):
    """Both predictions, averaged by hand."""
    with torch.no_grad():
        scores = [
            model.eval()((torch.stack(images).float() - 127.5) / 127.5, mode='tensor')
            for images in batch['inputs']
        ]
    labels = [int(sample.gt_label) for sample in batch['data_samples'][0]]
    mean = sum(logits.softmax(dim=1) for logits in scores) / len(scores)
    return 100 * (mean.argmax(dim=1) == torch.tensor(labels)).double().mean().item()


@pytest.mark.parametrize('arch', [None, ARCH])
def test_a_model_of_test_time_augmentation_is_tested(tiny, arch):
    """A supernet's arch with its own loop, and a subnet with mmengine's."""
    model = tiny.classifier(arch=None if arch is None else list(map(int, arch)))
    loader = augmented(tiny.digits('held_out', batch_size=64))
    loop = dict(
        type='pinas_mm.ArchTestLoop',
        archs=[ARCH],
        calibration_dataloader=tiny.digits(batch_size=64),
        calibration_batches=1,
    )
    runner = tiny.runner(
        model=tta(model),
        test_dataloader=loader,
        test_evaluator=dict(type='Accuracy', topk=(1,)),
        test_cfg=loop if arch is None else dict(),
    )
    inner = unwrapped(runner.model)
    assert isinstance(runner.model, BaseTTAModel) and inner is runner.model.module
    trained = tiny.randomise(MODELS.build(model))
    save_checkpoint(tiny.folder / 'trained.pth', trained.state_dict(), {})
    load_strict(runner.model, tiny.folder / 'trained.pth')
    found = runner.test()['accuracy/top1']

    (batch,) = runner.test_dataloader if arch else runner.test_loop.dataloader
    if arch is None:
        calibration = runner.test_loop.arch_evaluator.calibration_loader
        with recalibrated_bn(inner, list(map(int, ARCH)), calibration):
            expected = accuracy(inner, batch)
    else:
        expected = accuracy(inner, batch)
    assert found == pytest.approx(expected, abs=1e-4) and 0 < found < 100
    with pytest.raises(InputError, match='missing: head.fc.weight'):
        state = {k: v for k, v in trained.state_dict().items() if k != 'head.fc.weight'}
        save_checkpoint(tiny.folder / 'part.pth', state, {})
        load_strict(runner.model, tiny.folder / 'part.pth')
