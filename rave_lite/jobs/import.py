"""Make a rave_lite checkpoint of what the public release has trained."""
# ruff: noqa: N999

import sys
from pathlib import Path

import torch
from omegaconf import DictConfig

from rave_lite.acids_rave import Run, convert, read
from rave_lite.data import Windows, catalogue
from rave_lite.errors import InputError
from rave_lite.evaluation.latents import measure
from rave_lite.files import replacing
from rave_lite.jobs.common import job
from rave_lite.layers import ALIGNMENTS
from rave_lite.model import RAVE


def import_(config: DictConfig) -> None:
    """Convert, write, read back, and say what it is."""
    path, out = Path(config.run).expanduser(), Path(config.out).expanduser()
    realign = config.realign
    if realign not in (None, *ALIGNMENTS[:2]):
        raise InputError(f"realign: {realign!r}; it may be {' or '.join(ALIGNMENTS[:2])}")
    run = read(path, ema=config.ema)
    if out.exists() and out.samefile(run.path):
        raise InputError(f"out: {out} is the run's own file; choose another")
    checkpoint = convert(run, name=config.name or out.stem, realign=realign, live=config.live)
    if config.data.root:
        measured(checkpoint, config.data.root, config.data.cache)
    with replacing(out) as aside:
        torch.save(checkpoint, aside)
    model = RAVE.from_checkpoint(out)
    print(f"{out}: from {run.path}{', averaged weights' if run.averaged else ''}")
    for key, value in describe(checkpoint, model).items():
        print(f"  {key:16} {value}")
    warn(run, checkpoint)


def measured(checkpoint: dict, root: str, cache: str | None) -> None:
    """Let the latent's directions, of which the release tells less or nothing, be those of recordings."""
    model = RAVE.from_state(checkpoint, root)
    recordings = catalogue(root, model.sample_rate, cache=cache)
    measure(model, Windows(recordings.train, length=64 * model.hop, sample_rate=model.sample_rate))
    checkpoint["state_dict"] |= {f"model.principal.{k}": v for k, v in model.principal.state_dict().items()}


def describe(checkpoint: dict, model: RAVE) -> dict[str, str]:
    """What was found, for people."""
    shape, kept = model.config, checkpoint["release"]
    listeners = any(k.startswith("discriminator.") for k in checkpoint["state_dict"])

    def late(samples: int) -> str:
        return f"{samples} samples, {1000 * samples / model.sample_rate:.1f} ms"

    latency = late(model.latency)
    if model.config["alignment"] != kept["alignment"]:
        latency += f" (as trained, {kept['alignment']}: {late(kept['latency'])}): another model now, to be fine-tuned"
    elif kept["later"] is not None:
        latency += f"; the run's samples, {abs(kept['later'])} {'earlier' if kept['later'] < 0 else 'later'}"
    return {"sample_rate": f"{model.sample_rate} Hz", "hop": f"{model.hop} samples", "capacity": str(shape["capacity"]),
            "ratios": str(shape["ratios"]), "latent": f"{shape['latent']['name']}, {model.latent_size}",
            "noise": "filtered, per band" if shape["noise"] else "none", "alignment": shape["alignment"], "latency": latency,
            "phase": f"{checkpoint['phase']}, at step {kept['step']}" if kept["step"] else "not told",
            "directions": "measured" if model.principal.measured() else "as the release left them: data.root=DIR measures",
            "discriminators": "kept" if listeners else "none that fit: fine-tuning starts with fresh ones"}


def warn(run: Run, checkpoint: dict) -> None:
    """What could not be told from the file, and was assumed."""
    if not run.text and run.caches is None:
        print(f"warning: no config.gin beside {run.path}: taken to be {checkpoint['sample_rate']} Hz, "
              f"{checkpoint['model']['alignment']}, dilations 1, 3, 9", file=sys.stderr)


main = job(import_)
