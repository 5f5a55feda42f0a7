"""Starts a run from the weights of a trained model."""

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
from rave_lite.layers import AdaptiveNorm
from rave_lite.model import RAVE, Checkpoint, read_checkpoint
from rave_lite.runs import base_names, shown
from rave_lite.tables import make_table
from rave_lite.training.module import RAVETraining

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)
BANK = ("n_bands", "attenuation", "bank")  # arguments of RAVE that decide the bank's filters
FIT = ("sample_rate", "n_bands", "attenuation", "ratios", "encoder", "decoder")  # arguments of RAVE that a base has to share


@dataclass
class TransferReport:
    """Counts of copied, resized and new weights by part. `unused`: of the source; `notes`: on differing arguments."""

    path: Path
    notes: list[str]
    copied: Counter = field(default_factory=Counter)
    resized: Counter = field(default_factory=Counter)
    new: Counter = field(default_factory=Counter)
    unused: Counter = field(default_factory=Counter)

    def table(self) -> Table:
        unused_lines = [f"left behind: {name}, {count:,} weights" for name, count in self.unused.items()]
        rows = [(name, f"{self.copied[name]:,}", f"{self.resized[name]:,}", f"{self.new[name]:,}")
                for name in {**self.copied, **self.resized, **self.new}]
        return make_table(("part", "weights copied", "resized", "new"), rows, left=("part",),
                          title=f"starting from {shown(self.path)}", caption="\n".join([*unused_lines, *self.notes]))


def start_from(module: RAVETraining, checkpoint: Checkpoint) -> TransferReport:
    """Copy a checkpoint's weights into `module` by name; returns a report.

    Copies the model's averaged weights, if any, else the trained ones, and the discriminators. A layer of another size
    (latent, bands, channels) takes what fits. Weights from new channels to copied ones are zero, so a wider model starts as
    the same function. Raises InputError for another sampling rate or hop, and where nothing fits.
    """
    trained = checkpoint.architecture
    comparable(module.model, trained, checkpoint.path)
    discriminators = {f"discriminator.{name}": value for name, value in checkpoint.part("discriminator").items()}
    whole_source = {f"model.{name}": value for name, value in checkpoint.weights().items()} | discriminators
    incompatible, notes = differences(module.model.config, trained)
    source = {k: v for k, v in whole_source.items() if not k.startswith(tuple(incompatible))}
    target = {k: v for k, v in module.state_dict().items() if k.startswith(("model.", "discriminator."))}
    if discriminators and not discriminators.keys() & target.keys():
        notes.append("the checkpoint's discriminators are of another kind: these begin anew")
    copied, report = {}, TransferReport(checkpoint.path, notes)
    for name, value in target.items():
        part = name.split(".")[1] if name.startswith("model.") else "discriminators"
        if name in source and source[name].shape == value.shape:
            copied[name] = source[name]
            report.copied[part] += value.numel()
        elif name in source and source[name].dim() == value.dim():
            report.resized[part] += value.numel()
        else:
            report.new[part] += value.numel()
    for name in (name for name in whole_source if name not in source or name not in target):
        part = ".".join(name.split(".")[1:3]) if name.startswith("model.") else "discriminators"
        report.unused[part] += whole_source[name].numel()
    if not copied:
        raise InputError(f"{checkpoint.path}: no weight in it has a place in this model", where="transfer.from")
    module.load_state_dict(copied, strict=False)
    resize(module, source, copied, trained)
    if (module.model.decoder.band_gain == 1).all():  # never calibrated: from an earlier version or the public release
        lengthen_directions(module)
    for norm in (part for part in module.model.modules() if isinstance(part, AdaptiveNorm)):
        norm.forget()  # its statistics are of the other weights
    module.calibrated = True
    for copy_of_model in (module.ema, module.start):
        if copy_of_model is not None:
            copy_of_model.load_state_dict(module.model.state_dict())
    return report


def fitting_base(model: dict[str, Any]) -> str:
    """The base, as in "base:v2", that fits arguments of `RAVE`; capacity may differ. Raises InputError if none does."""
    bases = {name: read_checkpoint(name).architecture for name in base_names()}
    for name, trained in bases.items():
        if trained["latent"]["name"] == model["latent"]["name"] and all(trained[key] == model[key] for key in FIT):
            return name
    there = [f"{name} is for latent={a['latent']['name']} and model.ratios={a['ratios']}, {a['attenuation']} dB, "
             f"{a['sample_rate']} Hz" for name, a in bases.items()]
    raise InputError(f"no base fits this model: {'; '.join(there) or 'none came with this installation'}",
                     where="transfer.from")


def comparable(model: RAVE, trained: dict[str, Any], path: Path) -> None:
    """Raise InputError unless both models have the same sampling rate and hop."""
    if trained["sample_rate"] != model.sample_rate:
        raise InputError(f"{path} was trained at {trained['sample_rate']} Hz, this model is for "
                         f"{model.sample_rate}: leave out model.sample_rate (recordings are resampled), and export with "
                         f"sample_rate={model.sample_rate}", where="transfer.from")
    hop = trained["n_bands"] * math.prod(trained["ratios"])
    if hop != model.hop:
        raise InputError(f"a latent frame of {path} is {hop} samples, of this model {model.hop}: its weights "
                         f"would mean nothing. Leave out model= and model.ratios, and the model is the trained one's",
                         where="transfer.from")


def differences(model: dict[str, Any], trained: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Name prefixes of weights that have another meaning in the trained model, and notes on differing arguments.

    `model`, `trained`: arguments of `RAVE`.
    """
    incompatible, notes = [], []
    if any(trained.get(k) != model.get(k) for k in BANK):
        incompatible.append("model.pqmf.")
    if trained["latent"]["size"] != model["latent"]["size"] or trained["channels"] != model["channels"]:
        incompatible.append("model.principal.")  # which is fitted anew
    for key in (key for key in ("ratios", "dilations") if trained[key] != model[key]):
        notes.append(f"model.{key} was {trained[key]}: what is copied works at other scales of time")
    if model["bank"] is None and model["limit"] < model["n_bands"] ** 0.5:  # an import's bank has other levels
        notes.append(f"model.limit is {model['limit']:g}, as in earlier versions: loud sounds stay too quiet; model.limit=8 "
                     "leaves them room")
    if network_bands(trained) != network_bands(model):
        notes.append("the bands of both channels and of one, or of their middle: what is copied knows the left side alone")
    if (activation := trained.get("activation", "leaky_relu")) != model["activation"]:
        notes.append(f"model.activation was {activation}: what is copied was trained with it")
    return incompatible, notes


@torch.no_grad()
def resize(module: RAVETraining, source: dict[str, Tensor], copied: dict[str, Tensor], trained: dict[str, Any]) -> None:
    """Copy what fits from `source` into those convolutions, biases and Snakes of `module` that were not `copied` whole."""
    for name, vector in module.named_parameters():
        if vector.dim() == 1 and name in source and name not in copied:
            count = min(len(vector), len(source[name]))
            vector[:count] = source[name][:count]
    groups = channel_groups(module.model, trained)
    for name, layer in module.named_modules():
        if not isinstance(layer, CONVOLUTIONS) or not name.startswith(("model.", "discriminator.")):
            continue
        g, v = (source.get(f"{name}.parametrizations.weight.original{i}") for i in (0, 1))
        weight = source.get(f"{name}.weight")
        if g is not None and v is not None:  # the weight of a weight-normalised layer
            weight = torch._weight_norm(v, g, 0)
        if weight is not None and weight.shape != layer.weight.shape:
            inputs = 0 if isinstance(layer, nn.ConvTranspose1d) else 1
            resized = copy_by_group(layer.weight, weight, *groups.get(name, (0, [], [])), inputs=inputs)
            set_weight(layer, resized)


@torch.no_grad()
def set_weight(layer: nn.Module, weight: Tensor) -> None:
    """Set a layer's weight, which its parametrisation, if it has one, splits into length and direction."""
    if is_parametrized(layer, "weight"):
        layer.weight = weight
    else:
        layer.weight.copy_(weight)  # type: ignore[operator]


@torch.no_grad()
def lengthen_directions(module: nn.Module) -> None:
    """Lengthen directions shorter than half of `WeightNorm`'s initial length to that length.

    The weights do not change, but with short directions Adam would move wide layers too far.
    """
    for layer in (m for m in module.modules() if is_parametrized(m, "weight")):
        weight_norm: Any = layer.parametrizations.weight  # type: ignore[union-attr]
        initial_length = torch.norm_except_dim(weight_norm[0].right_inverse(layer.weight)[1])
        ratio = initial_length / torch.norm_except_dim(weight_norm.original1)
        weight_norm.original1.mul_(torch.where(ratio > 2, ratio, 1.0))


def network_bands(arguments: dict[str, Any]) -> int:
    """Bands that the network of a `RAVE` with these arguments reads and makes."""
    count: int = arguments["n_bands"]
    return 2 * count if arguments["channels"] == 2 and arguments["stereo"] == "bands" else count


def channel_groups(model: RAVE, trained: dict[str, Any]) -> dict[str, tuple[int, list[int], list[int]]]:
    """Layers with several kinds of channels: their dimension, and the number of each kind here and in the source."""
    size, source_size = model.latent.size, trained["latent"]["size"]
    bands, source_bands = network_bands(model.config), network_bands(trained)
    kinds = model.decoder.outputs  # waveform and amplitude, or one of them
    groups = {"model.decoder.waveform": (0, [bands] * kinds, [source_bands] * kinds),
              "model.decoder.first": (1, [size, model.latent.decoder_channels - size],
                                      [source_size, trained["latent"].get("noise_channels", 0)])}
    if model.latent.encoder_channels == 2 * size:
        groups["model.encoder.last"] = (0, [size] * 2, [source_size] * 2)  # mean, scale
    return groups


def copy_by_group(new: Tensor, old: Tensor, dim: int, sizes: list[int], old_sizes: list[int], *, inputs: int) -> Tensor:
    """Apply `grow_weight` to each kind of channel along `dim` separately."""
    if not sizes:
        return grow_weight(new, old, inputs)
    pairs = zip(new.split(sizes, dim), old.split(old_sizes, dim), strict=True)
    return torch.cat([grow_weight(a, b, inputs) for a, b in pairs], dim)


def grow_weight(new: Tensor, old: Tensor, inputs: int) -> Tensor:
    """`new` with `old` in its first places; weights from added inputs (dimension `inputs`) to old outputs are zero."""
    grown, common = new.clone(), [min(a, b) for a, b in zip(new.shape, old.shape, strict=True)]
    added = new.shape[inputs] - common[inputs]
    grown.narrow(1 - inputs, 0, common[1 - inputs]).narrow(inputs, common[inputs], added).zero_()
    grown[tuple(map(slice, common))] = old[tuple(map(slice, common))]
    return grown


def architecture(model: dict[str, Any], trained: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    """The arguments of `RAVE` for a run that starts from a model: the `trained` one's, but for those of `keys`.

    `keys`: of the configured arguments `model` that count, dotted where they are nested, as "latent.size".
    """
    arguments: dict[str, Any] = {"bank": None, **trained}
    for key in keys:
        *path, last = key.split(".")
        target, configured = arguments, model
        for name in path:
            target[name] = dict(target.get(name) or {})
            target, configured = target[name], configured[name]
        target[last] = configured[last]
    return arguments
