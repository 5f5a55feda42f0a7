"""Writes configuration, losses, distances and phases to every logger."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from rave_lite.model import RAVE
from rave_lite.model.discrete import Discrete
from rave_lite.training.loggers import RunLogger
from rave_lite.training.module import DISTANCES


def code_figures(model: RAVE) -> dict[str, float]:
    """Figures of a discrete latent, by name; {} for others."""
    return model.latent.figures(model.sample_rate / model.hop) if isinstance(model.latent, Discrete) else {}


class MetricLogging(Callback):
    """Logs mean losses since the last entry and learning rates; at validations both distances.

    Also the configuration, and marks where the run starts, resumes and changes its phase. `gap`: held-out minus training
    distance. Reads the device once per entry, with `ada` twice.
    """

    def __init__(self) -> None:
        self._clear_sums()

    def _clear_sums(self) -> None:
        self.loss_sums: dict[str, Tensor] = {}
        self.loss_counts: dict[str, int] = {}

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.resumed = pl_module.step or None

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        settings = {key: {k: v for k, v in value.items() if k != "split"} if key == "data" else value
                    for key, value in pl_module.config.items()}  # the checkpoints remember the files, one by one
        for logger in trainer.loggers:
            logger.log_hyperparams(settings)
        self._mark(trainer, pl_module, "the run goes on" if pl_module.step else "the run begins")

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        if pl_module.step == pl_module.phase1_steps:
            self._mark(trainer, pl_module, "phase 2 begins")

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, *_: Any) -> None:
        for name, loss in outputs.items():
            self.loss_sums[name] = self.loss_sums.get(name, 0) + loss
            self.loss_counts[name] = self.loss_counts.get(name, 0) + 1
        if pl_module.step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            values = torch.stack(list(self.loss_sums.values())).tolist()
            means = {f"loss/{name}": v / self.loss_counts[name] for name, v in zip(self.loss_sums, values, strict=True)}
            rates = {"lr/generator": pl_module.generator_lr(), "lr/discriminator": pl_module.discriminator_lr}
            if pl_module.ada is not None:
                rates["ada/p"] = float(pl_module.ada.p)
            rates |= code_figures(pl_module.model)
            self._write(trainer, pl_module, {**means, **rates, "phase": float(pl_module.phase)})
            self._clear_sums()

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        held_out, train = distances = [float(trainer.callback_metrics[name]) for name in DISTANCES]
        self._write(trainer, pl_module, dict(zip(DISTANCES, distances, strict=True)) | {"gap": held_out - train})

    def _mark(self, trainer: L.Trainer, pl_module: Any, what: str) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.mark(what, pl_module.step)
        self._write(trainer, pl_module, {"phase": float(pl_module.phase)})

    def _write(self, trainer: L.Trainer, pl_module: Any, entry: dict[str, float]) -> None:
        for logger in trainer.loggers:
            logger.log_metrics(entry, pl_module.step)
            logger.save()
