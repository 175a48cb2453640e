"""A cache of decoded images on disk."""

import json
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile

from ..errors import InputError, warn_once
from ..registry import TRANSFORMS
from ..schema import Count, Positive, WholeNumber, check


@dataclass(frozen=True)
class Entry:
    """A line of the index.

    Args:
        path: The image's file.
        version: Its size in bytes and its time of change in ns.
        offset: Where its pixels start in ``images.bin``.
        shape: Of the decoded image, one byte a value.
        checksum: :func:`checksum` of all but the offset, and of the pixels.
    """

    path: str
    version: tuple[int, int]
    offset: WholeNumber
    shape: tuple[Count, ...]
    checksum: WholeNumber


def checksum(
    path: str, version: tuple[int, int], shape: tuple[int, ...], pixels: bytes | bytearray
) -> int:
    """Also of what the index says of the pixels: another shape of the same size is another
    image."""
    return zlib.crc32(pixels, zlib.crc32(json.dumps([path, version, shape]).encode()))


@TRANSFORMS.register_module()
class LoadCachedImage(LoadImageFromFile):
    """``LoadImageFromFile`` that decodes an image once: ``dict(type='pinas_mm.LoadCachedImage',
    cache_dir='work_dirs/cache')``.

    Decoded images are appended to ``images.bin``, which every process reads, and found by
    ``index.jsonl``. An image whose file has another size or time of change than when it was decoded
    is decoded again, and so is one whose part of the two files was damaged or cut. Where the cache
    is full or cannot be written, images are decoded as ever.

    Args:
        cache_dir: Folder of the cache. Settings of decoding that differ have files of their own in
            it.
        max_gb: Most that ``images.bin`` may take.
        kwargs: As in ``LoadImageFromFile``.

    Raises:
        InputError: ``cache_dir`` cannot be made.
    """

    def __init__(self, cache_dir: str, max_gb: Positive = 8.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decoder = LoadImageFromFile(**kwargs | dict(to_float32=False))
        self.max_bytes = int(max_gb * 2**30)
        folder = Path(cache_dir) / f'{self.color_type}-{self.imdecode_backend}'
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f'LoadCachedImage.cache_dir={cache_dir!r}: expected a folder that can be written: '
                f'{error}'
            ) from error
        self.images, self.index = folder / 'images.bin', folder / 'index.jsonl'
        self._entries: dict[str, Any] = {}
        self._read_to = 0
        self._full = False

    def transform(self, results: dict) -> dict | None:
        path = results['img_path']
        try:
            stat = os.stat(path)
        except OSError:  # another storage backend, or missing: the loader's own business
            return super().transform(results)
        version = (stat.st_size, stat.st_mtime_ns)
        image = self._find(path, version)
        if image is None:
            results = self.decoder.transform(results)
            if results is None:
                return None
            image = results['img']
            if image.dtype == np.uint8:
                self._store(path, version, image)
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _find(self, path: str, version: tuple[int, int]) -> np.ndarray | None:
        try:
            if path not in self._entries:
                self._read_index()
            if path not in self._entries:
                return None
            entry = check(Entry, self._entries[path])
            if entry.version == version and (image := self._read_image(entry)) is not None:
                return image
        except (InputError, OSError):  # damaged, or a folder in its place: decoded again
            pass
        self._entries.pop(path, None)
        return None

    def _read_image(self, entry: Entry) -> np.ndarray | None:
        # Not mapped: memory beyond the end of a file that is cut later ends the process (SIGBUS).
        size = math.prod(entry.shape)
        if entry.offset + size > self.images.stat().st_size:
            return None
        with open(self.images, 'rb') as file:
            file.seek(entry.offset)
            pixels = bytearray(file.read(size))  # what follows may change the image in place
        if checksum(entry.path, entry.version, entry.shape, pixels) != entry.checksum:
            return None
        return np.frombuffer(pixels, np.uint8).reshape(entry.shape)

    def _read_index(self) -> None:
        """Reads the lines that other processes have added."""
        if not self.index.is_file() or self.index.stat().st_size == self._read_to:
            return
        with open(self.index, 'rb') as file:
            if self._read_to > self.index.stat().st_size:  # it was cut
                self._read_to, self._entries = 0, {}
            file.seek(self._read_to)
            for line in file:
                if not line.endswith(b'\n'):
                    break
                self._read_to += len(line)
                try:
                    entry = json.loads(line)
                except (ValueError, RecursionError):  # damaged, or a process was killed within it
                    continue
                if isinstance(entry, dict) and isinstance(entry.get('path'), str):
                    self._entries[entry['path']] = entry

    def _store(self, path: str, version: tuple[int, int], image: np.ndarray) -> None:
        if self._full:
            return
        try:
            self._full = not self._append(
                path, version, np.ascontiguousarray(image).tobytes(), image.shape
            )
        except OSError as error:
            self._full = True
            warn_once(f'{self.images.parent}: no more images are cached: {error}')

    def _append(
        self, path: str, version: tuple[int, int], pixels: bytes, shape: tuple[int, ...]
    ) -> bool:
        """Adds an image, unless another process has; False where it would be too many."""
        import fcntl  # not on Windows

        for file in (self.index, self.images):
            if file.exists() and not file.is_file():  # a pipe would be waited for
                raise OSError(f'{file.name} is no file')
        with open(self.index, 'a+b') as index:
            # Released when the file is closed; one writer at a time.
            fcntl.flock(index, fcntl.LOCK_EX)
            self._read_index()
            if path in self._entries and self._find(path, version) is not None:
                return True
            with open(self.images, 'ab') as images:
                offset = images.tell()
                if offset + len(pixels) > self.max_bytes:
                    return False
                images.write(pixels)
            entry = Entry(path, version, offset, shape, checksum(path, version, shape, pixels))
            line = json.dumps(vars(entry)).encode() + b'\n'
            end = index.seek(0, os.SEEK_END)
            if end:
                index.seek(end - 1)
                if index.read(1) != b'\n':  # a process was killed while it wrote a line
                    line = b'\n' + line
            index.write(line)
        return True

    def __deepcopy__(self, memo: dict[int, Any]) -> 'LoadCachedImage':
        # What it gives does not depend on what it keeps; a copy would read the index again.
        return self
