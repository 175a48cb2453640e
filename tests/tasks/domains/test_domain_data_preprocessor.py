import pytest
import torch
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.structures import DataSample

from pinas_mm.errors import InputError
from pinas_mm.tasks.domains import DomainDataPreprocessor

SETTINGS = dict(mean=[1, 2, 3], std=[4, 5, 6], to_rgb=True, pad_size_divisor=8)


def data(labels):
    generator = torch.Generator().manual_seed(0)
    images = [
        torch.randint(0, 256, (3, 6 + index, 7), dtype=torch.uint8, generator=generator)
        for index in range(len(labels))
    ]
    samples = [
        DataSample() if label is None else DataSample().set_gt_label(label) for label in labels
    ]
    return dict(inputs=images, data_samples=samples)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('labels', [(1, None, 4), (None, None, 2), (3, 4, 5), (None, None, None)])
def test_images_are_those_of_mmpretrain_and_labels_stay_where_they_are(labels, training):
    ours = DomainDataPreprocessor(**SETTINGS)(data(labels), training)
    assert torch.equal(
        ours['inputs'], ClsDataPreprocessor(**SETTINGS)(data((0, 0, 0)), training)['inputs']
    )
    assert ours['inputs'].shape == (3, 3, 8, 8)
    for sample, label in zip(ours['data_samples'], labels):
        assert sample.all_keys() == ([] if label is None else ['gt_label']) and (
            label is None or int(sample.gt_label) == label
        )


def test_a_tensor_without_samples():
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(
        DomainDataPreprocessor(**SETTINGS)(dict(inputs=images))['inputs'],
        ClsDataPreprocessor(**SETTINGS)(dict(inputs=images))['inputs'],
    )


@pytest.mark.parametrize(
    'settings',
    [
        dict(to_onehot=True, num_classes=3),
        dict(batch_augments=dict(augments=dict(type='Mixup', alpha=1.0))),
    ],
)
def test_mixed_images_are_refused(settings):
    with pytest.raises(InputError, match='not for batches of two domains'):
        DomainDataPreprocessor(**settings)
