"""Pictures of persons in the directory layouts of Market-1501 and DukeMTMC-reID: a person is one
handwritten digit."""

import functools

import cv2
import numpy as np
from sklearn.datasets import load_digits

# Person, camera and a running number to a file name.
NAMES = dict(market='{}_c{}s1_{:06d}_01.jpg', duke='{}_c{}_f{:07d}.jpg')


def take(person, camera, rng):
    """A person as a camera sees it, uint8 ``(32, 16, 3)``: each camera has colours and a blur of
    its own, each picture its crop."""
    digit = cv2.resize(digits()[person], (12, 24), interpolation=cv2.INTER_LINEAR)
    top, left = rng.integers(0, 9), rng.integers(0, 5)
    ink = np.zeros((32, 16), np.float32)
    ink[top : top + 24, left : left + 12] = digit
    ink = cv2.GaussianBlur(ink, (3, 3), 0.3 + 0.3 * camera)[..., None]
    colours = np.random.default_rng((7, camera))
    paper, pen = colours.uniform(0, 90, 3), colours.uniform(165, 255, 3)
    image = paper * (1 - ink) + pen * ink + rng.normal(0, 5, (32, 16, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


@functools.cache
def digits():
    return (load_digits().images / 16).astype(np.float32)


def write(folder, names, layout='market'):
    """Writes one picture for each ``(person, camera)``, in the order given; persons below 1 are
    noise."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(names))
    for number, (person, camera) in enumerate(names):
        image = (
            take(person, camera, rng) if person > 0 else rng.integers(0, 256, (32, 16, 3), np.uint8)
        )
        shown = f'{person:04d}' if person >= 0 else '-1'
        cv2.imwrite(str(folder / NAMES[layout].format(shown, camera, number)), image)


def write_persons(root, layout='market', learning=20, test=6, cameras=3, pictures=3):
    """All three folders: ``learning`` persons with even numbers, ``test`` persons with odd ones;
    junk and distractors in the gallery."""
    seen = [
        (person, camera)
        for person in range(2, 2 * learning + 1, 2)
        for camera in range(1, cameras + 1)
        for _ in range(pictures)
    ]
    asked = [
        (person, camera) for person in range(1, 2 * test, 2) for camera in range(1, cameras + 1)
    ]
    write(root / 'bounding_box_train', seen, layout)
    write(root / 'query', asked, layout)
    rest = [entry for entry in asked for _ in range(pictures - 1)]
    nobody = (
        [(person, camera) for person in (-1, 0) for camera in range(1, cameras + 1)]
        if layout == 'market'
        else []
    )
    write(root / 'bounding_box_test', rest + nobody, layout)
    return root
