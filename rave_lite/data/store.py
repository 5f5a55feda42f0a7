"""A folder of sample chunks that takes no more than so much of the disk."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rave_lite.files import replacing

ABANDONED = 600  # s after which a half-written chunk is a dead process's


@dataclass(frozen=True)
class Store:
    """Mono float32 chunks, `limit` bytes in all beside those being written: the least recently used make room.

    Any processes may share the folder: a chunk that is gone is made anew, one that is open stays readable.
    """

    folder: Path
    limit: float

    def get(self, name: str, samples: int, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Chunk `name`, `(samples,)`, mapped into memory or as `make` gives it. Raises InputError when the disk is full."""
        path = self.folder / name
        with suppress(OSError, ValueError):  # not made yet, gone, or damaged
            os.utime(path)  # used now
            found = np.memmap(path, np.float32, "r")
            if len(found) == samples:
                return found
        made = make()
        with replacing(path) as aside:
            made.tofile(aside)
        self._make_room(path)
        return made

    def _make_room(self, newest: Path) -> None:
        used = []
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # another process was faster
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
