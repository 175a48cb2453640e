import numpy as np
import pytest

from pinas_mm.datasets import Digits
from pinas_mm.datasets.digit_scenes import CLASSES, SOURCES, DigitScenes
from pinas_mm.errors import InputError


@pytest.fixture(scope='module')
def scenes():
    return {split: list(DigitScenes(split, 40)) for split in SOURCES}


def every(scenes):
    return [scene for split in scenes.values() for scene in split]


def original(digits, index):
    return digits[int(index)]['img'].tobytes()


def test_the_same_seed_gives_the_same_bytes(scenes):
    again = DigitScenes('train', 5)
    for index in (3, 0):  # of (seed, split, index) alone, in any order and for any number of scenes
        assert again[index].image.tobytes() == scenes['train'][index].image.tobytes()
        assert again[index].masks.tobytes() == scenes['train'][index].masks.tobytes()
    images = {scene.image.tobytes() for scene in every(scenes)} | {
        scene.image.tobytes() for scene in DigitScenes('train', 40, seed=1)
    }
    assert len(images) == 160


@pytest.mark.slow
def test_no_digit_is_in_two_splits(scenes):
    used = {}
    for split, source in SOURCES.items():
        digits = Digits(source)
        used[split] = {
            original(digits, index) for scene in scenes[split] for index in scene.sources
        }
        for scene in scenes[split]:
            assert [
                digits[int(index)]['gt_label'] for index in scene.sources
            ] == scene.labels.tolist()
    assert all(len(found) > 60 for found in used.values())
    assert (
        not used['train'] & used['val']
        and not used['train'] & used['test']
        and not used['val'] & used['test']
    )
    # What the unsupervised stage learns from is 'learning'.
    learning = Digits('learning')
    learned = {original(learning, index) for index in range(len(learning))}
    assert used['train'] <= learned and not learned & (used['val'] | used['test'])


def test_boxes_are_the_extents_of_what_is_visible(scenes):
    for scene in every(scenes):
        for box, mask in zip(scene.boxes().tolist(), scene.masks):
            pixels = [(x, y) for y in range(96) for x in range(96) if mask[y, x]]
            left, top = min(x for x, _ in pixels), min(y for _, y in pixels)
            assert box == [
                left,
                top,
                max(x for x, _ in pixels) + 1 - left,
                max(y for _, y in pixels) + 1 - top,
            ]


def test_masks_are_disjoint_and_the_label_map_is_their_union(scenes):
    for scene in every(scenes):
        assert scene.masks.dtype == bool and scene.masks.sum(axis=0).max() == 1
        expected = (scene.masks * (scene.labels + 1)[:, None, None]).sum(axis=0)
        np.testing.assert_array_equal(scene.label_map(), expected)
        assert scene.label_map().dtype == np.uint8 and expected.max() < len(CLASSES)


def test_digits_show_and_differ_in_size_place_and_number(scenes):
    areas = [mask.sum() for scene in every(scenes) for mask in scene.masks]
    heights = np.concatenate([scene.boxes()[:, 3] for scene in every(scenes)])
    assert min(areas) > 20 and heights.min() < 30 and heights.max() > 46
    assert {len(scene.labels) for scene in every(scenes)} == {2, 3, 4}
    assert set(np.concatenate([scene.labels for scene in every(scenes)])) == set(range(10))
    overlapping = 0
    for scene in every(scenes):
        image = scene.image.astype(float)
        background = image[scene.label_map() == 0].mean()
        for mask in scene.masks:
            # Brighter or darker than the background; the edges, which are half of each, do not hide
            # it.
            assert abs(image[mask].mean() - background) > 20
        boxes = scene.boxes()
        overlapping += any(
            (boxes[i, :2] < boxes[j, :2] + boxes[j, 2:]).all()
            and (boxes[j, :2] < boxes[i, :2] + boxes[i, 2:]).all()
            for i in range(len(boxes))
            for j in range(i)
        )
    assert overlapping > 30


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            dict(split='training', num_scenes=1),
            "split='training', expected one of .*'train', 'val', 'test'",
        ),
        (dict(split='train', num_scenes=0), 'num_scenes=0, expected at least 1'),
        (dict(split='train', num_scenes=1, size=8), 'size=8, expected at least 48'),
        (dict(split='train', num_scenes=1, seed=-1), 'seed=-1, expected at least 0'),
        (dict(split='train', num_scenes=1, max_digits=1), 'max_digits=1, expected at least 2'),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        DigitScenes(**arguments)
