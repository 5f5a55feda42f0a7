"""Files of runs and bases by name: which checkpoint is meant, and how an exported file may be called."""

import difflib
from pathlib import Path

from rave_lite.errors import InputError

BASES = Path(__file__).with_name("bases")  # the checkpoints that come with the package
DEFAULT_BASE = "v2"  # what `base` means where no model has to fit


def base_names() -> list[str]:
    """The bases that come with the package, as in "base:v2"."""
    return [shown(path) for path in sorted(BASES.glob("*.ckpt"))]


def shown(checkpoint: Path) -> str:
    """A checkpoint's path as people name it: a base's by its name."""
    return f"base:{checkpoint.stem}" if checkpoint.parent == BASES else str(checkpoint)


def is_base(path: object) -> bool:
    """Whether a setting means a base: `base` or `base:NAME`. A file or folder of that name is ./base."""
    return isinstance(path, str) and (path == "base" or path.startswith("base:"))


def base_file(name: str) -> Path:
    """The checkpoint of `base:NAME`, or of `base`, the default one. Raises InputError if there is none."""
    full, names = f"base:{DEFAULT_BASE}" if name == "base" else name, base_names()
    if full not in names:
        near = difflib.get_close_matches(full, names, 1) or names
        hint = f"there is {', '.join(near)}" if near else "none came with this installation; name a checkpoint"
        raise InputError(f"no such base; {hint}", where=name)
    return BASES / f"{full.removeprefix('base:')}.ckpt"


def checkpoint_file(path: str | Path, names: tuple[str, ...] = ("best.ckpt", "last.ckpt")) -> Path:
    """The checkpoint at `path`: the file, or of a run's folder the first of `names`; or of a base, as in "base:v2".

    Raises InputError if there is none.
    """
    if is_base(path):
        return base_file(str(path))
    path = Path(path).expanduser()
    if path.is_dir():
        files = [folder / name for folder in (path / "checkpoints", path) for name in names if (folder / name).is_file()]
        if not files:
            raise InputError(f"a folder without {' or '.join(names)} in checkpoints/; name a run's folder or a checkpoint",
                             where=path)
        return files[0]
    if not path.is_file():
        raise InputError("no such checkpoint", where=path)
    if path.suffix.lower() == ".ts":
        raise InputError("an exported file, to be played live; this wants the checkpoint of its run, as in ckpt=runs/NAME",
                         where=path)
    return path


def prior_file(path: str | Path) -> Path:
    """The file of a prior at `path`: itself, or prior.ckpt of a run's folder. Raises InputError if there is none."""
    path = Path(path).expanduser()
    path = path / "prior.ckpt" if path.is_dir() else path
    if not path.is_file():
        raise InputError("no such prior; rave-lite prior ckpt=... makes one", where=path)
    return path


def run_folder(checkpoint: Path) -> Path:
    """The folder of the run that a checkpoint is of; for a base the current folder."""
    return Path.cwd() if checkpoint.parent == BASES else checkpoint.resolve().parents[1]


def check_export(path: Path) -> None:
    """Raises InputError for a name that an exported file cannot have."""
    if path.suffix != ".ts":
        raise InputError(f"{path} must end in .ts: live hosts look for that", where="out")


def file_to_resume(resume: str | None, out: Path) -> Path | None:
    """The checkpoint to resume from: a path, `last` (of the run in `out`) or `auto` (last if there is one).

    Raises InputError if it is missing, or if a new run would overwrite an old one.
    """
    last = out / "checkpoints/last.ckpt"
    if resume == "auto":
        resume = "last" if last.exists() else None
    if resume is None:
        if last.exists():
            raise InputError(f"{out} holds a run already: go on with resume=last, or choose another name=")
        return None
    path = last if resume == "last" else Path(resume).expanduser()
    if not path.exists():
        raise InputError("no such checkpoint to resume from", where=path)
    return checkpoint_file(path, ("last.ckpt", "best.ckpt"))
