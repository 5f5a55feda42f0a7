"""Held-out reconstructions in every logger: the same sounds, pictures and names."""

import os
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import requests
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from matplotlib.figure import Figure

from rave_lite.data import Pieces, audio
from rave_lite.evaluation import pictures
from rave_lite.evaluation.metrics import figures
from rave_lite.evaluation.reconstruct import reconstruct

PAUSE = 0.25  # s between original and reconstruction


class Listen(Callback):
    """At each validation: the first `count` held-out pieces, original then reconstruction, figures and spectrograms."""

    def __init__(self, held_out: Pieces, count: int = 4):
        self.pieces = [held_out[i] for i in range(min(count, len(held_out)))]

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        model = pl_module.best_model
        was_training, rate = model.training, model.sample_rate
        model.eval()
        originals = [x.numpy() for x, _ in self.pieces]
        made = [reconstruct(model, x) for x in originals]
        model.train(was_training)
        sounds = {f"{i}_{Path(name).stem}": np.concatenate([x[0], np.zeros(round(PAUSE * rate), np.float32), y[0]])
                  for i, ((_, name), x, y) in enumerate(zip(self.pieces, originals, made, strict=True))}
        picture = pictures.spectrograms({"original": [x[0] for x in originals], "model": [y[0] for y in made]},
                                        [Path(name).stem for _, name in self.pieces], rate)
        scores = [figures(x[0], y[0], rate) for x, y in zip(originals, made, strict=True)]
        means = {f"held_out/{k}": float(np.mean([s[k] for s in scores])) for k in scores[0]}
        for logger in trainer.loggers:
            logger.log_metrics(means, pl_module.step)
            show(logger, sounds, picture, rate, pl_module.step)


def show(logger: Any, sounds: dict[str, np.ndarray], picture: Figure, sample_rate: int, step: int) -> None:
    """Hand sounds and the picture to a logger; beside a CSV they become files."""
    if isinstance(logger, TensorBoardLogger):
        for name, sound in sounds.items():
            logger.experiment.add_audio(f"held_out/{name}", sound[None], step, sample_rate)
        logger.experiment.add_figure("held_out/spectrograms", picture, step, close=False)
    elif isinstance(logger, WandbLogger):
        import wandb

        audios = {f"held_out/{name}": wandb.Audio(sound, sample_rate) for name, sound in sounds.items()}
        logger.experiment.log({**audios, "held_out/spectrograms": wandb.Image(picture), "trainer/global_step": step})
    elif isinstance(logger, CSVLogger):
        folder = Path(logger.log_dir) / "listening" / f"step_{step:07}"
        for name, sound in sounds.items():
            audio.save(folder / f"{name}.wav", sound, sample_rate)
        pictures.save(picture, folder / "spectrograms.png")


def wandb_logger(project: str, name: str, save_dir: str) -> WandbLogger:
    """Weights & Biases; offline, and never asking, unless this machine is logged in to an account."""
    logged_in = os.environ.get("WANDB_API_KEY") or requests.utils.get_netrc_auth("https://api.wandb.ai")
    return WandbLogger(project=project, name=name, save_dir=save_dir, offline=not logged_in)
