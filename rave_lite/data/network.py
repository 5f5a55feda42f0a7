"""Reaching an fsspec URL: its file system, retries, errors without secrets, and remote files as soundfile reads them."""

import functools
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from rave_lite.errors import InputError

PAUSES = (0.5, 2.0, 5.0)  # s before the second try, the third, the fourth
PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):[^/\s]*(?=@)")
SIGNATURE = re.compile(r"([?&][^=&\s]*(?:sig|token|key|secret|pass|cred)[^=&\s]*=)[^&:;)\s'\"]*", re.I)
S = TypeVar("S")
T = TypeVar("T")


class RemoteError(InputError):
    """An error at a URL, without secrets. From a worker process it comes as a traceback's text: only the message is kept."""

    def __init__(self, what: str, where: object = None):
        what = what.split(f"{__name__}.RemoteError: ")[-1].rstrip()
        super().__init__(redact_url(what), None if where is None else redact_url(str(where)))


def is_url(root: str | Path) -> bool:
    return re.match(r"([\w+.-]+::)*[\w+.-]+://", str(root)) is not None


def redact_url(text: str) -> str:
    """`text` without the passwords and signatures of the URLs in it."""
    return SIGNATURE.sub(r"\1***", PASSWORD.sub(r"\1", text))


def connected(root: str) -> tuple[Any, str]:
    """File system and path of a URL. Raises RemoteError if its protocol is unknown or needs a missing package, naming it."""
    return _connected(root, os.getpid())


@functools.lru_cache(maxsize=16)
def _connected(root: str, process: int) -> tuple[Any, str]:  # a fork must not share connections or open archives
    import fsspec  # not at the top: local files need none of it

    try:
        return fsspec.core.url_to_fs(root)
    except (ImportError, ValueError) as error:
        raise RemoteError(str(error), where=root) from error


def retry(action: Callable[[], T], url: str, pauses: Sequence[float] = PAUSES) -> T:
    """The result of `action`, retried when the network fails. Raises RemoteError naming `url`, and InputError at once."""
    try:
        return action()
    except InputError:
        raise
    except Exception as error:  # every file system raises its own
        if isinstance(error, FileNotFoundError) and not error.__cause__:  # with a cause it was the connection
            raise RemoteError("no such file or folder", where=url) from error
        if isinstance(error, PermissionError) or not pauses:
            raise RemoteError(f"could not be read ({type(error).__name__}: {error}); look at the connection and at "
                              "fsspec's settings for this place", where=url) from error
    time.sleep(pauses[0])
    return retry(action, url, pauses[1:])


def parallel_map(fs: Any, action: Callable[[S], T], items: Sequence[S]) -> Iterator[T]:
    """Yields the result of `action` for each item, in order; several run at a time if the file system allows it."""
    from fsspec.asyn import AsyncFileSystem

    with ThreadPoolExecutor(16 if isinstance(fs, AsyncFileSystem) else 1) as pool:
        yield from pool.map(action, items)


class RemoteFile:
    """A remote file for soundfile, which drops exceptions: the first is kept in `error`, and no more bytes are read."""

    def __init__(self, raw: Any):
        self.raw, self.position = raw, 0
        self.size = raw.seek(0, os.SEEK_END) if getattr(raw, "size", None) is None else raw.size
        self.error: BaseException | None = None  # KeyboardInterrupt too

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.position = offset + (0, self.position, self.size)[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self.size - self.position))
        try:
            if count and not self.error:
                self.raw.seek(self.position)
                content = self.raw.read(count)
                if len(content) < count:
                    raise OSError(f"{len(content)} bytes came for {count}")
                buffer[:count] = content
        except BaseException as error:
            self.error = error
        read_count = 0 if self.error else count
        self.position += read_count
        return read_count
