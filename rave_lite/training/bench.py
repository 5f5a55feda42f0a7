"""How long a training step takes in each phase, and how much memory."""

import statistics
import time
import warnings
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from rich.table import Table
from torch.utils.data import DataLoader, Dataset

from rave_lite import machine
from rave_lite.training.module import RAVETraining


@dataclass
class Phase:
    """One phase. `seconds`: mean of a step (in phase 2 some are the discriminator's); `median`: s; `memory`: peak, MiB."""

    phase: int
    seconds: float
    median: float
    samples_per_second: float
    memory: float
    steps: int


class Noise(Dataset):
    """Windows `(1, length)` of quiet noise."""

    def __init__(self, length: int, count: int):
        self.length, self.count = length, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        return 0.1 * torch.randn(1, self.length)


class Clock(Callback):
    """Times every step, waiting for the device at both ends; the peak memory of each phase."""

    def __init__(self) -> None:
        self.taken: dict[int, list[float]] = {1: [], 2: []}
        self.memory = {1: 0.0, 2: 0.0}

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        self.phase = pl_module.phase
        if not self.taken[self.phase] and pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        self.start = now(pl_module.device)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        self.taken[self.phase].append(now(pl_module.device) - self.start)
        self.memory[self.phase] = peak_memory(pl_module.device)


def bench(module: RAVETraining, *, window: int, batch_size: int, steps: int, warm_up: int,
          trainer: dict[str, Any]) -> list[Phase]:
    """`steps` timed steps of each phase after `warm_up` ones, on noise; `trainer`: arguments of Lightning's."""
    module.phase1_steps, module.total_steps = steps + warm_up, 2 * (steps + warm_up)
    clock = Clock()
    warnings.filterwarnings("ignore", ".*no `val_dataloader`.*")
    options = {k: v for k, v in trainer.items() if k in ("accelerator", "devices", "precision")}
    L.Trainer(**options, max_epochs=1, callbacks=[clock], logger=False, enable_checkpointing=False,
              enable_progress_bar=False, enable_model_summary=False).fit(
        module, DataLoader(Noise(window, module.total_steps * batch_size), batch_size))
    found = []
    for phase, taken in clock.taken.items():
        mean = statistics.mean(taken[warm_up:])
        found.append(Phase(phase, mean, statistics.median(taken[warm_up:]), batch_size * window / mean,
                           clock.memory[phase], steps))
    return found


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def peak_memory(device: torch.device) -> float:
    """MiB: allocated on the GPU since the phase began, or of this process so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return machine.peak_memory()


def table(phases: list[Phase]) -> Table:
    made = Table(title="training steps", title_justify="left")
    for column in ("phase", "s/step", "median", "steps/s", "samples/s", "peak MiB"):
        made.add_column(column, justify="right")
    for p in phases:
        made.add_row(str(p.phase), f"{p.seconds:.3f}", f"{p.median:.3f}", f"{1 / p.seconds:.2f}",
                     f"{p.samples_per_second:,.0f}", f"{p.memory:,.0f}")
    return made
