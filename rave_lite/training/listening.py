"""Writes held-out reconstructions to every logger, with the same sounds, pictures and names."""

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from matplotlib.figure import Figure

from rave_lite.data import audio, subsample
from rave_lite.evaluation import pictures
from rave_lite.evaluation.figures import figures
from rave_lite.evaluation.memorisation import known, memorisation, played
from rave_lite.evaluation.reconstruct import Reconstruction
from rave_lite.files import short_name
from rave_lite.training.loggers import RunLogger


class Listen(Callback):
    """Logs reconstructions of the first `count` held-out pieces, their first `seconds`, every `every` steps.

    Also at the first and last step; `every` None: only then. Reconstructions as `held_out/N_NAME`, mean figures, and
    spectrograms; when the run starts or resumes, the originals as `original/N_NAME`. Levels are not changed; peaks above
    full scale are clipped. `memorised` is measured on up to `judged` held-out and training pieces each and 5 min of
    training hits; `judged` 0: not measured.
    """

    def __init__(self, every: int | None, count: int = 4, seconds: float = 5.0, judged: int = 16):
        self.every, self.count, self.seconds, self.judged = every, count, seconds, judged

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        pieces, rate = trainer.datamodule.held_out, pl_module.best_model.sample_rate  # type: ignore[attr-defined]
        examples = [pieces[i] for i in range(min(self.count, len(pieces)))]
        self.names = [f"{i}_{short_name(Path(name).stem)}" for i, (_, name) in enumerate(examples)]
        self.originals = [x[:, : round(self.seconds * rate)].squeeze(0).numpy() for x, _ in examples]
        self.last_step = -1
        if trainer.is_global_zero and self.judged:
            self.known_hits = known(subsample(trainer.datamodule.windows.clips, rate, 0, 5.0), rate)  # type: ignore[attr-defined]
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
        if not trainer.is_global_zero or step == self.last_step:
            return
        self.last_step, was_training, rate = step, model.training, model.sample_rate
        model.eval()
        reconstruct = Reconstruction(model)
        model.train(was_training)
        play = lambda x: reconstruct(np.atleast_2d(x)).reshape(x.shape)
        outputs = [play(x) for x in self.originals]
        data = trainer.datamodule  # type: ignore[attr-defined]
        held_out, training = ([(clip, audio.mix(play(clip.sound()))) for clip in pieces.clips[: self.judged]]
                              for pieces in (data.held_out, data.training_pieces))
        if not all(np.isfinite(y).all() for y in (*outputs, *(y for _, y in held_out + training))):
            return  # a broken run, which HealthMonitor ends
        rows = {"original": [*map(audio.mix, self.originals)], "model": [*map(audio.mix, outputs)]}
        picture = pictures.spectrograms(rows, [name.partition("_")[2] for name in self.names], rate)
        scores = [figures(x, y, rate) for x, y in zip(self.originals, outputs, strict=True)]
        means = {f"held_out/{k}": float(np.mean([s[k] for s in scores])) for k in scores[0]}
        if self.judged:
            held_out_hits, training_hits = ([played(clip, y, rate) for clip, y in group] for group in (held_out, training))
            result = memorisation(held_out_hits, training_hits, self.known_hits)
            means |= {"memorised": result["memorised"]} if "memorised" in result else {}
        for logger in trainer.loggers:
            logger.log_metrics(means, step)
        self._show(trainer, "held_out", outputs, picture, rate, step)

    def _show(self, trainer: L.Trainer, kind: str, sounds: list[np.ndarray], picture: Figure | None, rate: int,
              step: int) -> None:
        by_name = {f"{kind}/{name}": np.clip(x, -1, 1) for name, x in zip(self.names, sounds, strict=True)}
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.listen(by_name, picture, rate, step)
            logger.save()
