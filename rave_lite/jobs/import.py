"""Converts a run of the public RAVE release into a rave_lite checkpoint."""
# ruff: noqa: N999

import sys
from pathlib import Path

from omegaconf import DictConfig

from rave_lite.acids_rave import convert, read
from rave_lite.acids_rave.describe import assumptions, describe
from rave_lite.data import Windows, catalogue
from rave_lite.errors import InputError
from rave_lite.evaluation.latents import measure
from rave_lite.files import replacing
from rave_lite.layers import ALIGNMENTS
from rave_lite.model import RAVE


def import_(config: DictConfig) -> RAVE:
    """Converts the run, writes the checkpoint, reads it back and prints its properties. Returns the model."""
    path, out = Path(config.run).expanduser(), Path(config.out).expanduser()
    if config.realign not in (None, *ALIGNMENTS[:2]):
        raise InputError(f"{config.realign!r}; it may be {' or '.join(ALIGNMENTS[:2])}", where="realign")
    run = read(path, ema=config.ema)
    if out.exists() and out.samefile(run.path):
        raise InputError(f"{out} is the run's own file; choose another", where="out")
    checkpoint = convert(run, name=config.name or out.stem, realign=config.realign, live=config.live)
    if config.data.root:  # the release stores the latent's directions in part or not at all
        model = RAVE.from_checkpoint(checkpoint)
        clips = catalogue(config.data.root, model.sample_rate, cache=config.data.cache).train
        measure(model, Windows(clips, length=64 * model.hop, sample_rate=model.sample_rate))
        checkpoint.state_dict |= {f"model.principal.{k}": v for k, v in model.principal.state_dict().items()}
    with replacing(out) as aside:
        checkpoint.save(aside)
    model = RAVE.from_checkpoint(out)
    print(f"{out}: from {run.path}{', averaged weights' if run.averaged else ''}")
    for key, value in describe(checkpoint, model).items():
        print(f"  {key:16} {value}")
    if assumed := assumptions(run, checkpoint):
        print(f"warning: {assumed}", file=sys.stderr)
    return model
