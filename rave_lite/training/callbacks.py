"""What happens around the training loop: checkpoints, a clean stop, the progress line."""

import math
import signal
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from rave_lite.files import replacing


class AtomicCheckpointIO(TorchCheckpointIO):
    """A full disk or a kill leaves the previous checkpoint as it was."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        with replacing(Path(path)) as aside:
            torch.save(checkpoint, aside)


class Checkpoints(Callback):
    """`last.ckpt` every `every` steps and at the end, `phase1.ckpt` at the boundary, `best.ckpt` by held-out distance.

    Before each, the principal directions of the latent are fitted to `heard` seconds of training windows.
    """

    def __init__(self, folder: str | Path, every: int, heard: float = 30.0):
        self.folder, self.every, self.heard = Path(folder), every, heard
        self.best = math.inf

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        step = pl_module.step
        if step == pl_module.phase1_steps:
            self._save(trainer, pl_module, "phase1.ckpt")
        if step % self.every == 0 and not trainer.should_stop:
            self._save(trainer, pl_module, "last.ckpt")

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        distance = float(trainer.callback_metrics["held_out/distance"])
        if distance < self.best:
            self.best = distance
            self._save(trainer, pl_module, "best.ckpt")

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._save(trainer, pl_module, "last.ckpt")

    def _save(self, trainer: L.Trainer, pl_module: Any, name: str) -> None:
        windows, model = trainer.datamodule.windows, pl_module.best_model  # type: ignore[attr-defined]
        count = math.ceil(self.heard * model.sample_rate / windows.length)
        model.fit_principal(torch.stack([windows[i] for i in range(count)]).to(pl_module.device))
        trainer.save_checkpoint(self.folder / name)


class StopCleanly(Callback):
    """The first Ctrl-C (or SIGTERM) ends the run after the step in hand, saved; a second one ends it at once."""

    def on_fit_start(self, trainer: L.Trainer, *_: Any) -> None:
        self.previous = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

        def stop(number: int, frame: Any) -> None:
            print("\nstopping after this step and saving; once more to stop at once", flush=True)
            trainer.should_stop = True
            self._restore()

        for s in self.previous:
            signal.signal(s, stop)

    def teardown(self, *_: Any, **__: Any) -> None:
        self._restore()

    def _restore(self) -> None:
        for s, handler in self.previous.items():
            signal.signal(s, handler)


class ProgressLine(Callback):
    """Phase, step, steps per second and time left: a live bar in a terminal, else a line every `seconds`."""

    def __init__(self, seconds: float = 30.0):
        self.seconds = seconds

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.first = pl_module.step
        self.started = self.shown = time.monotonic()
        self.bar = Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
                            TextColumn("{task.fields[rate]:.2f} it/s"), TimeRemainingColumn())
        self.live = self.bar.console.is_terminal
        if self.live:
            self.task = self.bar.add_task("", total=pl_module.total_steps, completed=self.first, rate=0.0)
            self.bar.start()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        now, step, total = time.monotonic(), pl_module.step, pl_module.total_steps
        rate = (step - self.first) / (now - self.started)
        if step == pl_module.phase1_steps and step < total:
            self.bar.console.print(f"step {step}: phase 2 begins: the encoder is frozen, the discriminators listen")
        if self.live:
            self.bar.update(self.task, description=f"phase {pl_module.phase}", completed=step, rate=rate)
        elif now - self.shown > self.seconds or step == total:
            self.shown, left = now, round((total - step) / rate)
            distance = trainer.callback_metrics.get("held_out/distance")
            held_out = "" if distance is None else f", held-out distance {float(distance):.3f}"
            print(f"phase {pl_module.phase}, step {step}/{total}, {rate:.2f} it/s, "
                  f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left{held_out}", flush=True)

    def on_train_end(self, *_: Any) -> None:
        self.bar.stop()

    def on_exception(self, *_: Any) -> None:
        if hasattr(self, "bar"):
            self.bar.stop()
