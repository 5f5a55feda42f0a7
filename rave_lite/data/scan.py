"""Finding audio files: folders, links to folders, and what has to be left out, by name and reason."""

import functools
import importlib.util
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from rave_lite.errors import InputError

SUFFIXES = frozenset([".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64",
                      ".rf64"])  # read by libsndfile
MOVIES = frozenset([".m4a", ".m4b", ".aac", ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".webm", ".weba", ".mkv", ".mka",
                    ".avi", ".flv", ".wma", ".wmv", ".asf", ".amr", ".awb", ".ape", ".wv", ".tta", ".mpc", ".mp2", ".ac3",
                    ".eac3", ".dts", ".spx", ".dsf", ".dff", ".mpg", ".mpeg", ".ra", ".rm"])  # read by PyAV, if it is there
OTHERS = frozenset([".aax", ".m4p", ".aup3", ".band", ".rx2", ".rex", ".ncw", ".sd2", ".ds2", ".dvf", ".msv", ".gsm"])
WITH_AV = "pip install 'rave_lite[phone]'"
CONVERT = "save as wav or flac in the program that made them"


def is_audio(name: str, movies: bool = True) -> bool:
    """Whether a file name (without folders) has the suffix of a kind that can be read; hidden files do not count.

    `movies`: whether kinds count that PyAV reads, if it is installed.
    """
    suffix = PurePosixPath(name).suffix.lower()
    return (suffix in SUFFIXES or (movies and suffix in MOVIES and has_av())) and not name.startswith(".")


def is_sound(path: str) -> bool:
    """Whether a path has the suffix of a kind that holds sound, readable or not."""
    return PurePosixPath(path).suffix.lower() in SUFFIXES | MOVIES | OTHERS


@functools.cache
def has_av() -> bool:
    return importlib.util.find_spec("av") is not None


def unread(names: Iterable[str], remedy: str) -> dict[str, str]:
    """By pattern, such as "*.aup3", how many of these files hold sound but cannot be read, and what to do.

    `remedy`: for kinds that PyAV reads.
    """
    suffixes = [PurePosixPath(name).suffix.lower() for name in names if not PurePosixPath(name).name.startswith(".")]
    counts = sorted(Counter(suffix for suffix in suffixes if suffix in MOVIES | OTHERS).items())
    return {f"*{suffix}": f"{count} file{'s' * (count > 1)}, not read here; {remedy if suffix in MOVIES else CONVERT}"
            for suffix, count in counts}


def find(root: Path) -> tuple[list[Path], dict[str, str]]:
    """Audio files of a folder tree (or the one file), sorted; and by name, or kind, why others are left out.

    Links are followed, but to no folder above `root`; a folder with several names is searched once, by its own name if that
    is in the tree. Raises InputError when `root` does not exist or may not be read, or for a name that is not UTF-8: it
    could be neither shown nor listed.
    """
    if root.is_file():
        return [_named(root)], {}
    try:
        if not root.is_dir():
            raise InputError("no such file or folder", where=root)
        os.scandir(root).close()
    except OSError as error:
        raise InputError(f"may not be read ({error.strerror})", where=root) from error
    paths: list[Path] = []
    left_out: dict[str, str] = {}
    searched = {_identity(folder) for folder in root.resolve().parents}
    folders, links, others = [root], list[Path](), list[str]()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        with _reasons(left_out, folder.relative_to(root)):
            if _identity(folder) in searched:
                continue
            searched.add(_identity(folder))
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
                path = folder / entry.name
                with _reasons(left_out, path.relative_to(root)):
                    if entry.is_dir():
                        (links if entry.is_symlink() else folders).append(path)
                    elif is_audio(entry.name) and stat.S_ISREG(entry.stat().st_mode):
                        paths.append(_named(path))
                    elif not is_audio(entry.name) and entry.is_file():
                        others.append(entry.name)
                    elif is_audio(entry.name):
                        left_out[str(path.relative_to(root))] = "neither a file nor a folder"
                    elif entry.is_symlink() and not path.suffix:
                        entry.stat()  # a link to a folder that is not there, such as a disk that is not mounted
    return sorted(paths), dict(sorted(left_out.items())) | unread(others, WITH_AV)


@contextmanager
def _reasons(left_out: dict[str, str], name: Path) -> Iterator[None]:
    """Notes in `left_out` why the file or folder `name` could not be read."""
    try:
        yield
    except FileNotFoundError:
        left_out[str(name)] = "a link to what is not there"
    except OSError as error:
        left_out[str(name)] = f"may not be read ({error.strerror})"


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _named(path: Path) -> Path:
    """`path`, if its name can be shown."""
    if str(path) != str(path).encode(errors="replace").decode():
        raise InputError(f"{str(path)!r}: this name is not UTF-8 text; rename the file")
    return path
