"""Writing files so that nothing is lost: a reader, a full disk or a kill finds the old file or the new one, never half."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rave_lite.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to instead; at the end it is flushed to the disk and takes `path`'s place.

    Raises InputError naming `path` when writing fails; what it held before is then untouched.
    """
    aside = path.with_name(f".{short_name(path.name)}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as RuntimeError
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(f"{path}: could not be written ({reason}); what it held before is untouched") from error
    finally:
        with suppress(OSError):  # as where a file is in place of the folder: that was said
            aside.unlink()


def short_name(name: str, most: int = 200) -> str:
    """`name` of `most` bytes at most: file systems take 255, and ours have more before and after."""
    return name.encode()[:most].decode(errors="ignore")
