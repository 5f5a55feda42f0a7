"""Small runs and training modules, and what they log."""

import csv
import os
import signal
from pathlib import Path

import torch

from rave_lite.cli.build import build
from rave_lite.jobs.train import train
from rave_lite.training.callbacks import ProgressLine
from rave_lite.training.module import RAVETraining
from tests.conftest import configured

SMALL = ["model=tiny", "model.capacity=4", "discriminator.capacity=2"]


def run(out: Path, *overrides: str) -> None:
    """Trains, without the table of recordings and the estimate of time and memory."""
    train(configured("train", f"out={out}", *overrides), brief=True)


def losses(out: Path) -> dict[int, dict[str, str]]:
    """Logged losses by step; a resumed run's lines follow the first part's."""
    rows: dict[int, dict[str, str]] = {}
    files = sorted((out / "logs/csv").glob("*/metrics.csv"))
    for row in (row for file in files for row in csv.DictReader(file.open())):
        metrics = {k: v for k, v in row.items() if v and k.startswith(("loss/", "held_out/", "train/", "gap"))}
        rows.setdefault(int(row["step"]), {}).update(metrics)
    return rows


def stop_at(step: int, monkeypatch) -> None:
    """Ask for an end as Ctrl-C does, in the middle of `step`."""
    inner = ProgressLine.on_train_batch_end

    def spy(self, trainer, pl_module, *arguments):
        if pl_module.step == step:
            os.kill(os.getpid(), signal.SIGINT)
        inner(self, trainer, pl_module, *arguments)

    monkeypatch.setattr(ProgressLine, "on_train_batch_end", spy)


def training(*overrides: str) -> RAVETraining:
    """A small training module, ten steps in each phase; `discriminator=KIND` sets the size of other discriminators, too."""
    torch.manual_seed(0)
    sizes = SMALL[: -1 if any(o.startswith("discriminator=") for o in overrides) else None]
    return build(configured("train", *sizes, "phase1.steps=10", "phase2.steps=10", *overrides))


def audio(batch: int = 2, length: int = 8192) -> torch.Tensor:
    """Noise `(batch, 1, length)`, always the same."""
    return 0.1 * torch.randn(batch, 1, length, generator=torch.Generator().manual_seed(1))


def gradients(module: torch.nn.Module) -> set[bool]:
    """Whether the parameters have gradients: {True}, {False}, or both."""
    return {p.grad is not None for p in module.parameters()}
