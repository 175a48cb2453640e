#!/usr/bin/env python
"""Writes the source and the targets of benchmarks/adapt.py as folders of 32-pixel images.

    python benchmarks/adapt_data.py --cifar10 data/cifar10 --bccd data/bccd --out data/adapt

source: the first five classes of CIFAR-10 in the order of their names, as links. objects: 400 training images of each of the other
five, and their test images. digits: those of scikit-learn. domains: the same in grey and noisy. cells: the boxes of BCCD, cut out;
as many of every class as of the rarest. Without --cifar10 or --bccd, what needs them is left out.
"""
import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from pinas_mm.datasets import Digits
from pinas_mm.datasets.digit_domains import write_digit_domain

SIZE = 32
OBJECTS = 400


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--cifar10', type=Path)
    options.add_argument('--bccd', type=Path)
    options.add_argument('--out', type=Path, required=True)
    args = options.parse_args()
    write_digits(args.out / 'digits')
    for folder, look, split in (('grey', 'grey', 'learning'), ('grey_held_out', 'grey', 'held_out'), ('noisy', 'noisy', 'learning'),
                                ('noisy_test', 'noisy', 'test')):
        write_digit_domain(args.out / 'domains' / folder, look, split, noise=150)  # hard enough to tell ways apart
    if args.cifar10:
        classes = sorted(path.name for path in (args.cifar10 / 'train').iterdir())
        link(args.cifar10, args.out / 'source', classes[:5], None)
        link(args.cifar10, args.out / 'objects', classes[5:], OBJECTS)
    if args.bccd:
        cut_cells(args.bccd, args.out / 'cells')


def link(cifar10: Path, out: Path, classes: list[str], most: int | None) -> None:
    """Links to the images of some classes, to at most so many of each in the training set."""
    for part in ('train', 'test'):
        for name in classes:
            (out / part / name).mkdir(parents=True, exist_ok=True)
            for path in sorted((cifar10 / part / name).resolve().iterdir())[:most if part == 'train' else None]:
                link = out / part / name / path.name
                link.unlink(missing_ok=True)
                link.symlink_to(path)


def write_digits(out: Path) -> None:
    for split, part in (('learning', 'train'), ('held_out', 'train'), ('test', 'test')):
        for number, sample in enumerate(Digits(split).load_data_list()):
            write(out / part / str(sample['gt_label']) / f'{split}_{number:04}.png', sample['img'])


def cut_cells(bccd: Path, out: Path) -> None:
    """A cut-out per box, as wide as high with the cell in the middle."""
    for part in ('train', 'test'):
        data = json.loads((bccd / f'annotations/{part}.json').read_text())
        names = {category['id']: category['name'] for category in data['categories']}
        files = {image['id']: image['file_name'] for image in data['images']}
        boxes = {number: [box for box in data['annotations'] if box['category_id'] == number] for number in names}
        rng = np.random.default_rng(0)
        for number, found in boxes.items():
            for index in sorted(rng.permutation(len(found))[:min(map(len, boxes.values()))]):
                box = found[index]
                picture = cv2.imread(str(bccd / part / files[box['image_id']]))
                x, y, width, height = box['bbox']
                side = max(width, height)
                corner = round(x + (width - side) / 2), round(y + (height - side) / 2)
                # Beyond the picture's edge the edge goes on.
                columns, rows = (np.clip(np.arange(start, start + round(side)), 0, length - 1)
                                 for start, length in zip(corner, picture.shape[1::-1]))
                cut = cv2.resize(picture[rows][:, columns], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
                write(out / part / names[number] / f'{box["id"]:05}.png', cut)


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


if __name__ == '__main__':
    main()
