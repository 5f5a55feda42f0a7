"""A folder of sample chunks with a limited size."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rave_lite.files import replacing

ABANDONED = 600  # s after which a half-written chunk is taken for a dead process's


@dataclass(frozen=True)
class Store:
    """Float32 chunks, at most `limit` bytes besides those being written; the least recently used are deleted.

    Processes may share the folder: a deleted chunk is computed again, an open one stays readable.
    """

    folder: Path
    limit: float

    def get(self, name: str, samples: int, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Chunk `name`, `(samples,)`, mapped into memory or computed by `make`. Raises InputError when the disk is full."""
        path = self.folder / name
        with suppress(OSError, ValueError):  # not written yet, deleted, or damaged
            os.utime(path)  # marks it as recently used
            mapped = np.memmap(path, np.float32, "r")
            if len(mapped) == samples:
                return mapped
        chunk = make()
        with replacing(path) as aside:
            chunk.tofile(aside)
        self._make_room(path)
        return chunk

    def _make_room(self, newest: Path) -> None:
        used = []
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # another process deleted it first
                status = path.stat()
                if path.name[0] != ".":
                    used.append((status.st_mtime, status.st_size, path))
                elif status.st_mtime < time.time() - ABANDONED:
                    path.unlink()
        excess = sum(size for _, size, _ in used) - self.limit
        for _, size, path in sorted(used):
            if excess > 0 and path != newest:
                path.unlink(missing_ok=True)
                excess -= size
