"""The card of an exported file: what it plays, at which latency, and from which run."""

import re
from typing import Any

import torch

from rave_lite.export.plays import as_line
from rave_lite.export.precision import proposed_precision
from rave_lite.export.torchscript import Live
from rave_lite.model import RAVE, Checkpoint

MIN_NAME = 3  # letters


def describe(live: Live, model: RAVE, checkpoint: Checkpoint, license_line: str | None, version: str) -> dict[str, Any]:
    """The card, which the archive stores as metadata.json. `version`: of rave_lite."""
    run, principal = checkpoint.settings, model.principal
    return {"name": run["name"], "sample_rate": live.sample_rate, "model_rate": model.sample_rate, "hop": live.hop,
            "latency": live.latency, "latency_ms": round(1000 * live.latency / live.sample_rate, 2),
            "latent_size": live.latent_size, "latent_carried": round(principal.carried(live.latent_size), 4),
            "latent_std": [round(float(v) ** 0.5, 4) for v in principal.variance[: live.latent_size]],
            "channels": live.channels, "batch_size": live.batch_size, "precision": live.precision,
            "parameters": sum(p.numel() for p in model.parameters()), "training_minutes": round(run["minutes"], 2),
            "step": checkpoint.step, "license": license_line or "not stated",
            "rave_lite": version, "torch": torch.__version__.split("+")[0]}


def as_text(key: str, value: Any, card: dict[str, Any]) -> str:
    """A value of the card as text, with its unit."""
    if key in ("sample_rate", "model_rate"):
        return f"{value} Hz"
    if key == "hop":
        return f"{value} samples: a block is a multiple of it"
    if key == "latency":
        total_ms = 1000 * (value + card["hop"]) / card["sample_rate"]
        return f"{value} samples, {card['latency_ms']:.1f} ms; with a block of {card['hop']} {total_ms:.1f} ms"
    if key == "latent_size":
        return f"{value} principal directions, {100 * card['latent_carried']:.1f} % of the variance"
    if key == "training_minutes":
        return f"{value} min"
    if key == "plays":
        return "; ".join(f"on {device}: {as_line(times, card['sample_rate'])}" for device, times in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def name_warnings(name: str) -> list[str]:
    """Why a patch in Max or Pure Data cannot name a file, without its ".ts", in an object or message; as sentences."""
    hosts = "Max and Pure Data"
    if len(name) < MIN_NAME:
        return [f"warning: nn~ 1.6.0 ends Pure Data when a file's name, here {name!r}, has fewer than {MIN_NAME} letters"]
    if re.search(r"[\s,;$\\\"{}]", name):
        return [f"warning: {hosts} cannot name {name!r}: spaces and , ; $ \\ \" {{ }} mean something else there"]
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", name):
        return [f"warning: {hosts} take the name {name!r} for a number"]
    return []


def warnings(live: Live, model: RAVE, checkpoint: Checkpoint) -> list[str]:
    """What a user should know before relying on the file, as sentences."""
    messages, phase1_steps = [], checkpoint.settings["phase1"]["steps"]
    if checkpoint.phase == 1:
        messages += [f"warning: step {checkpoint.step} of the {phase1_steps} of phase 1: the sound is not finished"]
    if live.hop & (live.hop - 1):
        messages += [f"warning: hop {live.hop} is no power of two, as the blocks of nn~ and its like are"]
    if live.converts:
        later = 1000 * (live.latency / live.sample_rate - model.latency / model.sample_rate)
        messages += [f"note: from {live.sample_rate} Hz to the model's {model.sample_rate} and back costs {later:.1f} ms of "
                     f"latency; a model trained with model.sample_rate={live.sample_rate} has none of it"]
    if not live.measured:
        messages += ["note: its latents' directions are as imported, latent_carried and latent_std guessed: rave-lite "
                     "import ... data.root=DIR measures them"]
    if live.precision == "float32" and proposed_precision() != "float32":
        messages += [f"note: on this machine's GPU precision={proposed_precision()} plays faster"]
    if live.precision == "int8":
        messages += ["note: an int8 file plays on the CPU only, and can crash Pure Data where it quits while a block is "
                     "computed: switch the audio off first"]
    return messages
