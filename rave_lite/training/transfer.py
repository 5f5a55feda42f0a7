"""Start a run from the weights of a trained model, and hold it near them."""

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from rave_lite.errors import InputError
from rave_lite.model import RAVE
from rave_lite.training.module import RAVETraining

BANK = ("n_bands", "attenuation", "bank")  # of RAVE's arguments: where they differ, so do the filters


@dataclass
class Report:
    """What became of the weights of each part: counts by part. `left`: what of the source has no place; `notes`: on both."""

    path: Path
    notes: list[str]
    copied: Counter = field(default_factory=Counter)
    resized: Counter = field(default_factory=Counter)
    new: Counter = field(default_factory=Counter)
    left: Counter = field(default_factory=Counter)

    def table(self) -> Table:
        left = [f"left behind: {name}, {count:,} weights" for name, count in self.left.items()]
        table = Table(title=f"starting from {self.path}", title_justify="left", caption="\n".join([*left, *self.notes]),
                      caption_justify="left")
        for column in ("part", "weights copied", "resized", "new"):
            table.add_column(column, justify="left" if column == "part" else "right")
        for name in {**self.copied, **self.resized, **self.new}:
            table.add_row(name, f"{self.copied[name]:,}", f"{self.resized[name]:,}", f"{self.new[name]:,}")
        return table


def start_from(module: RAVETraining, checkpoint: dict[str, Any], path: Path) -> Report:
    """Copy into `module` what a checkpoint has for it, by name; says what became of which part.

    The model's averaged weights where there are some, and the discriminators. A layer of other sizes (of the latent, bands,
    channels) takes what there is; what it has more is not heard by what it had, so that a wider model starts as the same
    function. Raises InputError for another sampling rate or hop, and where nothing fits.
    """
    comparable(module.model, checkpoint["model"], path)
    everything = initial_state(checkpoint["state_dict"])
    others, notes = differences(module.model.config, checkpoint["model"])
    theirs = {k: v for k, v in everything.items() if not k.startswith(tuple(others))}
    own = {k: v for k, v in module.state_dict().items() if k.startswith(("model.", "discriminator."))}
    made, report = {}, Report(path, notes)
    for name, value in own.items():
        part = name.split(".")[1] if name.startswith("model.") else "discriminators"
        if name in theirs and theirs[name].shape == value.shape:
            made[name] = theirs[name]
            report.copied[part] += value.numel()
        elif name in theirs and theirs[name].dim() == value.dim() and "principal" not in name:  # that is fitted anew
            report.resized[part] += value.numel()
        else:
            report.new[part] += value.numel()
    for name in (name for name in everything if name not in theirs or name not in own):
        part = ".".join(name.split(".")[1:3]) if name.startswith("model.") else "discriminators"
        report.left[part] += everything[name].numel()
    if not made:
        raise InputError(f"transfer.from: {path}: no weight in it has a place in this model")
    module.load_state_dict(made, strict=False)
    resize(module, theirs, made, checkpoint["model"])
    if (module.model.decoder.band_gain == 1).all():  # never calibrated: of an earlier version, or of the public release
        lengthen_directions(module)
    module.calibrated = True
    for follower in (module.ema, module.start):
        if follower is not None:
            follower.load_state_dict(module.model.state_dict())
    return report


def comparable(model: RAVE, trained: dict[str, Any], path: Path) -> None:
    """Raise InputError unless a frame of both is the same piece of time."""
    if trained["sample_rate"] != model.sample_rate:
        raise InputError(f"transfer.from: {path} was trained at {trained['sample_rate']} Hz, this model is for "
                         f"{model.sample_rate}: leave out model.sample_rate (recordings are resampled), and export with "
                         f"sample_rate={model.sample_rate}")
    hop = trained["n_bands"] * math.prod(trained["ratios"])
    if hop != model.hop:
        raise InputError(f"transfer.from: a latent frame of {path} is {hop} samples, of this model {model.hop}: its weights "
                         f"would mean nothing. Leave out model= and model.ratios, and the model is the trained one's")


def differences(model: dict[str, Any], trained: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Beginnings of the names of weights that mean something else in the trained model, and what to know of the others.

    Both are arguments of `RAVE`. Layers are numbered through: one dilation more, and a number is another stage's layer.
    """
    others, notes = [], []
    if any(trained.get(k) != model.get(k) for k in BANK):
        others.append("model.pqmf.")
    for key in (key for key in ("ratios", "dilations") if trained[key] != model[key]):
        notes.append(f"model.{key} was {trained[key]}: what is copied works at other scales of time")
    if [len(stack) for stack in trained["dilations"]] != [len(stack) for stack in model["dilations"]]:
        others += ["model.encoder.net.", "model.decoder.net."]
        notes[-1] = f"model.dilations was {trained['dilations']}: other layers, so encoder.net and decoder.net are new"
    return others, notes


def initial_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of a checkpoint's state, what a run starts from: the averages by the model's names, and the discriminators."""
    averages = {f"model.{k[4:]}": v for k, v in state.items() if k.startswith("ema.")}
    return {k: v for k, v in state.items() if k.startswith(("model.", "discriminator."))} | averages


@torch.no_grad()
def resize(module: RAVETraining, theirs: dict[str, Tensor], copied: dict[str, Tensor], trained: dict[str, Any]) -> None:
    """Give the convolutions of `module` that were not `copied` whole what `theirs` have for them."""
    joints = channel_groups(module.model, trained)
    for name, layer in module.named_modules():
        if not isinstance(layer, nn.Conv1d | nn.ConvTranspose1d) or not name.startswith(("model.", "discriminator.")):
            continue
        g, v = (theirs.get(f"{name}.parametrizations.weight.original{i}") for i in (0, 1))
        old = theirs.get(f"{name}.weight")
        if g is not None and v is not None:  # weight norm, put together
            old = g * v / torch.linalg.vector_norm(v, dim=(1, 2), keepdim=True)
        if old is not None and old.shape != layer.weight.shape:
            inputs = 0 if isinstance(layer, nn.ConvTranspose1d) else 1
            new = copy_by_group(layer.weight, old, *joints.get(name, (0, [], [])), inputs=inputs)
            if g is None:
                layer.weight.copy_(new)
            else:
                layer.weight = new  # weight norm takes it apart
        if layer.bias is not None and f"{name}.bias" in theirs and f"{name}.bias" not in copied:
            count = min(len(layer.bias), len(theirs[f"{name}.bias"]))
            layer.bias[:count] = theirs[f"{name}.bias"][:count]


@torch.no_grad()
def lengthen_directions(module: nn.Module) -> None:
    """Make directions that are less than half as long as `WeightNorm` begins with as long as that.

    The weights do not change, but Adam would move wide layers too far by a short direction.
    """
    for layer in (m for m in module.modules() if is_parametrized(m, "weight")):
        weight_norm: Any = layer.parametrizations.weight  # type: ignore[union-attr]
        wanted = torch.norm_except_dim(weight_norm[0].right_inverse(layer.weight)[1])
        ratio = wanted / torch.norm_except_dim(weight_norm.original1)
        weight_norm.original1.mul_(torch.where(ratio > 2, ratio, 1.0))


def channel_groups(model: RAVE, trained: dict[str, Any]) -> dict[str, tuple[int, list[int], list[int]]]:
    """Layers whose channels are of several kinds: the dimension, and how many there are of each kind, here and there."""
    sizes, before = model.latent.size, trained["latent"]["size"]
    bands, was = model.pqmf.n_bands, trained["n_bands"]
    last = f"model.encoder.net.{len(model.encoder.net) - 1}"
    both = {"model.decoder.waveform": (0, [bands] * 2, [was] * 2),  # waveform, amplitude
            "model.decoder.net.0": (1, [sizes, model.latent.decoder_channels - sizes],
                                    [before, trained["latent"].get("noise_channels", 0)])}
    if model.latent.encoder_channels == 2 * sizes:
        both[last] = (0, [sizes] * 2, [before] * 2)  # mean, scale
    return both


def copy_by_group(new: Tensor, old: Tensor, dim: int, sizes: list[int], before: list[int], *, inputs: int) -> Tensor:
    """`grow_weight` for each kind of channel along `dim` by itself."""
    if not sizes:
        return grow_weight(new, old, inputs)
    pairs = zip(new.split(sizes, dim), old.split(before, dim), strict=True)
    return torch.cat([grow_weight(a, b, inputs) for a, b in pairs], dim)


def grow_weight(new: Tensor, old: Tensor, inputs: int) -> Tensor:
    """`new` with `old` in its first places, whose outputs do not hear what inputs (along dimension `inputs`) are added."""
    made, known = new.clone(), [min(a, b) for a, b in zip(new.shape, old.shape, strict=True)]
    made.narrow(1 - inputs, 0, known[1 - inputs]).narrow(inputs, known[inputs], new.shape[inputs] - known[inputs]).zero_()
    made[tuple(map(slice, known))] = old[tuple(map(slice, known))]
    return made


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

