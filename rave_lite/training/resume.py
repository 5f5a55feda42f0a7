"""Resuming a run: which checkpoint, and whether the run can go on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rave_lite.data.settings import share_settings
from rave_lite.errors import InputError
from rave_lite.model import Checkpoint, load_matching, read_checkpoint
from rave_lite.runs import file_to_resume
from rave_lite.training.module import RAVETraining


def to_resume(resume: str | None, out: Path) -> Checkpoint | None:
    """The checkpoint to resume from, if any; see `file_to_resume`. Raises InputError if it is no run's."""
    path = file_to_resume(resume, out)
    if path is None:
        return None
    checkpoint = read_checkpoint(path)
    if checkpoint.optimizer_states is None:
        raise InputError(f"an imported model, without the state of a run; start one with transfer.from={path}", where=path)
    return checkpoint


def keep_precision(module: RAVETraining, checkpoint: Checkpoint) -> None:
    """A precision "auto" is what it was in the checkpoint's run, which another measurement might not choose again."""
    if module.run.precision == "auto":
        module.run.precision = checkpoint.settings.get("runner", {}).get("precision", "auto")


def check_resumable(module: RAVETraining, checkpoint: Checkpoint) -> list[str]:
    """Warnings about other training recordings than the checkpoint's run had.

    Raises InputError if `module` cannot go on from it: parts, shapes or optimisers differ.
    """
    state, config, path = checkpoint.state_dict, checkpoint.settings, checkpoint.path
    saved_parts, parts = ({name.split(".")[0] for name in names} for names in (state, module.state_dict()))
    for part, setting in (("start", "pull"), ("ada", "ada"), ("ema", "ema"), ("balancer", "balancer")):
        if (part in saved_parts) != (part in parts):
            given = f"training.{setting}={json.dumps(config['training'].get(setting))}".replace('"', "")
            raise InputError(f"this run began with {given}; to resume does not switch that on or off: say '{given}' "
                             f"again, or start a new run with transfer.from={path}", where=path)
    if any(len(state["param_groups"]) > 1 for state in checkpoint.optimizer_states or []):
        raise InputError(f"its run had training.freeze or training.lr_scale in a version whose optimisers cannot be "
                         f"resumed: start a new run with transfer.from={path}", where=path)
    try:
        load_matching(module, state, path)
    except InputError as error:
        raise InputError(other_networks(module, checkpoint) or error.what, where=path) from error
    before, now = selection(config["data"]), selection(module.config["data"])
    return [f"{change} than when this run began" for change in now if before[change] != now[change]]


def other_networks(module: RAVETraining, checkpoint: Checkpoint) -> str | None:
    """Which settings of the networks differ from those of the checkpoint's run, and what to do; None if none do."""
    before = {"model": checkpoint.architecture, "discriminator": checkpoint.settings.get("discriminator", {})}
    now = {"model": module.model.config, "discriminator": module.config.get("discriminator", {})}
    for name in before:
        if changed := [f"{key} was {old}, is now {new}" for key, old, new in differences(before[name], now[name], name)]:
            more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
            latent = " and latent=" if name == "model" else ""
            return (f"another {name} than this run's: {'; '.join(changed[:3])}{more}. Say {name}={latent} as when it "
                    f"began, or start a new run with transfer.from={checkpoint.path}")
    return None


def selection(data: dict[str, Any]) -> dict[str, Any]:
    """What the settings `data` select of the recordings; those of an older version may lack some."""
    without, *fraction_and_seed = share_settings(data)
    return {"data.manifest keeps other regions": data.get("kept"), "data.without leaves out others": without,
            "data.fraction, data.subset_seed choose others": fraction_and_seed}


def differences(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The differences of two nested dicts: the dotted key and both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for k in {**old, **new}:
            yield from differences(old.get(k, "none"), new.get(k, "none"), f"{key}.{k}" if key else k)
    elif old != new:
        yield key, old, new
