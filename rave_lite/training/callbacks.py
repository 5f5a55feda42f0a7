"""Callbacks of the training loop: checkpoints, early ends of phases, a clean stop, the progress line."""

import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from rave_lite.errors import InputError
from rave_lite.evaluation.latents import measure
from rave_lite.evaluation.vital_signs import ADVICE
from rave_lite.files import replacing
from rave_lite.training.health import looks_dead, refuse_broken, say
from rave_lite.training.module import DISTANCES


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints atomically: a full disk or a kill leaves the previous one as it was."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        with replacing(Path(path)) as temporary:
            torch.save(checkpoint, temporary)


class Checkpoints(Callback):
    """Saves `last.ckpt` every `every` steps and at the end, `phase1.ckpt` at the boundary, `best.ckpt` by held-out
    distance, and `step-N.ckpt` every `keep` steps, for good.

    Before each save the principal directions of the latent are fitted to `principal_seconds` s of training windows,
    without augmentation. A state that is not finite is never saved. Nor is one in which the model looks dead, except as
    `last.ckpt` at the end of a run that has none: so a stopped run can always be resumed.
    """

    def __init__(self, folder: str | Path, every: int, principal_seconds: float = 30.0, keep: int | None = None):
        self.folder, self.every, self.principal_seconds, self.keep = Path(folder), every, principal_seconds, keep
        self.best = math.inf

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def on_fit_start(self, trainer: L.Trainer, *_: Any) -> None:
        for partial in self.folder.glob(".*.ckpt.*") if trainer.is_global_zero else []:  # left by a kill
            partial.unlink(missing_ok=True)
        self.has_last = (self.folder / "last.ckpt").exists()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        if pl_module.step == pl_module.phase1_steps:
            self._save(trainer, pl_module, "phase1.ckpt")
        if pl_module.step % trainer.val_check_batch:  # else saved after the validation, with its result
            self._save_due(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        distance = float(trainer.callback_metrics["held_out/distance"])
        if distance < self.best and not looks_dead(trainer, pl_module):
            self.best = distance
            self._save(trainer, pl_module, "best.ckpt")
        if pl_module.step == pl_module.phase1_ended:
            self._save(trainer, pl_module, "phase1.ckpt")
        self._save_due(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._save(trainer, pl_module, "last.ckpt", even_if_dead=not self.has_last)

    def _save_due(self, trainer: L.Trainer, pl_module: Any) -> None:
        if self.keep and pl_module.step % self.keep == 0:
            self._save(trainer, pl_module, f"step-{pl_module.step:07d}.ckpt")
        if pl_module.step % self.every == 0 and not trainer.should_stop:
            self._save(trainer, pl_module, "last.ckpt")

    def _save(self, trainer: L.Trainer, pl_module: Any, name: str, even_if_dead: bool = False) -> None:
        refuse_broken(trainer, pl_module, self.folder / "last.ckpt")
        if trouble := looks_dead(trainer, pl_module):
            say(trainer, f"warning: step {pl_module.step}: the model looks dead: it {trouble}. {name} is "
                         f"{'written, since there is none' if even_if_dead else 'not written'}. If it stays so: {ADVICE}")
            if not even_if_dead:
                return
        measure(pl_module.best_model, trainer.datamodule.windows, self.principal_seconds)  # type: ignore[attr-defined]
        trainer.save_checkpoint(self.folder / name)
        self.has_last |= name == "last.ckpt"


class Plateau(Callback):
    """Ends a phase early when the held-out distance no longer falls.

    `phase1`, `phase2`: "steps": all planned steps; "plateau": at most these, until `patience` validations in a row have
    not lowered the best distance by the share `least`. The end of phase 2 ends the run.
    """

    def __init__(self, phase1: str, phase2: str, patience: int, least: float = 0.005):
        for name, until in (("phase1", phase1), ("phase2", phase2)):
            if until not in ("steps", "plateau"):
                raise InputError(f"{name}.until: {until!r} is neither steps nor plateau")
        self.until = {1: phase1, 2: phase2}
        self.patience, self.min_improvement = patience, least
        self.state: dict[str, Any] = {"phase": 1, "best": math.inf, "stale": 0}

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.state = state_dict

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if pl_module.step % trainer.val_check_batch:  # an extra validation, because the run is being stopped
            return
        distance, state = float(trainer.callback_metrics["held_out/distance"]), self.state
        if state["phase"] != pl_module.phase:
            state |= {"phase": pl_module.phase, "best": math.inf, "stale": 0}
        better = distance < (1 - self.min_improvement) * state["best"]
        state |= {"best": distance, "stale": 0} if better else {"stale": state["stale"] + 1}
        if self.until[pl_module.phase] == "plateau" and state["stale"] >= self.patience:
            self._end(trainer, pl_module)

    def _end(self, trainer: L.Trainer, pl_module: Any) -> None:
        say(trainer, f"step {pl_module.step}: the held-out distance has not fallen below {self.state['best']:.3f} in "
                     f"{self.patience} validations: phase {pl_module.phase} ends")
        if pl_module.phase == 1 and pl_module.phase2_steps:
            pl_module.end_phase1(pl_module.step)
        else:
            trainer.should_stop = True


class StopCleanly(Callback):
    """The first Ctrl-C or SIGTERM ends the run after the step in hand, saved; a second one ends it at once.

    So does a cluster's warning (SIGUSR2, where submitit handles it), which is forwarded to submitit once all is saved.
    """

    def on_fit_start(self, trainer: L.Trainer, *_: Any) -> None:
        self.stop_requested, self.forwarded_signal, self.main_pid = False, 0, os.getpid()
        cluster = [signal.SIGUSR2] if callable(signal.getsignal(signal.SIGUSR2)) else []
        self.previous_handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, *cluster)}
        self._install_handlers(trainer)  # data loading processes inherit the handlers

    def on_train_start(self, trainer: L.Trainer, *_: Any) -> None:
        self._install_handlers(trainer)  # replaces Lightning's SIGTERM handler, which would end the run unsaved

    def _install_handlers(self, trainer: L.Trainer) -> None:
        def stop(number: int, frame: Any) -> None:
            if os.getpid() == self.main_pid:
                say(trainer, "\nstopping after this step and saving; once more to stop at once")
                self.stop_requested, self.forwarded_signal = True, number if number == signal.SIGUSR2 else 0
                trainer.should_stop |= trainer.world_size == 1
                self._restore_handlers()

        for s in self.previous_handlers:
            signal.signal(s, stop)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        if trainer.world_size > 1:  # all processes must stop after the same step, or one would wait for the others
            stop = trainer.should_stop or self.stop_requested
            trainer.should_stop = trainer.strategy.reduce_boolean_decision(stop, all=False)

    def teardown(self, *_: Any, **__: Any) -> None:
        if hasattr(self, "previous_handlers"):
            self._restore_handlers()
            if self.forwarded_signal:
                signal.raise_signal(self.forwarded_signal)

    def _restore_handlers(self) -> None:
        for s, handler in self.previous_handlers.items():
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
        self.live = self.bar.console.is_terminal and trainer.is_global_zero
        if self.live:
            self.task = self.bar.add_task("", total=pl_module.total_steps, completed=self.first, rate=0.0)
            self.bar.start()

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        if pl_module.step == pl_module.phase1_steps:
            say(trainer, f"step {pl_module.step}: phase 2 begins: the encoder is frozen, the discriminators listen")

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        now, step, total = time.monotonic(), pl_module.step, pl_module.total_steps
        rate = (step - self.first) / (now - self.started)
        if self.live:
            self.bar.update(self.task, description=f"phase {pl_module.phase}", completed=step, total=total, rate=rate)
        elif now - self.shown > self.seconds or step == total:
            self.shown, seconds_left = now, round((total - step) / rate)
            values = [float(trainer.callback_metrics[n]) for n in DISTANCES if n in trainer.callback_metrics]
            distances = ", held-out distance {:.3f}, training {:.3f}".format(*values) if values else ""
            say(trainer, f"phase {pl_module.phase}, step {step}/{total}, {rate:.2f} it/s, "
                         f"{seconds_left // 3600}:{seconds_left // 60 % 60:02}:{seconds_left % 60:02} left{distances}")

    def on_train_end(self, *_: Any) -> None:
        if self.live:
            self.bar.stop()

    def on_exception(self, *_: Any) -> None:
        if hasattr(self, "live"):
            self.on_train_end()
