import pytest
import torch
from mmengine.model import BaseDataPreprocessor
from mmengine.structures import BaseDataElement, InstanceData
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.structures import DataSample

from pinas_mm.scoring.preprocessed_batch import preprocessed_once


def batch():
    samples = [DataSample(metainfo=dict(path=str(i))).set_gt_label(i) for i in range(3)]
    samples[0].boxes = InstanceData(labels=torch.arange(2))
    return dict(
        inputs=[torch.full((3, 4, 4), i, dtype=torch.uint8) for i in range(3)], data_samples=samples
    )


@pytest.fixture
def preprocessor():
    preprocessor = ClsDataPreprocessor(mean=[1.0] * 3, std=[2.0] * 3, num_classes=5)
    preprocessor.calls, plain = [], preprocessor.cast_data
    preprocessor.cast_data = lambda data: (preprocessor.calls.append(1), plain(data))[1]
    return preprocessor


def test_a_batch_is_preprocessed_once(preprocessor):
    data, other = batch(), batch()
    expected = preprocessor(data, False)
    preprocessor.calls.clear()
    with preprocessed_once(preprocessor):
        results = [preprocessor(data, False) for _ in range(3)]
        once = len(preprocessor.calls)
        assert results[0]['inputs'] is results[2]['inputs'] and torch.equal(
            results[0]['inputs'], expected['inputs']
        )
        preprocessor(other, False)
        assert len(preprocessor.calls) == 2 * once
    assert 'forward' not in preprocessor.__dict__
    preprocessor(other, False)
    assert len(preprocessor.calls) == 3 * once


def test_data_samples_are_fresh_every_time(preprocessor):
    """What one arch predicts is not in the samples of the next, nested or not."""
    data = batch()
    with preprocessed_once(preprocessor):
        first = preprocessor(data, False)['data_samples']
        first[0].set_pred_label(1)
        first[0].set_field('x', 'new', field_type='metainfo')
        first[0].boxes.scores = torch.ones(2)
        second = preprocessor(data, False)['data_samples']
    assert (
        'pred_label' in first[0]
        and 'pred_label' not in second[0]
        and 'new' not in second[0].metainfo
    )
    assert 'scores' in first[0].boxes and 'scores' not in second[0].boxes
    assert (
        second[0].gt_label.item() == 0 and second[2].path == '2' and 'gt_label' in second[0].keys()
    )
    assert (
        isinstance(second[0], DataSample)
        and second[0].to_dict().keys() == data['data_samples'][0].to_dict().keys()
    )


def test_images_changed_in_place_are_preprocessed_again(preprocessor):
    data = batch()
    with preprocessed_once(preprocessor):
        images = preprocessor(data, False)['inputs']
        before = images.clone()
        images.add_(1)
        assert torch.equal(preprocessor(data, False)['inputs'], before)


def test_other_batches_pass_through():
    preprocessor = BaseDataPreprocessor()
    with preprocessed_once(preprocessor):
        for data in (
            [torch.zeros(2)],
            dict(points=torch.zeros(2)),
            dict(inputs='text', data_samples=[BaseDataElement()]),
        ):
            assert type(preprocessor(data, False)) is type(data)
    with pytest.raises(ZeroDivisionError), preprocessed_once(preprocessor):
        1 / 0  # noqa: B018
    assert 'forward' not in preprocessor.__dict__
