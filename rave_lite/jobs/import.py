"""Converts a run of the public RAVE release into a rave_lite checkpoint."""
# ruff: noqa: N999

import sys
from pathlib import Path

from omegaconf import DictConfig

from rave_lite.acids_rave import Run, convert, read
from rave_lite.data import Windows, catalogue
from rave_lite.errors import InputError
from rave_lite.evaluation.latents import measure
from rave_lite.files import replacing
from rave_lite.jobs.common import job
from rave_lite.layers import ALIGNMENTS
from rave_lite.model import RAVE, Checkpoint


def import_(config: DictConfig) -> None:
    """Converts the run, writes the checkpoint, reads it back and prints its properties."""
    path, out = Path(config.run).expanduser(), Path(config.out).expanduser()
    realign = config.realign
    if realign not in (None, *ALIGNMENTS[:2]):
        raise InputError(f"realign: {realign!r}; it may be {' or '.join(ALIGNMENTS[:2])}")
    run = read(path, ema=config.ema)
    if out.exists() and out.samefile(run.path):
        raise InputError(f"out: {out} is the run's own file; choose another")
    checkpoint = convert(run, name=config.name or out.stem, realign=realign, live=config.live)
    if config.data.root:
        measure_directions(checkpoint, config.data.root, config.data.cache)
    with replacing(out) as aside:
        checkpoint.save(aside)
    model = RAVE.from_checkpoint(out)
    print(f"{out}: from {run.path}{', averaged weights' if run.averaged else ''}")
    for key, value in describe(checkpoint, model).items():
        print(f"  {key:16} {value}")
    warn(run, checkpoint)


def measure_directions(checkpoint: Checkpoint, root: str, cache: str | None) -> None:
    """Measures the latent's principal directions on recordings: the release stores them in part or not at all."""
    model = RAVE.from_checkpoint(checkpoint)
    recordings = catalogue(root, model.sample_rate, cache=cache)
    measure(model, Windows(recordings.train, length=64 * model.hop, sample_rate=model.sample_rate))
    checkpoint.state_dict |= {f"model.principal.{k}": v for k, v in model.principal.state_dict().items()}


def describe(checkpoint: Checkpoint, model: RAVE) -> dict[str, str]:
    """The properties of the imported model, as printed."""
    settings, release = model.config, checkpoint.release or {}
    has_discriminators = bool(checkpoint.part("discriminator"))

    def delay(samples: int) -> str:
        return f"{samples} samples, {1000 * samples / model.sample_rate:.1f} ms"

    latency = delay(model.latency)
    if model.config["alignment"] != release["alignment"]:
        latency += f" (as trained, {release['alignment']}: {delay(release['latency'])}): another model now, to be fine-tuned"
    elif release["later"] is not None:
        latency += f"; the run's samples, {abs(release['later'])} {'earlier' if release['later'] < 0 else 'later'}"
    return {"sample_rate": f"{model.sample_rate} Hz", "hop": f"{model.hop} samples", "capacity": str(settings["capacity"]),
            "ratios": str(settings["ratios"]), "latent": f"{settings['latent']['name']}, {model.latent_size}",
            "noise": "filtered, per band" if settings["noise"] else "none", "alignment": settings["alignment"],
            "latency": latency,
            "phase": f"{checkpoint.phase}, at step {release['step']}" if release["step"] else "not told",
            "directions": "measured" if model.principal.measured else "as the release left them: data.root=DIR measures",
            "discriminators": "kept" if has_discriminators else "none that fit: fine-tuning starts with fresh ones"}


def warn(run: Run, checkpoint: Checkpoint) -> None:
    """Warns of properties that the file does not state and that were assumed."""
    if not run.text and run.caches is None:
        print(f"warning: no config.gin beside {run.path}: taken to be {checkpoint.sample_rate} Hz, "
              f"{checkpoint.architecture['alignment']}, dilations 1, 3, 9", file=sys.stderr)


main = job(import_)
