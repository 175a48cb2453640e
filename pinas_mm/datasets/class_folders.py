"""Folders of images, one per class."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmpretrain.datasets import CustomDataset

from ..errors import InputError, warn_once
from ..registry import DATASETS

# What OpenCV decodes. mmpretrain's own list leaves out WebP and two spellings.
EXTENSIONS = (
    '.jpg',
    '.jpeg',
    '.jpe',
    '.png',
    '.bmp',
    '.webp',
    '.tif',
    '.tiff',
    '.ppm',
    '.pgm',
    '.pbm',
)


@DATASETS.register_module()
class ClassFolders(CustomDataset):
    """mmpretrain's ``CustomDataset`` of one subfolder per class, whose classes are the same in
    every split: ``dict(type='pinas_mm.ClassFolders', data_root='my_images', data_prefix='test',
    classes_from='train')``. The folders are on this machine.

    ``CustomDataset`` numbers the subfolders that each split happens to have. A folder too many or
    too few then shifts the labels of a split, and nothing says so.

    Args:
        data_root: The folder that the splits are in, with or without a slash at its end.
        data_prefix: The split's folder in it.
        classes_from: The split, in ``data_root``, whose subfolders name the classes. Defaults to
            this one.
        other_splits: Further splits in ``data_root`` that must have the same classes where they
            exist: a training set with ``['test']`` refuses a test set that does not fit before
            anything is trained.
        extensions: Endings of image files, in lower case; files in upper case count too. Files
            with other endings are left out, which is said once.
        kwargs: As in ``CustomDataset``, but for what would name other images or classes
            (``ann_file``, ``with_label=False``, ``classes`` and those of ``metainfo``).

    Raises:
        InputError: A folder is missing, a class has no image, the two splits have other classes,
            or an argument names others; the message names them.
    """

    def __init__(
        self,
        data_root: str = '',
        data_prefix: str | dict[str, str] = '',
        classes_from: str | None = None,
        other_splits: Sequence[str] = (),
        extensions: tuple[str, ...] = EXTENSIONS,
        **kwargs: Any,
    ) -> None:
        named = {key: kwargs[key] for key in ('ann_file', 'classes') if kwargs.get(key)}
        if not kwargs.get('with_label', True):
            named['with_label'] = False
        metainfo = kwargs.get('metainfo') or {}
        named |= {
            f'metainfo.{key}': metainfo[key] for key in ('classes', 'categories') if key in metainfo
        }
        for key, value in named.items():
            raise InputError(
                f'ClassFolders: {key}={value!r}: images and classes are those of the folders; '
                "expected it left out, or type='CustomDataset'"
            )
        self.other_splits = [Path(data_root, split).expanduser() for split in other_splits]
        self.classes_from = (
            None if classes_from is None else Path(data_root, classes_from).expanduser()
        )
        super().__init__(
            data_root=data_root, data_prefix=data_prefix, extensions=extensions, **kwargs
        )

    def load_data_list(self) -> list[dict[str, Any]]:
        """The images with their classes' numbers, in the order of the folders' names."""
        folder = Path(self.img_prefix)
        found = class_names(folder)
        classes = found if self.classes_from is None else class_names(self.classes_from)
        check_same_classes(folder, found, self.classes_from or folder, classes)
        files = {name: _files(folder / name) for name in classes}
        images = {
            name: [file for file in files[name] if self.is_valid_file(file)] for name in classes
        }
        others = Counter(
            Path(file).suffix
            for name in classes
            for file in files[name]
            if not self.is_valid_file(file)
        )
        empty = [name for name, paths in images.items() if not paths]
        if empty:
            raise InputError(
                f'{folder}: no image in {", ".join(empty)}: remove the folder from every split, '
                f'or put images in (files that end in {", ".join(sorted(self.extensions))})'
            )
        for split in self.other_splits:
            if split.is_dir():
                check_same_classes(split, class_names(split), folder, classes)
        if others:
            endings = ', '.join(f'{count} x {suffix or "none"}' for suffix, count in others.items())
            warn_once(
                f'{folder}: {others.total()} files are left out, since they do not end in '
                f'{", ".join(sorted(self.extensions))}: {endings}'
            )
        self._metainfo['classes'] = tuple(classes)
        return [
            dict(img_path=path, gt_label=number)
            for number, name in enumerate(classes)
            for path in images[name]
        ]


def check_same_classes(folder: Path, found: list[str], source: Path, classes: list[str]) -> None:
    """Raises:
    InputError: A split has other class folders than the one that numbers the classes.
    """
    if found == classes:
        return
    missing, unknown = (
        ', '.join(name for name in names if name not in others) or 'none'
        for names, others in ((classes, found), (found, classes))
    )
    raise InputError(
        f'{folder} has other classes than {source}, which numbers them: missing folders: '
        f'{missing}; unknown folders: {unknown}. Expected the same folders, each with an image'
    )


def class_names(folder: Path) -> list[str]:
    """The names of the class folders in a folder, in the order of their numbers. Those whose names
    begin with a dot are a tool's, such as ``.ipynb_checkpoints``.

    Raises:
        InputError: There are none.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted(
                entry.name for entry in entries if entry.is_dir() and not entry.name.startswith('.')
            )
    except OSError as error:
        raise InputError(
            f'{folder}: {error.strerror}: expected a folder with one subfolder of images per class'
        ) from error
    if not names:
        raise InputError(f'{folder}: no subfolders in it: expected one per class')
    return names


def _files(folder: Path) -> list[str]:
    """Every file below a folder, sorted by path, without what begins with a dot."""
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith('.')]
        found += [os.path.join(place, name) for name in names if not name.startswith('.')]
    return sorted(found)
