"""Pipelines that name the file which cannot be read."""

from typing import Any

from mmcv.transforms import LoadAnnotations, LoadImageFromFile
from mmengine.dataset import Compose

from ..errors import InputError
from .wrappers import AnyDataset, plain_datasets


class NamedLoading(Compose):
    """A pipeline in which a file that cannot be read is an :class:`InputError` of one line.

    mm's transforms raise what OpenCV, NumPy or the file system raised, most often without the file,
    and after a traceback of the worker that met it. A file that ends early is one of these: OpenCV
    decodes it in no format (from 4.12; older ones fill up a JPEG). A JPEG with wrong bytes within
    is decoded, and OpenCV warns.
    """

    def __call__(self, data: dict[str, Any]) -> dict[str, Any] | None:
        for transform in self.transforms:
            if isinstance(transform, LoadImageFromFile | LoadAnnotations):
                path = data.get('img_path')
                try:
                    data = transform(data)
                except InputError:
                    raise
                except Exception as error:
                    raise InputError(f'{path}: {reason(error)}') from error
            else:
                data = transform(data)
            if data is None:
                return None
        return data


def name_unreadable_files(dataset: AnyDataset) -> None:
    """Makes the pipelines of a dataset, or of those within it, ones of :class:`NamedLoading`."""
    for plain in plain_datasets(dataset):
        if type(getattr(plain, 'pipeline', None)) is Compose:
            plain.pipeline = NamedLoading(plain.pipeline.transforms)


def reason(error: Exception) -> str:
    """Why a file could not be read, in a few words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, AssertionError) or type(error).__module__.startswith('cv2'):
        return 'not an image that can be decoded'
    return f'cannot be read: {type(error).__name__}: {" ".join(str(error).split())}'
