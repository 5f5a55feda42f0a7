"""Configuration, losses, distances and phases in every logger."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from rave_lite.training.loggers import RunLogger
from rave_lite.training.module import DISTANCES


class MetricLogging(Callback):
    """Losses and rates in every logger, each the mean since the entry before; at validations both distances.

    Before them the configuration, and marks of where the run starts, goes on and changes its phase. `gap`: held-out minus
    training distance. Reads the device once per entry, with `ada` twice.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        for logger in trainer.loggers:
            logger.log_hyperparams(pl_module.config)
        self._mark(trainer, pl_module, "the run goes on" if pl_module.step else "the run begins")

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        if pl_module.step == pl_module.phase1_steps:
            self._mark(trainer, pl_module, "phase 2 begins")

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, *_: Any) -> None:
        for name, loss in outputs.items():
            self.sums[name] = self.sums.get(name, 0) + loss
            self.counts[name] = self.counts.get(name, 0) + 1
        if pl_module.step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            values = torch.stack(list(self.sums.values())).tolist()
            means = {f"loss/{name}": v / self.counts[name] for name, v in zip(self.sums, values, strict=True)}
            rates = {"lr/generator": pl_module.generator_lr(), "lr/discriminator": pl_module.discriminator_lr}
            if pl_module.ada is not None:
                rates["ada/p"] = float(pl_module.ada.p)
            self._write(trainer, pl_module, {**means, **rates, "phase": float(pl_module.phase)})
            self._begin()

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        held_out, heard = distances = [float(trainer.callback_metrics[name]) for name in DISTANCES]
        self._write(trainer, pl_module, dict(zip(DISTANCES, distances, strict=True)) | {"gap": held_out - heard})

    def _mark(self, trainer: L.Trainer, pl_module: Any, what: str) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.mark(what, pl_module.step)
        self._write(trainer, pl_module, {"phase": float(pl_module.phase)})

    def _write(self, trainer: L.Trainer, pl_module: Any, entry: dict[str, float]) -> None:
        for logger in trainer.loggers:
            logger.log_metrics(entry, pl_module.step)
            logger.save()
