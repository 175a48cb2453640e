import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from torch.nn.modules.batchnorm import _BatchNorm

from pinas_mm.engine.hooks.knn_hook import features
from pinas_mm.engine.loaders import calibration_loader, whole_set_loader
from pinas_mm.scoring.evaluator import recalibrated_bn

BANK, QUERIES, NEIGHBOURS, ARCHS, SEED = 48, 64, 5, 2, 3


class Snapshot(Hook):
    """All that the hook between two of these could have changed."""

    def __init__(self, priority):
        self.priority = priority
        self.taken = []

    def after_train_epoch(self, runner):
        model = runner.model
        self.taken.append(
            dict(
                state={key: value.clone() for key, value in model.state_dict().items()},
                training=[module.training for module in model.modules()],
                momentum=[
                    layer.momentum for layer in model.modules() if isinstance(layer, _BatchNorm)
                ],
                gradients=[parameter.requires_grad for parameter in model.parameters()],
                arch=model.backbone.arch,
            )
        )


def loaders(tiny):
    collate = dict(collate_fn=dict(type='default_collate'))
    return tiny.digits(**collate), tiny.digits(
        'held_out', indices=QUERIES, batch_size=25, **collate
    )


@pytest.fixture
def trained(tiny):
    """A run with the hook, and what the model was before and after it."""
    bank, query = loaders(tiny)
    hook = dict(
        type='pinas_mm.KNNHook',
        bank_dataloader=bank,
        query_dataloader=query,
        num_archs=ARCHS,
        neighbours=NEIGHBOURS,
        bank_samples=BANK,
        calibration_batches=2,
        seed=SEED,
    )
    runner = tiny.training(loader=tiny.four_views(), model=tiny.pinas(), custom_hooks=[hook])
    snapshots = Snapshot('HIGH'), Snapshot('LOW')
    for snapshot in snapshots:
        runner.register_hook(snapshot)
    runner.train()
    return runner, [snapshot.taken[-1] for snapshot in snapshots]


def knn(bank, bank_labels, queries, labels):
    """Weighted by one over the cosine distance, written out."""
    bank, queries = (
        x / np.linalg.norm(x, axis=1, keepdims=True)
        for x in (bank.astype(float), queries.astype(float))
    )
    correct = 0
    for query, label in zip(queries, labels):
        distances = 1 - bank @ query
        votes = np.zeros(10)
        for index in np.argsort(distances)[:NEIGHBOURS]:
            votes[bank_labels[index]] += 1 / distances[index]
        correct += votes.argmax() == label
    return 100 * correct / len(labels)


def pooled(model, loader):
    """Features and labels without any function of the hook."""
    images, labels = [], []
    for batch in loader:
        images.append((torch.stack(list(batch['inputs'])).float() - 127.5) / 127.5)
        labels += [int(sample.gt_label) for sample in batch['data_samples']]
    with torch.no_grad():
        return torch.cat(
            [model.backbone(x)[-1].mean(dim=(2, 3)) for x in images]
        ).numpy(), np.array(labels)


@pytest.mark.slow
def test_accuracy_is_that_of_a_knn_written_out(bn_warnings, trained, tiny):
    runner, _ = trained
    model, (bank, query) = runner.model, loaders(tiny)
    rng = np.random.default_rng(SEED)
    archs = [model.backbone.space.sample(rng) for _ in range(ARCHS)]
    accuracies = []
    for arch in archs:
        with recalibrated_bn(model, arch, calibration_loader(bank, 2, SEED)):
            known, asked = (
                pooled(model, whole_set_loader(bank, BANK, SEED)),
                pooled(model, whole_set_loader(query)),
            )
            for ours, theirs in zip(features(model, whole_set_loader(query)), asked):
                np.testing.assert_allclose(ours, theirs, rtol=1e-5)
        assert known[0].shape == (BANK, 320) and asked[0].shape == (QUERIES, 320)
        accuracies.append(knn(*known, *asked))
    logged = runner.message_hub.get_scalar('train/knn_top1')
    assert len(logged.data[0]) == 1 and logged.current() == pytest.approx(np.mean(accuracies))
    assert not bn_warnings, 'BN is recalibrated'
    assert np.mean(accuracies) > 30, 'pixels alone tell digits apart; chance is 10'
    text = (
        f'knn_top1: {np.mean(accuracies):.2f}  ('
        + ', '.join(
            f'{"".join(map(str, arch))}: {accuracy:.2f}'
            for arch, accuracy in zip(archs, accuracies)
        )
        + ')'
    )
    (log,) = tiny.folder.glob('*/*.log')
    assert text in log.read_text()


def test_the_model_is_left_as_it_was(trained):
    _, (before, after) = trained
    assert before['state'].keys() == after['state'].keys()
    assert all(torch.equal(value, after['state'][key]) for key, value in before['state'].items())
    assert {key: value for key, value in before.items() if key != 'state'} == {
        key: value for key, value in after.items() if key != 'state'
    }
    assert any(before['training'])


@pytest.mark.slow
def test_interval_and_the_same_archs_at_every_measurement(tiny):
    bank, query = loaders(tiny)
    hook = dict(
        type='pinas_mm.KNNHook',
        bank_dataloader=bank,
        query_dataloader=query,
        num_archs=1,
        calibration_batches=1,
        interval=2,
    )
    runner = tiny.training(
        epochs=4, loader=tiny.four_views(indices=16), model=tiny.pinas(), custom_hooks=[hook]
    )
    runner.train()
    assert len(runner.message_hub.get_scalar('train/knn_top1').data[0]) == 2
    (log,) = tiny.folder.glob('*/*.log')
    lines = [line for line in log.read_text().splitlines() if 'INFO - knn_top1: ' in line]
    assert (
        len(lines) == 2 and len({line.partition('(')[2].partition(':')[0] for line in lines}) == 1
    )
