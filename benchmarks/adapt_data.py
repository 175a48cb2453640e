#!/usr/bin/env python
"""Writes the source and the targets of benchmarks/adapt.py as folders of 32-pixel images.

    python benchmarks/adapt_data.py --cifar10 data/cifar10 --bccd data/bccd --out data/adapt

source: the first five classes of CIFAR-10 in the order of their names, as links. objects: 100
training images of each of the other five, and their test images. digits: those of scikit-learn.
domains: the same in grey and noisy. cells: the boxes of BCCD, cut out, as many of every class as of
the rarest; tested on those of its validation part too. Images to choose settings by are objects/dev
(others of CIFAR-10's training set) and domains/noisy_dev. Without --cifar10 or --bccd, what needs
them is left out."""

import argparse
import json
import shutil
from pathlib import Path

import cv2
import numpy as np

from pinas_mm.datasets import Digits
from pinas_mm.tasks.domains.digit_domains import write_digit_domain

SIZE = 32
# Images of a class.
OBJECTS, DEV = 100, 500


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('--cifar10', type=Path)
    options.add_argument('--bccd', type=Path)
    options.add_argument('--out', type=Path, required=True)
    args = options.parse_args()
    write_digits(args.out / 'digits')
    for folder, look, split in (
        ('grey', 'grey', 'learning'),
        ('grey_held_out', 'grey', 'held_out'),
        ('noisy', 'noisy', 'learning'),
        ('noisy_test', 'noisy', 'test'),
        ('noisy_dev', 'noisy', 'held_out'),
    ):
        write_digit_domain(
            args.out / 'domains' / folder, look, split, noise=150
        )  # hard enough to tell ways apart
    if args.cifar10:
        classes = sorted(path.name for path in (args.cifar10 / 'train').iterdir())
        train, test, whole = args.cifar10 / 'train', args.cifar10 / 'test', slice(None)
        link(train, args.out / 'source/train', classes[:5], whole)
        link(test, args.out / 'source/test', classes[:5], whole)
        link(train, args.out / 'objects/train', classes[5:], slice(OBJECTS))
        link(test, args.out / 'objects/test', classes[5:], whole)
        link(train, args.out / 'objects/dev', classes[5:], slice(OBJECTS, OBJECTS + DEV))
    if args.bccd:
        cut_cells(args.bccd, args.out / 'cells')


def link(images: Path, out: Path, classes: list[str], chosen: slice) -> None:
    """Links to the chosen images of each of some classes."""
    shutil.rmtree(out, ignore_errors=True)  # what another number of images left
    for name in classes:
        (out / name).mkdir(parents=True)
        for path in sorted((images / name).resolve().iterdir())[chosen]:
            (out / name / path.name).symlink_to(path)


def write_digits(out: Path) -> None:
    for split, part in (('learning', 'train'), ('held_out', 'train'), ('test', 'test')):
        for number, sample in enumerate(Digits(split).load_data_list()):
            write(out / part / str(sample['gt_label']) / f'{split}_{number:04}.png', sample['img'])


def cut_cells(bccd: Path, out: Path) -> None:
    """A cut-out per box, as wide as high with the cell in the middle."""
    rng = np.random.default_rng(0)
    shutil.rmtree(out, ignore_errors=True)
    for part, parts in dict(train=('train',), test=('val', 'test')).items():
        boxes: dict[str, list[tuple[Path, dict]]] = {}
        for name in parts:
            data = json.loads((bccd / f'annotations/{name}.json').read_text())
            classes = {category['id']: category['name'] for category in data['categories']}
            pictures = {image['id']: bccd / name / image['file_name'] for image in data['images']}
            for box in data['annotations']:
                boxes.setdefault(classes[box['category_id']], []).append(
                    (pictures[box['image_id']], box)
                )
        for name, found in boxes.items():
            for index in sorted(rng.permutation(len(found))[: min(map(len, boxes.values()))]):
                path, box = found[index]
                write(
                    out / part / name / f'{path.parent.name}_{box["id"]:05}.png',
                    cut(cv2.imread(str(path)), box['bbox']),
                )


def cut(picture: np.ndarray, box: list[float]) -> np.ndarray:
    """A square with the box ``(x, y, width, height)`` in its middle."""
    x, y, width, height = box
    side = max(width, height)
    corner = round(x + (width - side) / 2), round(y + (height - side) / 2)
    # Beyond the picture's edge the edge goes on.
    columns, rows = (
        np.clip(np.arange(start, start + round(side)), 0, length - 1)
        for start, length in zip(corner, picture.shape[1::-1])
    )
    return cv2.resize(picture[rows][:, columns], (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


if __name__ == '__main__':
    main()
