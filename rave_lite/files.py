"""File names, and atomic writing: after a full disk or a kill there is the old file or the new one, never half of one."""

import csv
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rave_lite.errors import InputError
from rave_lite.notes import note_once


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to; on exit it is flushed to disk and replaces `path`.

    Raises InputError naming `path` when writing fails; the old file is then untouched.
    """
    temporary = path.with_name(f".{short_name(path.name)}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as RuntimeError
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(f"could not be written ({reason}); what it held before is untouched", where=path) from error
    finally:
        with suppress(OSError):  # such as a file in place of the folder, reported above
            temporary.unlink()


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Locks a folder for this process. Raises InputError while another one has it; a killed process leaves no lock.

    On a drive that knows no locks, as some network drives, a note says that there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", is_singleton=True)  # a notebook's own earlier run is no other process
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise InputError("another process trains in this folder; wait for it, or choose another out= or name=",
                         where=folder) from error
    except (OSError, NotImplementedError) as error:
        note_once(f"{folder}: cannot be locked ({error}); let no other training write there meanwhile")
    try:
        yield
    finally:
        if lock.lock_counter == 1:
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    """Writes `value` as JSON by `replacing`. Raises ValueError for NaN and infinities, which JSON has not."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=indent, allow_nan=False) + "\n")


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]], encoding: str = "utf-8") -> None:
    """Writes a head and rows as CSV by `replacing`."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows([columns, *rows])


def short_name(name: str, max_bytes: int = 200) -> str:
    """`name` cut to `max_bytes` bytes: file systems allow 255, and callers add a prefix or a suffix."""
    return name.encode()[:max_bytes].decode(errors="ignore")


def folder_name(text: str) -> str:
    """`text` as a folder name of letters, digits and _.+-, which need no quotes in a shell, nor in ckpt=NAME.

    A name that had other characters, or was cut to 100, ends in a hash of `text`. An empty text gives ".".
    """
    safe = re.sub(r"[^A-Za-z0-9_.+-]+", "-", text)[:100].strip("-")
    if safe == text:
        return safe or "."
    return f"{safe}-{hashlib.sha1(text.encode(errors='surrogateescape')).hexdigest()[:6]}"
