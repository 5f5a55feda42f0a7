"""Sounds that rave_lite wrote, which are no recordings. Each folder of them names them in a hidden file."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import numpy as np

from rave_lite.data import audio
from rave_lite.errors import InputError
from rave_lite.notes import note_once, some

MARK = ".rave_lite-outputs"  # the hidden file: a name a line
# folders of loggers; Weights & Biases and versions until 0.1 leave no mark there
LOGGED = re.compile(r"/(listening/step_\d{7,}/(held_out|original)|wandb/(offline-)?run-[^/]+/files/media)(/|$)")
EVALUATED = ("wav", "transfer")  # folders of an evaluation, which has its figures beside them

_noted: dict[Path, set[str]] = {}  # what this process knows to be in each mark


def save(path: Path, sound: np.ndarray, sample_rate: int) -> None:
    """Writes a model's output as `audio.save` does, and notes in its folder that it is no recording."""
    audio.save(path, sound, sample_rate)
    mark = path.parent / MARK
    if path.parent not in _noted or not mark.exists():
        _noted[path.parent] = names_in(mark.read_text(encoding="utf-8")) if mark.exists() else set()
    if path.name not in _noted[path.parent]:
        with mark.open("a", encoding="utf-8") as file:
            file.write(as_line(path.name))
        _noted[path.parent].add(path.name)


def as_line(name: str) -> str:
    return name.encode("unicode_escape").decode() + "\n"


def names_in(mark: str) -> set[str]:
    """The names that the text of a mark gives."""
    return {line.encode().decode("unicode_escape") for line in mark.split("\n") if line}


def written(paths: Iterable[str], exists: Callable[[str], bool], read: Callable[[str], str]) -> set[str]:
    """Those of the sound files that rave_lite wrote. `exists`, `read`: of a file beside them, by its path with slashes."""
    by_folder: dict[str, list[str]] = {}
    for path in paths:
        by_folder.setdefault(path.rpartition("/")[0], []).append(path)
    outputs: set[str] = set()
    for folder, members in by_folder.items():
        if LOGGED.search(folder) or any(exists(f"{above}/figures.json") for above in _evaluations(folder)):
            outputs |= set(members)
        elif exists(f"{folder}/{MARK}"):
            names = names_in(read(f"{folder}/{MARK}"))
            outputs |= {path for path in members if {name := path.rpartition("/")[2], unquote(name)} & names}
    return outputs


def _evaluations(folder: str) -> list[str]:
    """The folders that `folder`, if it is an evaluation's, may be the evaluation of."""
    path = PurePosixPath(folder)
    return [str(part.parent) for part in (path, *path.parents) if part.name in EVALUATED]


def leave_out(paths: list[Path], root: Path, foreign: bool = False) -> list[Path]:
    """The sounds in `paths`, below the folder `root`, that rave_lite did not write; says once how many it did.

    `foreign`: to be played through a model; if there are none but outputs, they are meant. A lone file always is.
    Raises InputError where recordings are asked for and there are none but outputs.
    """
    outputs = require_recordings(paths, root, foreign)
    recordings = [path for path in paths if path not in outputs]
    if not recordings:
        return paths
    say([str(path.relative_to(root)) for path in paths if path in outputs], str(root), len(recordings))
    return recordings


def require_recordings(paths: list[Path], root: Path, foreign: bool = False) -> set[Path]:
    """Those of the sounds that rave_lite wrote. Raises InputError if that is all, unless `foreign`. See `leave_out`."""
    if not root.is_dir():
        return set()
    folders = {folder: folder.resolve().as_posix() for folder in {path.parent for path in paths}}
    absolute = {f"{folders[path.parent]}/{path.name}": path for path in paths}
    names = written(absolute, lambda name: Path(name).is_file(), lambda name: Path(name).read_text(encoding="utf-8"))
    if len(names) == len(absolute) and not foreign:
        say(sorted(names), str(root), 0)
    return {absolute[name] for name in names}


def say(outputs: list[str], root: str, recordings: int) -> None:
    """Says once which sounds are left out. Raises InputError if no recording is left."""
    if not outputs:
        return
    what = "a sound" if len(outputs) == 1 else f"{len(outputs)} sounds"
    if not recordings:
        raise InputError(f"no recordings: nothing but {what} that rave-lite wrote", where=root)
    folders = dict.fromkeys(name.partition("/")[0] if "/" in name else "." for name in outputs)
    verb = "is" if len(outputs) == 1 else "are"
    note_once(f"{root}: {what} that rave-lite wrote {verb} left out: in {some(list(folders))}")
