"""Resuming a run: which checkpoint, and whether the run can go on."""

import json
from pathlib import Path
from typing import Any

from rave_lite.data.settings import share_settings
from rave_lite.errors import InputError
from rave_lite.model import Checkpoint, load_matching, read_checkpoint
from rave_lite.training.module import RAVETraining


def to_resume(resume: str | None, out: Path) -> Checkpoint | None:
    """The checkpoint to resume from: a path, `last` (of the run in `out`) or `auto` (last if there is one).

    Raises InputError if it is missing or no run's, or if a new run would overwrite an old one.
    """
    last = out / "checkpoints" / "last.ckpt"
    if resume == "auto":
        resume = "last" if last.exists() else None
    if resume is None:
        if last.exists():
            raise InputError(f"{out} holds a run already: go on with resume=last, or choose another name=")
        return None
    path = last if resume == "last" else Path(resume).expanduser()
    if not path.is_file():
        raise InputError("no such checkpoint to resume from", where=path)
    checkpoint = read_checkpoint(path)
    if checkpoint.optimizer_states is None:
        raise InputError(f"an imported model, without the state of a run; start one with transfer.from={path}", where=path)
    return checkpoint


def check_resumable(module: RAVETraining, checkpoint: Checkpoint) -> list[str]:
    """Warnings about other training recordings than the checkpoint's run had.

    Raises InputError if `module` cannot go on from it: parts, shapes or optimisers differ.
    """
    state, config, path = checkpoint.state_dict, checkpoint.settings, checkpoint.path
    saved_parts, parts = ({name.split(".")[0] for name in names} for names in (state, module.state_dict()))
    for part, setting in (("start", "pull"), ("ada", "ada"), ("ema", "ema")):
        if (part in saved_parts) != (part in parts):
            given = f"training.{setting}={json.dumps(config['training'][setting])}".replace('"', "")
            raise InputError(f"this run began with {given}; to resume does not switch that on or off: say '{given}' "
                             f"again, or start a new run with transfer.from={path}", where=path)
    if any(len(state["param_groups"]) > 1 for state in checkpoint.optimizer_states or []):
        raise InputError(f"its run had training.freeze or training.lr_scale in a version whose optimisers cannot be "
                         f"resumed: start a new run with transfer.from={path}", where=path)
    load_matching(module, state, path)
    before, now = selection(config["data"]), selection(module.config["data"])
    return [f"{change} than when this run began" for change in now if before[change] != now[change]]


def selection(data: dict[str, Any]) -> dict[str, Any]:
    """What the settings `data` select of the recordings; those of an older version may lack some."""
    without, *fraction_and_seed = share_settings(data)
    return {"data.manifest keeps other regions": data.get("kept"), "data.without leaves out others": without,
            "data.fraction, data.subset_seed choose others": fraction_and_seed}
