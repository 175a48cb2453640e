"""Writes scenes to disk in the layouts of COCO, ADE20K and Cityscapes, as mmdet's and mmseg's
dataset classes read them."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from ..errors import InputError
from ..fileio import folder_written_atomic, read_json, write_atomic
from ..schema import shown
from .digit_scenes import DigitScenes, Scene, Split

FINISHED = 'scenes.json'


def write_digit_scenes(
    folder: str | os.PathLike, num_scenes: dict[Split, int], size: int = 96, seed: int = 0
) -> bool:
    """Writes the same scenes three times: to ``coco/``, ``ade20k/`` and ``cityscapes/`` below
    ``folder``.

    They are written beside ``folder``, which appears when all is there; then it is kept, and asked
    again with the same arguments nothing is written.

    Args:
        folder: Where to.
        num_scenes: How many scenes of each split: train, val and test.
        size: Height and width in pixels.
        seed: Seed of the composition.

    Returns:
        Whether anything was written.

    Raises:
        InputError: ``folder`` is there and holds something else.
    """
    folder = Path(folder)
    arguments = dict(num_scenes=num_scenes, size=size, seed=seed)
    if folder.exists():
        finished = folder / FINISHED
        found = read_json(finished) if finished.is_file() else None
        if found != arguments:
            holds = shown(found) if finished.is_file() else 'something else'
            raise InputError(
                f'{folder}: holds {holds}, asked for {arguments}; remove it or name another folder'
            )
        return False
    with folder_written_atomic(folder) as part:
        for split, number in num_scenes.items():
            drawn = DigitScenes(split, number, size, seed)
            scenes = [drawn[index] for index in range(number)]
            for write in (write_coco, write_ade20k, write_cityscapes):
                write(split, scenes, part / write.__name__.removeprefix('write_'))
        write_atomic(part / FINISHED, lambda file: file.write(json.dumps(arguments).encode()))
    return True


def write_coco(split: Split, scenes: Sequence[Scene], root: Path) -> None:
    """``train2017/*.jpg`` and ``annotations/instances_train2017.json`` below ``root``; masks as
    run-length codes."""
    name = f'{split}2017'
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, scene in enumerate(scenes):
        image = dict(
            id=index + 1,
            file_name=f'{index + 1:012d}.jpg',
            height=scene.image.shape[0],
            width=scene.image.shape[1],
        )
        _write_image(root / name / image['file_name'], scene.image[..., ::-1])
        images.append(image)
        for label, box, mask in zip(scene.labels.tolist(), scene.boxes().tolist(), scene.masks):
            code = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image['id'],
                    category_id=label + 1,
                    bbox=box,
                    area=int(mask.sum()),
                    iscrowd=0,
                    segmentation=dict(size=code['size'], counts=code['counts'].decode()),
                )
            )
    categories = [dict(id=digit + 1, name=str(digit), supercategory='digit') for digit in range(10)]
    text = json.dumps(
        dict(
            info=dict(description='handwritten digits'),
            images=images,
            annotations=annotations,
            categories=categories,
        )
    )
    write_atomic(
        root / 'annotations' / f'instances_{name}.json', lambda file: file.write(text.encode())
    )


def write_ade20k(split: Split, scenes: Sequence[Scene], root: Path) -> None:
    """``images/training/*.jpg`` and ``annotations/training/*.png`` below ``root``; 0 is unlabelled
    (nothing is), class c is c + 1."""
    folder = dict(train='training', val='validation', test='test')[split]
    _write_pairs(
        scenes,
        lambda index: f'ADE_{split}_{index + 1:08d}',
        root / 'images' / folder,
        '.jpg',
        root / 'annotations' / folder,
        '.png',
        first_class=1,
    )


def write_cityscapes(split: Split, scenes: Sequence[Scene], root: Path) -> None:
    """``leftImg8bit/train/digits/*_leftImg8bit.png`` and
    ``gtFine/train/digits/*_gtFine_labelTrainIds.png`` below ``root``; class c is c."""
    _write_pairs(
        scenes,
        lambda index: f'digits_{index:06d}_000019',
        root / 'leftImg8bit' / split / 'digits',
        '_leftImg8bit.png',
        root / 'gtFine' / split / 'digits',
        '_gtFine_labelTrainIds.png',
        first_class=0,
    )


def _write_pairs(
    scenes: Sequence[Scene],
    name: Callable[[int], str],
    images: Path,
    image_suffix: str,
    label_maps: Path,
    label_suffix: str,
    first_class: int,
) -> None:
    for index, scene in enumerate(scenes):
        _write_image(images / f'{name(index)}{image_suffix}', scene.image[..., ::-1])
        _write_image(
            label_maps / f'{name(index)}{label_suffix}', scene.label_map() + np.uint8(first_class)
        )


def _write_image(path: Path, image: np.ndarray) -> None:
    """``image`` is BGR or grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # 95, cv2's own: with less, the edges that tell digits apart blur.
    if not cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 95]):
        raise OSError(f'{path}: cannot be written')
