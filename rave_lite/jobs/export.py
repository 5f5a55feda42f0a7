"""Writes a model as streaming TorchScript."""

import sys
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from rave_lite import __version__
from rave_lite.errors import InputError
from rave_lite.export.torchscript import Live
from rave_lite.export.torchscript import export as write
from rave_lite.export.verify import report, verify
from rave_lite.jobs.common import job
from rave_lite.model import RAVE, Checkpoint, read_checkpoint

MAX_LATENTS = 16  # of the file, unless latent_size= asks for more: a patch has no use for more inlets


def export(config: DictConfig) -> None:
    """Scripts the checkpoint's model, verifies the file in a new process, and prints its card."""
    path = Path(config.ckpt).expanduser()
    checkpoint = read_checkpoint(path)
    model = RAVE.from_checkpoint(checkpoint)
    run = checkpoint.settings
    out = Path(config.out).expanduser() if config.out else path.resolve().parents[1] / f"{run['name']}.ts"
    live = Live(model, batch_size=config.batch_size, channels=config.channels, sample_rate=config.sample_rate,
                latent_size=config.latent_size or min(MAX_LATENTS, model.latent_size), precision=config.precision)
    warn(checkpoint, live)
    card = describe(live, model, checkpoint, config.license)
    write(live, out, card, lambda trial: verify_or_raise(trial, path, out, config.blocks))
    print(f"{out}: verified against the checkpoint in a new process")
    for key, value in card.items():
        print(f"  {key:16} {as_text(key, value, card)}")


def warn(checkpoint: Checkpoint, live: Live) -> None:
    """Prints what a user should know before relying on the file."""
    step, phase1_steps = checkpoint.step, checkpoint.settings["phase1"]["steps"]
    if checkpoint.phase == 1:
        print(f"warning: step {step} of the {phase1_steps} of phase 1: the sound is not finished", file=sys.stderr)
    if live.hop & (live.hop - 1):
        print(f"warning: hop {live.hop} is no power of two, as the blocks of nn~ and its like are", file=sys.stderr)
    if not live.core.rave.principal.measured:
        print("note: its latents' directions are as imported, latent_carried and latent_std guessed: rave-lite import ... "
              "data.root=DIR measures them", file=sys.stderr)
    if live.precision == "int8":
        print("note: an int8 file plays on the CPU only", file=sys.stderr)


def describe(live: Live, model: RAVE, checkpoint: Checkpoint, license_line: str | None) -> dict[str, Any]:
    """The card of the file: printed, and stored in the archive as metadata.json."""
    run, principal = checkpoint.settings, model.principal
    return {"name": run["name"], "sample_rate": live.sample_rate, "model_rate": model.sample_rate, "hop": live.hop,
            "block": live.block, "latency": live.latency, "latency_ms": round(1000 * live.latency / live.sample_rate, 2),
            "latent_size": live.latent_size, "latent_carried": round(principal.carried(live.latent_size), 4),
            "latent_std": [round(float(v) ** 0.5, 4) for v in principal.variance[: live.latent_size]],
            "channels": live.channels, "batch_size": live.batch_size, "precision": live.precision,
            "parameters": sum(p.numel() for p in model.parameters()), "training_minutes": round(run["minutes"], 2),
            "step": checkpoint.step, "license": license_line or "not stated",
            "rave_lite": __version__, "torch": torch.__version__.split("+")[0]}


def as_text(key: str, value: Any, card: dict[str, Any]) -> str:
    """A value of the card as text, with its unit."""
    if key in ("sample_rate", "model_rate"):
        return f"{value} Hz"
    if key == "hop":
        return f"{value} samples: a block is a multiple of it" if value > 1 else "1: any block"
    if key == "latency":
        total_ms = 1000 * (value + card["block"]) / card["sample_rate"]
        return f"{value} samples, {card['latency_ms']:.1f} ms; with a block of {card['block']} {total_ms:.1f} ms"
    if key == "latent_size":
        return f"{value} principal directions, {100 * card['latent_carried']:.1f} % of the variance"
    if key == "training_minutes":
        return f"{value} min"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def verify_or_raise(trial: Path, checkpoint: Path, out: Path, blocks: int) -> None:
    """Verifies `trial`, which is to become `out`, and prints the findings. Raises InputError with those that failed."""
    findings = verify(trial, checkpoint, blocks=blocks)
    print(report(findings))
    failed = [f for f in findings if not f.well]
    if failed:
        raise InputError(f"{out}: not written, because it failed:\n{report(failed)}")


main = job(export)
