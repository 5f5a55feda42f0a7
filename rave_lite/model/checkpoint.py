"""Checkpoints: what their files hold, how they are read, and what those of earlier versions lack."""

import math
import pickle
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rave_lite.errors import InputError
from rave_lite.runs import checkpoint_file

REQUIRED = {"model", "state_dict", "step"}  # keys of every checkpoint file of rave_lite


@dataclass
class Checkpoint:
    """A model and the state of its run, as training or `rave-lite import` saves it.

    `path`: the file, for messages; of an import, the release's. `architecture`: the arguments of `RAVE`. `state_dict`: the
    tensors of `RAVETraining` by name. `settings`: the run's configuration as plain values. `optimizer_states`: None for an
    import, which cannot be resumed. `best_distance`: the lowest held-out distance so far. `release`: the importer's notes,
    None for a run of rave_lite.
    """

    path: Path
    architecture: dict[str, Any]
    state_dict: dict[str, Tensor]
    step: int
    phase: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    optimizer_states: list[dict[str, Any]] | None = None
    best_distance: float = math.inf
    release: dict[str, Any] | None = None

    @classmethod
    def from_content(cls, content: dict[str, Any], path: Path) -> "Checkpoint":
        """The checkpoint in the `content` of a file, which is migrated in place."""
        migrate(content)
        best = content.get("callbacks", {}).get("Checkpoints", {}).get("best", math.inf)
        return cls(path, content["model"], content["state_dict"], content["step"], content.get("phase", 1),
                   content.get("config", {}), content.get("optimizer_states"), best, content.get("release"))

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.architecture["sample_rate"]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of a part by their names in it: "model", "ema" (its averages), "discriminator"; {} if not saved."""
        return {k.removeprefix(f"{name}."): v for k, v in self.state_dict.items() if k.startswith(f"{name}.")}

    def weights(self, *, ema: bool = True) -> dict[str, Tensor]:
        """The model's state by name; averaged where the run kept averages and `ema` is true."""
        return (self.part("ema") if ema else {}) or self.part("model")

    def save(self, path: Path) -> None:
        """Write an imported model or a base; Lightning writes the checkpoints of runs."""
        torch.save(header(self.architecture, self.settings, self.step, self.phase)
                   | {"state_dict": self.state_dict, "release": self.release}, path)


def header(architecture: dict[str, Any], settings: dict[str, Any], step: int, phase: int) -> dict[str, Any]:
    """The content of a checkpoint file but for its tensors and the importer's notes."""
    return {"model": architecture, "sample_rate": architecture["sample_rate"], "config": settings, "step": step,
            "phase": phase}


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint's tensors and plain values; of a run's folder, best.ckpt or else last.ckpt.

    Raises InputError when it is missing or not one of rave_lite.
    """
    path = checkpoint_file(path)
    content = load_plain(path)
    if not isinstance(content, dict) or not content.keys() >= REQUIRED:
        raise InputError("a torch file, but not a rave_lite checkpoint (it holds no model, state_dict and step); "
                         "of acids-rave? rave-lite import reads those", where=path)
    return Checkpoint.from_content(content, Path(path))


def migrate(content: dict[str, Any]) -> None:
    """Name the layers in files of earlier versions, and add what these files lack, in place. Half precision becomes float32.

    They lack the number of channels, how the network has two, band gains and the limit of the bands, which were 1; adaptive
    normalisation; how codes are looked up; a variational posterior's shift, which was 0; and whether the principal
    directions were measured, which their variances tell: those of the identity and of an import add up to their number.
    """
    for key, value in (("channels", 1), ("limit", 1.0), ("adaptive_norm", False), ("encoder", {"name": "residual"}),
                       ("decoder", {"name": "amplitude"})):
        content["model"].setdefault(key, value)
    content["model"].setdefault("stereo", "bands" if content["model"]["channels"] == 2 else "parametric")
    if content["model"]["latent"]["name"] == "discrete":
        content["model"]["latent"].setdefault("lookup", "cosine")
    names = layer_names(content["model"])
    state = content["state_dict"] = {current_name(name, names): value.float() if value.dtype == torch.float16 else value
                                     for name, value in content["state_dict"].items()}
    for group in (group for optimizer in content.get("optimizer_states", []) for group in optimizer["param_groups"]):
        if "param_names" in group:
            group["param_names"] = [current_name(name, names) for name in group["param_names"]]
    last = "decoder.waveform.parametrizations.weight.original0"
    for model in [name.removesuffix(last) for name in state if name.endswith(last)]:
        state.setdefault(f"{model}decoder.band_gain", torch.ones(len(state[model + last]) // 2, 1))
        if content["model"]["latent"]["name"] == "variational":
            state.setdefault(f"{model}latent.shift", torch.tensor(0.0))
    for name, variance in [(name, value) for name, value in state.items() if name.endswith("principal.variance")]:
        measured = abs(float(variance.sum()) - len(variance)) > 1e-5 * len(variance)
        state.setdefault(name.replace("variance", "measured"), torch.tensor(measured))


def layer_names(architecture: dict[str, Any]) -> dict[str, str]:
    """Names of the layers of encoder and decoder by the numbers that they had in earlier versions; `net.0` is the first."""
    stacks: list[list[int]] = architecture["dilations"]
    encoder, decoder = ["first"], ["first"]
    for stage, stack in enumerate(stacks):
        encoder += [*(f"stages.{stage}.units.{unit}" for unit in range(len(stack))), "activation", f"stages.{stage}.down"]
    for stage, stack in enumerate(reversed(stacks)):
        decoder += ["activation", f"stages.{stage}.up", *(f"stages.{stage}.units.{unit}" for unit in range(len(stack)))]
    encoder += ["activation", "last"]
    return {f"{part}.net.{number}": f"{part}.{name}" for part, layers in (("encoder", encoder), ("decoder", decoder))
            for number, name in enumerate(layers)}


def current_name(name: str, names: dict[str, str]) -> str:
    """The name of a parameter or part; its layer may be numbered as in earlier versions. `names`: by `layer_names`."""
    return re.sub(r"\b(encoder|decoder)\.net\.\d+", lambda layer: names.get(layer[0], layer[0]), name)


def load_plain(path: str | Path) -> Any:
    """Load a torch file of tensors and plain values. Raises InputError when it is missing or holds anything else."""
    if not Path(path).is_file():
        raise InputError("no such checkpoint", where=path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError("not a checkpoint of tensors and plain values", where=path) from error
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise InputError(f"not a checkpoint ({reason})", where=path) from error


def load_matching(module: nn.Module, state: dict[str, Tensor], name: str | Path) -> None:
    """Load `state`, or raise InputError naming the first weight that differs."""
    expected = module.state_dict()
    for key, value in expected.items():
        if key not in state:
            raise InputError(f"another architecture: it has no {key}", where=name)
        if isinstance(value, Tensor) and value.shape != state[key].shape:
            raise InputError(f"another architecture: {key} is {tuple(state[key].shape)} there and "
                             f"{tuple(value.shape)} here", where=name)
    extra = next((key for key in state if key not in expected), None)
    if extra:
        raise InputError(f"another architecture: {extra} has no place here", where=name)
    module.load_state_dict(state)
