"""Lets a model play by itself: sound files and a page."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from rich import print as show

from rave_lite.data import audio, outputs, search_and_cut
from rave_lite.errors import InputError
from rave_lite.evaluation.reconstruct import Reconstruction, to_model_channels
from rave_lite.evaluation.recordings import known
from rave_lite.layers import stream
from rave_lite.model import RAVE, Checkpoint, read_checkpoint
from rave_lite.pages import generated as page
from rave_lite.prior.file import load
from rave_lite.prior.generate import Performance
from rave_lite.prior.generate import generate as play
from rave_lite.prior.judge import embedded_strokes, memorised, rhythm
from rave_lite.prior.sequences import Sequence, sequence
from rave_lite.runs import checkpoint_file, run_folder
from rave_lite.tables import make_table

MOST = 64  # clips of each side that takes are compared with


def generate(config: DictConfig) -> list[Path]:
    """Writes the takes as wav, and index.html, to `out`; prints their figures. Returns the paths of the wav files."""
    path = checkpoint_file(config.ckpt)
    checkpoint = read_checkpoint(path)
    model = RAVE.from_checkpoint(checkpoint)
    prior, _ = load(config.prior or run_folder(path), model)
    opening, groove = (recording(model, config[key], key) for key in ("continue", "groove"))
    out, name = Path(config.out).expanduser(), checkpoint.settings["name"]
    performance = Performance(config.seconds, config.temperature, config.density, config.seed, opening, groove, config.tempo)
    sounds = {f"take_{seed}": play(model, prior, replace(performance, seed=seed))
              for seed in range(config.seed, config.seed + config.takes)}
    for take, sound in sounds.items():
        outputs.save(out / f"{take}.wav", sound, model.sample_rate)
    near = nearness(model, checkpoint, config.data)
    figures = {}
    for take, sound in sounds.items():
        figures[take] = {"strokes_per_s": rhythm([audio.mix(sound)], model.sample_rate)[0]}
        if near:
            figures[take]["memorised"] = memorised(embedded_strokes([audio.mix(sound)], model.sample_rate), *near)
    columns = list(figures[next(iter(sounds))])
    rows = [(take, *(f"{value:.2f}" for value in row.values())) for take, row in figures.items()]
    show(make_table(("take", *columns), rows))
    how = f"Temperature {config.temperature:g}, density {config.density:g}, tempo {config.tempo:g}" + "".join(
        f", {words} {Path(config[key]).name}" for key, words in (("continue", "going on from"), ("groove", "driven by"))
        if config[key]) + "."
    page.write(out / "index.html", name, how, sounds, figures, model.sample_rate)
    print(f"{out / 'index.html'}: open it in a browser; the wav files are beside it")
    return [out / f"{take}.wav" for take in sounds]


def recording(model: RAVE, path: str | None, key: str) -> Sequence | None:
    """Latents and strokes of a recording, None for None. Raises InputError if it has no strokes although it is a groove."""
    if path is None:
        return None
    sound = audio.load(Path(path).expanduser(), model.sample_rate)
    sound = sound.mean(0) if model.channels == 1 else to_model_channels(model, sound)
    row = sequence(model, stream(model), sound, Path(path).name)
    if key == "groove" and not row.strokes:
        raise InputError(f"{path} has no strokes to follow; say another", where=key)
    return row


def nearness(model: RAVE, checkpoint: Checkpoint, data: DictConfig) -> tuple[np.ndarray, np.ndarray] | None:
    """The strokes of reconstructed held-out recordings and of training recordings, embedded; None if they are not known."""
    run, rate = checkpoint.settings, model.sample_rate
    own = known(run, rate, root=data.root, cache=data.cache or run["data"]["cache"], channels=model.channels)
    if own is None:
        return None
    reconstruct = Reconstruction(model)
    held_out, training = ([clip.sound() for clip in search_and_cut(side, rate)[:MOST]] for side in (own.held_out, own.train))
    outputs = [reconstruct(np.atleast_2d(sound)).mean(0) for sound in held_out]
    points = embedded_strokes(outputs, rate), embedded_strokes([*map(audio.mix, training)], rate)
    return points if all(map(len, points)) else None
