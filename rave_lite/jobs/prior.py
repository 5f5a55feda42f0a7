"""Trains a prior over the latents of a model."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich import print as show

from rave_lite.data import Catalogue, catalogue, search_and_cut
from rave_lite.errors import InputError
from rave_lite.evaluation import vital_signs
from rave_lite.evaluation.recordings import IMPORTED, are_at, known
from rave_lite.model import RAVE, Checkpoint, read_checkpoint
from rave_lite.prior.file import save
from rave_lite.prior.fit import Figures, fit
from rave_lite.prior.pretrain import MAX_STROKES, built_in_rhythms
from rave_lite.prior.sequences import sequences
from rave_lite.progress import Progress
from rave_lite.runs import checkpoint_file, run_folder


def prior(config: DictConfig) -> Figures:
    """Trains the prior on the run's recordings, or those of data.root; writes it and returns its figures."""
    path = checkpoint_file(config.ckpt)
    checkpoint = read_checkpoint(path)
    model = RAVE.from_checkpoint(checkpoint)
    out = Path(config.out).expanduser() if config.out else run_folder(path) / "prior.ckpt"
    for warning in vital_signs.warnings(model):
        print(f"warning: {warning}")
    recordings = recordings_to_learn(checkpoint, config.data, config.seed)
    train, held_out = (sequences(model, search_and_cut(clips, model.sample_rate))
                       for clips in (recordings.train, recordings.held_out))
    strokes = sum(row.strokes for row in train)
    print(f"{recordings.root}: {len(train)} recordings to learn from, {sum(row.counted for row in train)} frames with "
          f"{strokes} strokes; {len(held_out)} held out", flush=True)
    options = {key: config[key] for key in ("directions", "hidden", "layers", "components", "dropout", "steps", "seed")}
    pretrained = None
    if config.pretrain is True or (config.pretrain == "auto" and strokes < MAX_STROKES):
        print("first it learns rhythms of the built-in drums", flush=True)
        with Progress("pretraining", config.steps, config.steps) as progress:
            pretrained, _ = fit(model, *built_in_rhythms(model), **options, advance=lambda: progress.advance(1, 1))
    with Progress("prior", config.steps, config.steps) as progress:
        fitted, figures = fit(model, train, held_out, **options, pretrained=pretrained,
                              advance=lambda: progress.advance(1, 1))
    save(out, fitted, figures, model, checkpoint.settings["name"])
    show(figures.table())
    for warning in figures.warnings():
        print(f"warning: {warning}")
    print(f"{out}: hear it with rave-lite generate ckpt={config.ckpt} prior={out}")
    return figures


def recordings_to_learn(checkpoint: Checkpoint, data: DictConfig, seed: int) -> Catalogue:
    """The recordings of the checkpoint's run, split as it was; or those at data.root, unless they are the run's."""
    run, rate = checkpoint.settings, checkpoint.sample_rate
    cache = data.cache or run["data"]["cache"]
    channels = checkpoint.architecture["channels"]
    own = known(run, rate, root=data.root, cache=cache, channels=channels)
    if own is not None and are_at(data.root, own):
        return own
    if not data.root:
        raise InputError(IMPORTED, where=run["name"])
    held_out: Any = OmegaConf.to_object(data.held_out) if OmegaConf.is_list(data.held_out) else data.held_out
    return catalogue(data.root, rate, held_out=held_out, seed=seed, cache=cache, channels=channels)
