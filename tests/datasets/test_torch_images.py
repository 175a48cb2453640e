import copy

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample
from PIL import Image
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from pinas_mm.datasets.fingerprint import fingerprint
from pinas_mm.datasets.torch_images import TorchImages, known_labels
from pinas_mm.errors import InputError

PIXELS = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)


def test_a_pil_image_is_its_pixels_in_the_order_that_the_model_reads():
    pair = [(Image.fromarray(PIXELS), 3)]
    sample = TorchImages(pair)[0]
    assert sample['inputs'].dtype == torch.uint8
    assert np.array_equal(sample['inputs'], PIXELS.transpose(2, 0, 1))
    assert isinstance(sample['data_samples'], DataSample) and sample['data_samples'].gt_label == 3
    bgr = TorchImages(pair, to_bgr=True)[0]['inputs']
    assert np.array_equal(bgr, PIXELS[..., ::-1].transpose(2, 0, 1))


def test_grey_images_have_one_channel():
    grey = Image.fromarray(PIXELS[..., 0])
    assert np.array_equal(TorchImages([(grey, 0)])[0]['inputs'], PIXELS[None, ..., 0])


def test_tensors_are_given_as_they_are_and_floats_are_told():
    floats = TensorDataset(torch.randn(2, 3, 4, 4), torch.tensor([1, 0]))
    assert TorchImages(floats).gives_floats
    assert torch.equal(TorchImages(floats, to_bgr=True)[1]['inputs'], floats.tensors[0][1])
    whole = TensorDataset(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.tensor([1, 0]))
    assert not TorchImages(whole).gives_floats


class Folder:
    """As torchvision's."""

    classes = ['cat', 'dog']
    targets = [0, 1, 1]

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return Image.fromarray(PIXELS), self.targets[index]


def test_labels_and_classes_are_known_without_an_image():
    found = TorchImages(Subset(Folder(), [2, 0]))
    assert found.metainfo == dict(classes=('cat', 'dog'))
    assert [found.get_data_info(i) for i in range(2)] == [dict(gt_label=1), dict(gt_label=0)]
    pairs = TensorDataset(torch.zeros(2, 3, 1, 1), torch.tensor([5, 4]))
    assert list(known_labels(pairs)) == [5, 4]
    assert known_labels(ConcatDataset([pairs])) is None
    assert known_labels([(Image.fromarray(PIXELS), 3)]) is None
    assert TorchImages([(Image.fromarray(PIXELS), 3)]).get_data_info(0) == {}


def test_other_data_have_another_fingerprint():
    first, second = (
        TensorDataset(torch.zeros(3, 3, 1, 1), torch.tensor(labels))
        for labels in ([0, 1, 2], [0, 1, 1])
    )
    assert fingerprint(TorchImages(first)) == fingerprint(TorchImages(copy.copy(first)))
    assert fingerprint(TorchImages(first)) != fingerprint(TorchImages(second))


def test_a_copy_is_the_same_and_the_text_is_the_same_in_every_process():
    found = TorchImages(Folder())
    assert copy.deepcopy(dict(dataset=found))['dataset'] is found
    assert repr(found) == "TorchImages(dataset='Folder', samples=3)"


@pytest.mark.parametrize(
    'dataset, message',
    [
        ([], 'val: list has no samples or no length'),
        ([3], 'val: sample 0 of list is a int, expected'),
        ([(PIXELS, 0)], r'val: the image of sample 0 is a ndarray \(2, 4, 3\), expected'),
        ([(torch.zeros(4, 4), 0)], r'the image of sample 0 is a Tensor \(4, 4\), expected'),
        ([(torch.zeros(3, 4, 4).long(), 0)], 'the image of sample 0 has torch.int64, expected'),
        ([(torch.zeros(3, 4, 4), 'cat')], "the label of sample 0 is 'cat', expected"),
    ],
)
def test_what_is_no_image_with_a_label_is_named(dataset, message):
    with pytest.raises(InputError, match=message):
        TorchImages(dataset, 'val')
