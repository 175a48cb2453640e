"""Pipelines that name the file which cannot be read."""

from typing import Any

import mmcv
from mmcv.transforms import LoadAnnotations, LoadImageFromFile
from mmengine import fileio
from mmengine.dataset import Compose

from ..errors import InputError
from .wrappers import AnyDataset, plain_datasets

# What loading raises for a wrong setting or a missing key, whatever the image.
WRONG_SETTINGS = (AttributeError, ImportError, KeyError, TypeError, ValueError)


class NamedLoading(Compose):
    """A pipeline in which a file that cannot be read is an :class:`InputError` of one line.

    mm's transforms raise what OpenCV, NumPy or the file system raised, most often without the file,
    and after a traceback of the worker that met it. A file that ends early is one of these: OpenCV
    decodes it in no format (from 4.12; older ones fill up a JPEG). A JPEG with wrong bytes within
    is decoded, and OpenCV warns.

    What else a transform raises is no fault of a file, and stays as it is.

    Attributes:
        running: The transform that ran last, which is the one that failed after an error.
    """

    running: Any = None

    def __call__(self, data: dict[str, Any]) -> dict[str, Any] | None:
        for transform in self.transforms:
            self.running = transform
            try:
                found = transform(data)
            except InputError:
                raise
            except Exception as error:
                file = _unreadable_file(transform, data, error)
                if file is None:
                    raise
                raise InputError(f'{file}: {_reason(error)}') from error
            if found is None:
                return None
            data = found
        return data


def name_unreadable_files(dataset: AnyDataset) -> None:
    """Makes the pipelines of a dataset, or of those within it, ones of :class:`NamedLoading`."""
    for plain in plain_datasets(dataset):
        if type(getattr(plain, 'pipeline', None)) is Compose:
            plain.pipeline = NamedLoading(plain.pipeline.transforms)


def _unreadable_file(transform: Any, data: dict[str, Any], error: Exception) -> str | None:
    """The file that a transform could not read; None where the error has another cause."""
    if isinstance(error, OSError) and error.strerror:  # of the file system
        loads = isinstance(transform, LoadImageFromFile | LoadAnnotations)
        return str(error.filename or data.get('img_path')) if loads else None
    if isinstance(error, WRONG_SETTINGS) and isinstance(transform, LoadImageFromFile):
        return None
    if isinstance(transform, LoadImageFromFile):
        return data.get('img_path')
    if isinstance(transform, LoadAnnotations) and transform.with_seg:
        path = data.get('seg_map_path')
        # mm's own error for a map that cannot be decoded is one of None.
        return None if path is None or _can_be_decoded(path, transform) else path
    return None


def _can_be_decoded(path: str, transform: LoadAnnotations) -> bool:
    try:
        data = fileio.get(path, transform.backend_args)
        return mmcv.imfrombytes(data, 'unchanged', backend=transform.imdecode_backend) is not None
    except WRONG_SETTINGS:
        return True
    except Exception:  # any library's own
        return False


def _reason(error: Exception) -> str:
    """Why a file could not be read, in a few words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return 'not an image that can be decoded'
