"""Held-out reconstructions in every logger: the same sounds, pictures and names."""

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from matplotlib.figure import Figure

from rave_lite.data import subsample
from rave_lite.evaluation import pictures
from rave_lite.evaluation.memorisation import known, memorisation, played
from rave_lite.evaluation.metrics import figures
from rave_lite.evaluation.reconstruct import Reconstruction
from rave_lite.files import short_name
from rave_lite.training.loggers import RunLogger


class Listen(Callback):
    """Every `every` steps, and at the first and last: the first `count` held-out pieces, their first `seconds`.

    Reconstructions as `held_out/N_NAME`, figures of each, averaged, and spectrograms; when the run starts or goes on, the
    originals as `original/N_NAME`. The level is the model's own; peaks above full scale are clipped. None: no steps between.
    `memorised`, by as many as `judged` held-out pieces and training pieces, and 5 min of hits at most; 0: not asked.
    """

    def __init__(self, every: int | None, count: int = 4, seconds: float = 5.0, judged: int = 16):
        self.every, self.count, self.seconds, self.judged = every, count, seconds, judged

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        pieces, rate = trainer.datamodule.held_out, pl_module.best_model.sample_rate  # type: ignore[attr-defined]
        chosen = [pieces[i] for i in range(min(self.count, len(pieces)))]
        self.names = [f"{i}_{short_name(Path(name).stem)}" for i, (_, name) in enumerate(chosen)]
        self.originals = [x[:, : round(self.seconds * rate)].numpy() for x, _ in chosen]
        self.listened = -1
        if trainer.is_global_zero and self.judged:
            self.known = known(subsample(trainer.datamodule.windows.clips, rate, 0, 5.0), rate)  # type: ignore[attr-defined]
        if trainer.is_global_zero:
            self._show(trainer, "original", self.originals, None, rate, pl_module.step)
        if pl_module.step == 0:
            self._listen(trainer, pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        if self.every and pl_module.step % self.every == 0:
            self._listen(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._listen(trainer, pl_module)

    def _listen(self, trainer: L.Trainer, pl_module: Any) -> None:
        step, model = pl_module.step, pl_module.best_model
        if not trainer.is_global_zero or step == self.listened:
            return
        self.listened, was_training, rate = step, model.training, model.sample_rate
        model.eval()
        play = Reconstruction(model)
        model.train(was_training)
        made = [play(x) for x in self.originals]
        data = trainer.datamodule  # type: ignore[attr-defined]
        held_out, heard = ([(clip, play(clip.read()[None])[0]) for clip in pieces.clips[: self.judged]]
                           for pieces in (data.held_out, data.heard))
        if not all(np.isfinite(y).all() for y in (*made, *(y for _, y in held_out + heard))):
            return  # a broken run, which HealthMonitor ends
        picture = pictures.spectrograms({"original": [x[0] for x in self.originals], "model": [y[0] for y in made]},
                                        [name.partition("_")[2] for name in self.names], rate)
        scores = [figures(x[0], y[0], rate) for x, y in zip(self.originals, made, strict=True)]
        means = {f"held_out/{k}": float(np.mean([s[k] for s in scores])) for k in scores[0]}
        if self.judged:
            of_held_out, of_heard = ([played(clip, y, rate) for clip, y in group] for group in (held_out, heard))
            found = memorisation(of_held_out, of_heard, self.known)
            means |= {"memorised": found["memorised"]} if "memorised" in found else {}
        for logger in trainer.loggers:
            logger.log_metrics(means, step)
        self._show(trainer, "held_out", made, picture, rate, step)

    def _show(self, trainer: L.Trainer, kind: str, sounds: list[np.ndarray], picture: Figure | None, rate: int,
              step: int) -> None:
        named = {f"{kind}/{name}": np.clip(x[0], -1, 1) for name, x in zip(self.names, sounds, strict=True)}
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.listen(named, picture, rate, step)
            logger.save()
