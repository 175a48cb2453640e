"""A cache of decoded images on disk, memory-mapped."""

import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile

from ..registry import TRANSFORMS
from ..schema import Positive


@TRANSFORMS.register_module()
class LoadCachedImage(LoadImageFromFile):
    """``LoadImageFromFile`` that decodes an image once: ``dict(type='pinas_mm.LoadCachedImage',
    cache_dir='work_dirs/cache')``.

    Decoded images are appended to ``images.bin``, which every process maps, and found by
    ``index.jsonl``. An image whose file has another size or time of change than when it was decoded
    is decoded again; where the cache is full, images are decoded as ever.

    Args:
        cache_dir: Folder of the cache. Settings of decoding that differ have files of their own in
            it.
        max_gb: Most that ``images.bin`` may take.
        kwargs: As in ``LoadImageFromFile``.

    Raises:
        InputError: ``max_gb`` is not positive.
    """

    def __init__(self, cache_dir: str, max_gb: Positive = 8.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decoder = LoadImageFromFile(**kwargs | dict(to_float32=False))
        self.max_bytes = int(max_gb * 2**30)
        folder = Path(cache_dir) / f'{self.color_type}-{self.imdecode_backend}'
        folder.mkdir(parents=True, exist_ok=True)
        self.images, self.index = folder / 'images.bin', folder / 'index.jsonl'
        self._entries: dict[str, dict[str, Any]] = {}
        self._read_to = 0
        self._full = False
        self._map = np.empty(0, np.uint8)

    def transform(self, results: dict) -> dict | None:
        path = results['img_path']
        try:
            stat = os.stat(path)
        except OSError:  # another storage backend, or missing: the loader's own business
            return super().transform(results)
        version = [stat.st_size, stat.st_mtime_ns]
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

    def _find(self, path: str, version: list[int]) -> np.ndarray | None:
        if path not in self._entries:
            self._read_index()
        entry = self._entries.get(path)
        if entry is None or entry['version'] != version:
            return None
        end = entry['offset'] + int(np.prod(entry['shape']))
        if end > len(self._map):
            try:
                self._map = np.memmap(self.images, np.uint8, 'r')
            except (
                OSError,
                ValueError,
            ):  # images.bin was removed or emptied: the image is decoded again
                del self._entries[path]
                return None
        # A copy: what follows in a pipeline may change the image in place.
        image = np.array(self._map[entry['offset'] : end])
        if zlib.crc32(image.data) != entry['crc32']:  # images.bin was cut or overwritten
            del self._entries[path]
            return None
        return image.reshape(entry['shape'])

    def _read_index(self) -> None:
        """Reads the lines that other processes have added."""
        if not self.index.exists() or self.index.stat().st_size == self._read_to:
            return
        with open(self.index, 'rb') as file:
            file.seek(self._read_to)
            for line in file:
                if not line.endswith(b'\n'):
                    break
                self._read_to += len(line)
                try:
                    entry = json.loads(line)
                except (
                    ValueError
                ):  # a process was killed while writing it: that image is decoded again
                    continue
                self._entries[entry['path']] = entry

    def _store(self, path: str, version: list[int], image: np.ndarray) -> None:
        import fcntl  # not on Windows

        if self._full:
            return
        with open(self.index, 'ab') as index:
            fcntl.flock(
                index, fcntl.LOCK_EX
            )  # released when the file is closed; one writer at a time
            self._read_index()
            if path in self._entries and self._entries[path]['version'] == version:
                return
            image = np.ascontiguousarray(image)
            with open(self.images, 'ab') as images:
                offset = images.tell()
                if offset + image.nbytes > self.max_bytes:
                    self._full = True
                    return
                images.write(image.tobytes())
            entry = dict(
                path=path,
                version=version,
                offset=offset,
                shape=list(image.shape),
                crc32=zlib.crc32(image.data),
            )
            index.write(json.dumps(entry).encode() + b'\n')

    def __getstate__(self) -> dict[str, Any]:
        # Workers map the file themselves.
        return self.__dict__ | dict(_map=np.empty(0, np.uint8))

    def __deepcopy__(self, memo: dict[int, Any]) -> 'LoadCachedImage':
        # What it gives does not depend on what it keeps; a copy would read the index again.
        return self
