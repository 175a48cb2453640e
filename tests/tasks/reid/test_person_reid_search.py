"""Re-identification from end to end, small: a supernet trained on some persons, searched on others,
its subnet tested on yet others."""

import pytest
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from person_pictures import write_persons

from pinas_mm.checkpoint import load_strict
from pinas_mm.searching.history import read_history
from pinas_mm.spaces.nasbench_macro import NASBENCH_MACRO

HELD_OUT, LEARNED = 8, 32
METRIC = dict(type='pinas_mm.ReIDMetric')
EPOCHS, STEPS = 12, 8


def model(**backbone):
    return dict(
        type='BaseReID',
        data_preprocessor=dict(
            type='ReIDDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True
        ),
        backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.125) | backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearReIDHead',
            num_fcs=0,
            in_channels=160,
            fc_channels=32,
            out_channels=32,
            num_classes=LEARNED,
            loss_cls=dict(type='mmpretrain.LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
            loss_triplet=dict(type='TripletLoss', margin=0.3),
        ),
    )


class Persons:
    """The data on disk, and loader configs of them."""

    def __init__(self, root):
        self.root = root

    def loader(self, split):
        resize = dict(type='Resize', scale=(16, 32), keep_ratio=False)
        pipeline = [dict(type='LoadImageFromFile'), resize, dict(type='pinas_mm.PackReIDImage')]
        sampler = (
            dict(type='pinas_mm.IdentitySampler')
            if split == 'train'
            else dict(type='DefaultSampler', shuffle=False)
        )
        return dict(
            batch_size=16,
            num_workers=0,
            drop_last=split == 'train',
            sampler=sampler,
            dataset=dict(
                type='pinas_mm.PersonReID',
                data_root=str(self.root),
                split=split,
                held_out=HELD_OUT,
                pipeline=pipeline,
            ),
        )

    def calibration(self):
        return dict(calibration_dataloader=self.loader('train'), calibration_batches=4)


@pytest.fixture(scope='module')
def market(tmp_path_factory):
    return Persons(
        write_persons(tmp_path_factory.mktemp('reid') / 'market', learning=HELD_OUT + LEARNED)
    )


@pytest.mark.slow
def test_supernet_search_and_subnet(tiny, market, tmp_path):
    common = dict(model=model(), default_scope='mmdet')
    training = tiny.training(
        EPOCHS,
        market.loader('train'),
        custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')],
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=2e-2)),
        param_scheduler=[dict(type='CosineAnnealingLR', T_max=EPOCHS * STEPS, by_epoch=False)],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=EPOCHS)),
        **common,
    )
    validation = tiny.runner(
        val_dataloader=market.loader('held_out'),
        val_evaluator=METRIC,
        val_cfg=dict(type='pinas_mm.ArchValLoop'),
        arch_evaluation=market.calibration(),
        **common,
    )
    validation.model = training.model
    before = validation.val()
    training.train()
    assert (
        training.iter == EPOCHS * STEPS
        and training.train_dataloader.dataset.metainfo['classes'][0] == '2'
    )
    after = validation.val()
    assert (
        before['reid/mAP'] + 3 < after['reid/mAP'] and before['reid/rank10'] < after['reid/rank10']
    )

    search = tiny.searching(
        val_dataloader=market.loader('held_out'),
        val_evaluator=METRIC,
        work_dir=str(tmp_path / 'search'),
        arch_evaluation=market.calibration(),
        search_loop=dict(
            type='pinas_mm.SearchLoop',
            searcher=dict(type='random'),
            num_archs=4,
            ask_size=4,
            score='reid/mAP',
            input_size=(32, 16),
        ),
        **common,
    )
    search.model = training.model
    metrics = search.test()
    records = read_history(tmp_path / 'search/history.jsonl', NASBENCH_MACRO)[1]
    assert (
        len({record.score for record in records}) == 4
        and search.test_loop.winner in records
        and search.test_loop.winner.score == metrics['reid/mAP']
    )
    # Archs together score as each alone.
    assert search.test_loop.whole_evaluator.evaluate([records[2].arch]) == [records[2].metrics]

    # The found subnet, as an ordinary model in an ordinary loop.
    arch = str(tmp_path / 'search/subnet.yaml')
    subnet = tiny.runner(
        model=model(arch=arch),
        default_scope='mmdet',
        val_dataloader=market.loader('held_out'),
        val_evaluator=METRIC,
        val_cfg=dict(),
        test_dataloader=market.loader('test'),
        test_evaluator=METRIC,
        test_cfg=dict(),
    )
    load_strict(subnet.model, tmp_path / 'search/subnet.pth')
    assert subnet.val() == pytest.approx(metrics)
    tested = subnet.test()
    assert tested.keys() == {
        'reid/mAP',
        'reid/rank1',
        'reid/rank5',
        'reid/rank10',
    } and tested != pytest.approx(metrics)
    assert {
        sample['gt_label']
        for sample in map(subnet.test_dataloader.dataset.get_data_info, range(57))
    } == {0, 1, 3, 5, 7, 9, 11}


def test_the_duke_layout_in_the_same_loaders(tmp_path):
    init_default_scope('mmdet')
    duke = Persons(
        write_persons(
            tmp_path / 'duke', layout='duke', learning=HELD_OUT + 5, cameras=2, pictures=2
        )
    )
    network = MODELS.build(model(arch=(0, 1, 2, 0, 1, 2, 0, 1)))
    (batch,) = Runner.build_dataloader(duke.loader('train'), seed=0)  # 5 persons: one batch of 4
    labels = [sample.gt_label.label.item() for sample in batch['data_samples']]
    assert (
        labels == [label for label in labels[::4] for _ in range(4)]
        and set(labels) < set(range(5))
        and len(set(labels)) == 4
    )
    losses = network(**network.data_preprocessor(batch, training=True), mode='loss')
    assert losses['triplet_loss'] > 0 and losses['ce_loss'] > 0
    held_out = [
        sample
        for batch in Runner.build_dataloader(duke.loader('held_out'))
        for sample in batch['data_samples']
    ]
    assert (
        len(held_out) == 4 * HELD_OUT and sum(sample.query for sample in held_out) == 2 * HELD_OUT
    )
