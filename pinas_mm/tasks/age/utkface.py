"""UTKFace: faces whose file names say age and gender."""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.fileio import list_dir_or_file
from mmengine.logging import print_log

from ...registry import DATASETS
from .age_gender import AgeGenderDataset

FORM = '[age]_[gender]_[race]_[date]'
# What follows is `.jpg`, `.jpg.chip.jpg` of cropped faces, and neither in a few names.
NAME = re.compile(r'(\d+)_([01])_\d+_\d+')
SUFFIXES = ('.jpg', '.jpeg', '.png')


@DATASETS.register_module()
class UTKFace(AgeGenderDataset):
    """The faces of a folder and all folders below it, named ``[age]_[gender]_[race]_[date].jpg``;
    gender 0 is male, 1 is female.

    23,708 images in the cropped edition of UTKFace (Zhang et al., CVPR 2017), aged up to 116. There
    is no split: nest ``pinas_mm.SeededSplit``. Names that lack a part, as a few of UTKFace's own
    do, do not say which: these images are left out, with a warning.

    Args:
        tasks, ages: See :class:`AgeGenderDataset`; ages of 0 to 116 by default, as the data set is
            described.
        kwargs: As in mmengine's ``BaseDataset``: ``data_root`` and, below it, ``data_prefix``.

    Raises:
        InputError: No such folder, or what :class:`AgeGenderDataset` raises.
    """

    def __init__(
        self, tasks: str | Sequence[str], ages: Sequence[int] = (0, 116), **kwargs: Any
    ) -> None:
        super().__init__(tasks, ages, dict(male=['0'], female=['1']), ann_file='', **kwargs)

    def faces(self) -> Iterator[dict[str, str]]:
        left_out = []
        for image in sorted(
            list_dir_or_file(self.image_folder, list_dir=False, suffix=SUFFIXES, recursive=True)
        ):
            written = NAME.match(os.path.basename(image))
            if written is None:
                left_out.append(image)
                continue
            yield dict(image=image, age=written[1], gender=written[2])
        if left_out:
            print_log(
                f'UTKFace: {len(left_out)} image(s) of {self.image_folder} are left out, named '
                f'otherwise than {FORM}: '
                f'{", ".join(left_out[:5])}{" …" if len(left_out) > 5 else ""}',
                logger='current',
                level=logging.WARNING,
            )
