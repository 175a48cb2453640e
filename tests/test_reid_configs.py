"""The configs of person re-identification: persons apart, pictures as the network takes them, and a
step at full width."""

import numpy as np
import our_configs
import pytest
import torch
from mmdet.structures import ReIDDataSample
from mmengine.dataset import Compose
from mmengine.registry import MODELS
from person_pictures import write_persons

from pinas_mm.tasks.reid import PersonReID


def read(name):
    return our_configs.read(f'adapt/reid_resnest50_1xb64-22k_{name}.py')


@pytest.mark.parametrize(
    'name, folder, persons', [('market1501', 'market1501', 751), ('dukemtmc', 'dukemtmc-reid', 702)]
)
def test_what_is_learned_searched_on_and_tested(name, folder, persons):
    config = read(name)
    learned, held_out, test = (
        config[f'{phase}_dataloader'].dataset for phase in ('train', 'val', 'test')
    )
    assert (learned.split, held_out.split, test.split) == ('train', 'held_out', 'test')
    assert learned.held_out == held_out.held_out == persons - config.model.head.num_classes == 100
    assert {dataset.data_root for dataset in (learned, held_out, test)} == {f'data/{folder}/'}
    loader = config.train_dataloader
    assert loader.batch_size == 16 * loader.sampler.images_per_person and loader.drop_last
    assert (
        tuple(config.search_loop.input_size) == (256, 128)
        and config.search_loop.score == 'reid/mAP'
    )


@pytest.mark.slow
def test_pictures_are_as_large_as_the_search_counts(tmp_path):
    root, config = write_persons(tmp_path / 'market', learning=2, test=1), read('market1501')
    for split, pipeline in dict(train=config.train_pipeline, test=config.test_pipeline).items():
        item = PersonReID(str(root), split, pipeline=pipeline)[0]
        assert item['inputs'].shape == (3, *config.search_loop.input_size) and item[
            'data_samples'
        ].query == (split == 'test')
    # What is erased is grey, not another colour: BGR here, RGB in the mean that is subtracted.
    (erasing,) = [
        step
        for step in Compose(config.train_pipeline).transforms
        if type(step).__name__ == 'RandomErasing'
    ]
    assert (
        tuple(erasing.fill_color) == tuple(config.model.data_preprocessor.mean[::-1])
        and config.model.data_preprocessor.to_rgb
    )


@pytest.mark.slow
def test_one_step_at_full_width():
    torch.manual_seed(0)
    model = MODELS.build(read('market1501').model).train()
    model.init_weights()
    model.backbone.set_arch((0, 1, 2, 3) * 4)
    images = list(torch.randint(0, 256, (4, 3, 64, 32), dtype=torch.uint8))
    data = dict(
        inputs=images, data_samples=[ReIDDataSample().set_gt_label(label) for label in (3, 3, 5, 5)]
    )
    losses = model(**model.data_preprocessor(data, training=True), mode='loss')
    # Near 0 for each person, logits give the logarithm of their number; near 0, features are no
    # margin apart.
    assert losses['ce_loss'].item() == pytest.approx(np.log(651), abs=1) and losses[
        'triplet_loss'
    ].item() == pytest.approx(0.3, abs=0.3)
    model.parse_losses(losses)[0].backward()
    assert all(parameter.grad is not None for parameter in model.head.parameters())
    maps = model.eval().backbone(torch.zeros(1, 3, 64, 32))
    assert maps[-1].shape == (1, 2048, 4, 2) and model.head(model.neck(maps)).shape == (
        1,
        512,
    )  # a stride of 16
