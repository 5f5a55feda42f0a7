"""Converts the release's weights into an ordinary rave_lite checkpoint."""

import re
from typing import Any

import torch
from torch import Tensor

from rave_lite.acids_rave import v1
from rave_lite.acids_rave.architecture import architecture, convolutions, folded
from rave_lite.acids_rave.bank import delay_after_release, load_bank, skew, taps
from rave_lite.acids_rave.read import Run, is_discrete
from rave_lite.errors import InputError
from rave_lite.model import RAVE, Checkpoint, load_matching
from rave_lite.model.checkpoint import current_name, layer_names

NORM = {"weight_g": "original0", "weight_v": "original1"}
DISCRIMINATOR = re.compile(r"discriminator\.(?:discriminators\.([01])\.)?layers\.(\d+)\.net\.(\d)\.(.+)")


def convert(run: Run, *, name: str, realign: str | None = None, live: bool | None = None) -> Checkpoint:
    """A checkpoint for `RAVE.from_checkpoint` and the jobs.

    `realign`: another alignment than the release's. `live`: reproduce the streaming export rather than the run, which
    differ in centered models; by default whichever was read. Raises InputError if the weights are not of a v2 model.
    """
    arguments, filters = architecture(run), run.state["pqmf.hk"]
    bank = {"taps": taps(filters), "alternate": True}
    live = run.caches is not None if live is None else live
    band_offset = skew(filters, RAVE(**arguments).encoder, arguments["alignment"], live=live)
    original = RAVE(**arguments, bank=bank | {"skew": band_offset})
    model = original if realign is None else RAVE(**arguments | {"alignment": realign}, bank=bank)
    load_matching(model, {**model.state_dict(), **renamed(run, layer_names(arguments), len(arguments["ratios"]))}, run.path)
    load_bank(model, original, filters, live=live)
    load_principal(model, run)
    # of two channels the release's discriminators hear both at once, ours each as a window of its own
    discriminator_state = discriminators(run) if model.channels == 1 else {}
    warmed_up = bool(run.state.get("encoder.warmed_up", torch.ones(())))
    phase1 = int(run.setting("RAVE.phase_1_duration", 200000))
    step = max(run.step, phase1) if warmed_up else min(run.step, phase1 - 1)
    state = {f"model.{k}": v for k, v in model.state_dict().items()}
    state |= {f"discriminator.{k}": v for k, v in discriminator_state.items()}
    return Checkpoint(run.path, model.config, state | {"_extra_state": torch.tensor([step, -1])}, step,
                      2 if warmed_up else 1, configuration(run, model, name, phase1, discriminator_state),
                      release=release_record(run, original, None if live else delay_after_release(original, filters)))


def renamed(run: Run, layers: dict[str, str], stages: int) -> dict[str, Tensor]:
    """Weights of encoder and decoder under our names; plain weights become weight norm's magnitude and direction.

    `layers`: our names by the release's numbers, by `layer_names`.
    """
    names, is_v1 = convolutions(run), v1.is_v1(run)
    last = max(int(m[1]) for k in names if (m := re.fullmatch(r"decoder\.net\.(\d+)", k)))
    state: dict[str, Tensor] = {}
    for layer in names:
        ours = re.sub(r"\.aligned\.branches\.0\.net\.", ".branch.", layer).replace("encoder.encoder.", "encoder.")
        ours = ours.replace("decoder.noise_module.", "decoder.noise.").replace("decoder.waveform_module", "decoder.waveform")
        if "decoder.waveform_module" not in names and layer == f"decoder.net.{last}":
            ours = "decoder.waveform"
        ours = v1.name(layer, stages) if is_v1 else current_name(ours, layers)
        tensors = {k.removeprefix(f"{layer}."): v for k, v in run.state.items() if k.startswith(f"{layer}.")}
        if ".noise." in ours or (is_v1 and ours.startswith("encoder.")):  # without weight norm
            state |= {f"{ours}.{key}": value for key, value in tensors.items() if "." not in key}
            continue
        if "weight" in tensors:
            tensors = folded(tensors["weight"])
        for key, value in tensors.items():
            if "weight" in key or "original" in key:
                state[f"{ours}.parametrizations.weight.{NORM.get(key, key.rsplit('.', 1)[-1])}"] = value
    return state | snakes(run, layers) | adaptive_norms(run, layers)


def snakes(run: Run, layers: dict[str, str]) -> dict[str, Tensor]:
    """The frequencies of the Snakes between the stages, by our names. Raises InputError unless all are above 0."""
    state = {}
    for key, alpha in run.state.items():
        if m := re.fullmatch(r"(?:encoder\.)?((?:en|de)coder)\.net\.(\d+)\.alpha", key):
            if (alpha <= 0).any():
                raise InputError(f"a Snake's frequency of {float(alpha.min()):g}; here they are above 0", where=run.path)
            stage = re.sub(r"[^.]+$", "", layers.get(f"{m[1]}.net.{int(m[2]) + 1}", f"{m[1]}.waveform"))
            state[f"{stage}activation.log_alpha"] = alpha.flatten().log()
    return state


def adaptive_norms(run: Run, layers: dict[str, str]) -> dict[str, Tensor]:
    """The statistics of adaptive instance normalisations by our names: of the release's streams the first's, here of all."""
    state: dict[str, Tensor] = {}
    for key in run.state:
        if m := re.fullmatch(r"(?:encoder\.)?((?:en|de)coder\.net\.\d+)\.norm\.mean_x", key):
            norm, ours = key.removesuffix("mean_x"), f"{layers[m[1]]}.norm"
            mean, deviation, blocks = (torch.stack([run.state[f"{norm}{name}_{side}"][0].flatten() for side in "xy"])
                                       for name in ("mean", "std", "num_update"))
            state |= {f"{ours}.mean": mean, f"{ours}.variance": deviation.square(), f"{ours}.frames": blocks}
    return state


def load_principal(model: RAVE, run: Run) -> None:
    """Loads the release's principal directions. It stores cumulative shares of variance; their total is set to `size`."""
    principal = model.principal
    with torch.no_grad():
        principal.mean.copy_(run.state["latent_mean"])
        principal.directions.copy_(run.state["latent_pca"])
        share = run.state["fidelity"].diff(prepend=torch.zeros(1)).clamp_min(0)
        if share.sum() > 0:
            principal.variance.copy_(share / share.sum() * len(share))


def discriminators(run: Run) -> dict[str, Tensor]:
    """Weights of multi-period and multi-scale discriminators under our names; empty for other kinds, or without any.

    v1's are multi-scale alone.
    """
    state = {}
    for key, value in run.state.items():
        match = DISCRIMINATOR.fullmatch(key)
        if match is None:
            if key.startswith("discriminator."):
                return {}
            continue
        kind, stack, layer, tensor_name = match.groups()
        conv = "head" if layer == "8" else f"convs.{int(layer) // 2}"
        place = f"{'by_period' if kind == '0' else 'by_scale'}.{stack}.{conv}"
        value = value.squeeze(3) if value.dim() == 4 else value
        state[f"{place}.{f'parametrizations.weight.{NORM[tensor_name]}' if tensor_name in NORM else tensor_name}"] = value
    return state


def configuration(run: Run, model: RAVE, name: str, phase1: int, state: dict[str, Tensor]) -> dict[str, Any]:
    """The parts of a run's configuration that the jobs read."""
    counts = {kind: len({k.split(".")[1] for k in state if k.startswith(kind)}) for kind in ("by_period", "by_scale")}
    capacity = next((len(v) for k, v in state.items() if k.endswith("convs.0.bias")), model.config["capacity"])
    periods = run.setting("MultiPeriodDiscriminator.periods", [2, 3, 5, 7, 11])
    return {"name": name, "seed": 0, "minutes": 0.0, "phase1": {"steps": phase1}, "phase2": {"steps": 0},
            "data": {"root": None, "held_out": 0.1, "cache": None, "cache_gb": 20}, "model": model.config,
            "discriminator": {"capacity": capacity, "periods": periods[: counts["by_period"]] if state else periods,
                              "scales": counts["by_scale"] or 3}}


def release_record(run: Run, original: RAVE, delay: int | None) -> dict[str, Any]:
    """Properties of the release's run that our model does not hold, kept in the checkpoint."""
    return {"file": str(run.path), "later": delay, "config_gin": run.text, "averaged": run.averaged, "step": run.step,
            "latency": original.latency, "discrete": is_discrete(run), "alignment": original.config["alignment"],
            **{key: run.state[key] for key in ("latent_pca", "latent_mean", "fidelity")}}
