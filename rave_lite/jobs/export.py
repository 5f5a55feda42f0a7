"""Writes a model as streaming TorchScript."""

import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from rave_lite import __version__
from rave_lite.errors import InputError
from rave_lite.export.card import as_text, describe, name_warnings, warnings
from rave_lite.export.plays import plays
from rave_lite.export.torchscript import Live
from rave_lite.export.torchscript import export as write
from rave_lite.export.verify import report, verify
from rave_lite.model import RAVE, read_checkpoint
from rave_lite.prior.file import load as load_prior
from rave_lite.runs import checkpoint_file, run_folder

MAX_LATENTS = 16  # of the file, beside the image, unless latent_size= asks for more: a patch has no use for more inlets


def export(config: DictConfig) -> dict[str, Any]:
    """Scripts the checkpoint's model, verifies the file in a new process, prints its card and returns it."""
    path = checkpoint_file(config.ckpt)
    checkpoint = read_checkpoint(path)
    model = RAVE.from_checkpoint(checkpoint)
    out = Path(config.out).expanduser() if config.out else run_folder(path) / f"{checkpoint.settings['name']}.ts"
    prior, figures = load_prior(config.prior, model) if config.prior else (None, None)
    latents = config.latent_size or min(MAX_LATENTS + model.image_size, model.latent_size)
    live = Live(model, batch_size=config.batch_size, channels=config.channels, sample_rate=config.sample_rate,
                latent_size=latents, precision=config.precision, prior=prior)
    for warning in name_warnings(out.stem) + warnings(live, model, checkpoint):
        print(warning, file=sys.stderr)
    card = describe(live, model, checkpoint, config.license, __version__)
    if figures:
        card["prior"] = f"learned from {figures.strokes} strokes; {figures.gain:.2f} nats per frame better than a Gaussian"
    write(live, out, card, lambda trial: verify_or_raise(trial, path, out, config.blocks), plays)
    print(f"{out}: verified against the checkpoint in a new process")
    for key, value in card.items():
        print(f"  {key:16} {as_text(key, value, card)}")
    return {"file": str(out), **card}


def verify_or_raise(trial: Path, checkpoint: Path, out: Path, blocks: int) -> None:
    """Verifies `trial`, which is to become `out`, and prints the findings. Raises InputError with those that failed."""
    findings = verify(trial, checkpoint, blocks=blocks)
    print(report(findings))
    failed = [f for f in findings if not f.well]
    if failed:
        raise InputError(f"not written, because it failed:\n{report(failed)}", where=out)
