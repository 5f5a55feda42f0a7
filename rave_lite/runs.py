"""Files of runs by name: which checkpoint is meant, and how an exported file may be called."""

from pathlib import Path

from rave_lite.errors import InputError


def checkpoint_file(path: str | Path, names: tuple[str, ...] = ("best.ckpt", "last.ckpt")) -> Path:
    """The checkpoint at `path`: the file, or of a run's folder the first of `names`. Raises InputError if there is none."""
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
