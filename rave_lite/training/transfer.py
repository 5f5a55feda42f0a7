"""Start a run from the weights of a trained model."""

from collections import Counter
from pathlib import Path
from typing import Any

from rich.table import Table
from torch import Tensor

from rave_lite.errors import InputError
from rave_lite.training.module import RAVETraining

BANK = ("n_bands", "attenuation", "bank")  # of RAVE's arguments: where they differ, so do the filters


def start_from(module: RAVETraining, checkpoint: dict[str, Any], path: Path) -> Table:
    """Copy into `module` what fits of a checkpoint, by name and shape; says what did, part by part.

    The model's averaged weights where there are some, and the discriminators. Raises InputError where nothing fits.
    """
    state = started(checkpoint["state_dict"])
    own = {k: v for k, v in module.state_dict().items() if k.startswith(("model.", "discriminator."))}
    if any(checkpoint["model"].get(k) != module.model.config.get(k) for k in BANK):
        state = {k: v for k, v in state.items() if not k.startswith("model.pqmf.")}
    fits = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    if not fits:
        raise InputError(f"transfer.from: {path}: no weight in it has a place in this model")
    module.load_state_dict(fits, strict=False)
    if module.ema is not None:
        module.ema.load_state_dict(module.model.state_dict())
    return report(own, fits, path)


def started(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of a checkpoint's state, what a run starts from: the averages by the model's names, and the discriminators."""
    averages = {f"model.{k[4:]}": v for k, v in state.items() if k.startswith("ema.")}
    return {k: v for k, v in state.items() if k.startswith(("model.", "discriminator."))} | averages


def report(own: dict[str, Tensor], fits: dict[str, Tensor], path: Path) -> Table:
    """Weights by part: how many came from `path`, how many start anew."""
    def part(name: str) -> str:
        return name.split(".")[1] if name.startswith("model.") else "discriminators"

    total, copied = (Counter[str]() for _ in range(2))
    for name, value in own.items():
        total[part(name)] += value.numel()
        copied[part(name)] += value.numel() if name in fits else 0
    table = Table(title=f"starting from {path}", title_justify="left")
    for column in ("part", "weights copied", "new"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for name in total:
        table.add_row(name, f"{copied[name]:,}", f"{total[name] - copied[name]:,}")
    return table


def architecture(model: dict[str, Any], checkpoint: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """The arguments of `RAVE` for a run that starts from `checkpoint`: its own, but for what `overrides` say.

    `model`: the arguments as configured; `overrides`: as typed, of which `model=NAME` decides for `model` as a whole and
    `model.KEY=...` or `latent.KEY=...` for one value.
    """
    keys = [o.lstrip("+~").split("=", 1)[0] for o in overrides]
    if "model" in keys:
        return model
    made: dict[str, Any] = {"bank": None, **checkpoint["model"]}
    for key in (f"model.{k}" if k.startswith("latent.") else k for k in keys):
        if key.startswith("model."):
            *path, last = key.split(".")[1:]
            into, value = made, model
            for name in path:
                into[name] = dict(into.get(name) or {})
                into, value = into[name], value[name]
            into[last] = value[last]
    return made

