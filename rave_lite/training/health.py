"""Early warnings of a failing run: a loss not finite, a dead model, discriminators that win, idle latents."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from rave_lite.errors import InputError, TrainingError
from rave_lite.evaluation.vital_signs import ADVICE
from rave_lite.model import read_checkpoint
from rave_lite.training.life import Life

MAX_NAMED = 12  # files or dimensions in a message
MAX_LOOKS = 20  # before a model counts as dead: each costs a part of a step


class HealthMonitor(Callback):
    """Checks a run every `log_every_n_steps` steps and at every checkpoint; ends a broken one, warns once of other trouble.

    Discriminators win when their loss, as a share of its value at chance, stays below `won` for `patience` checks. A
    latent dimension is idle when its standard deviation over training audio stays below `idle` for three checkpoints
    (after Burda et al., Importance Weighted Autoencoders, 2016, section 5.2). `folder`: of the checkpoints.

    The model is dead when all checks within `dead_after` steps find trouble (see `Life`); a healthy one may be in trouble
    for some tens of steps. `dead`: "stop" then ends the run, and `Checkpoints` saves no state that looks dead; "warn" warns
    once and saves everything; "off" does not check.
    """

    def __init__(self, folder: str | Path, won: float = 0.05, patience: int = 20, idle: float = 0.1, dead: str = "stop",
                 dead_after: int = 500):
        if dead not in ("stop", "warn", "off"):
            raise InputError(f"{dead!r} is none of stop, warn, off", where="callbacks.alarms.dead")
        self.last_checkpoint = Path(folder) / "last.ckpt"
        self.dead, self.dead_after = dead, dead_after
        self.life: Life | None = None
        self.won, self.patience, self.idle = won, patience, idle
        self.discriminator_losses: list[Tensor] = []
        self.looks_won = 0
        self.idle_sets: list[set[int]] = []  # idle dimensions at the last three checkpoints
        self.warned: set[str] = set()

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.life = (None if self.dead == "off" else
                     Life(trainer.datamodule.training_pieces, pl_module))  # type: ignore[attr-defined]

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, *_: Any) -> None:
        if "discriminator" in outputs:
            self.discriminator_losses.append(outputs["discriminator"] / (2 * pl_module.discriminator.count))  # 1 by chance
        if pl_module.step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            refuse_broken(trainer, pl_module, self.last_checkpoint)
            self._look(trainer, pl_module)
            if self.discriminator_losses:
                loss = float(torch.stack(self.discriminator_losses).mean())
                self.discriminator_losses = []
                self.looks_won = self.looks_won + 1 if loss < self.won else 0
                if self.looks_won >= self.patience:
                    self._warn(trainer, "won", f"step {pl_module.step}: the discriminators win outright (loss "
                               f"{loss:.3f}, 1 by chance): the generator learns little from them. Lower "
                               f"training.discriminator_lr, or raise training.discriminator_every")

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        refuse_broken(trainer, pl_module, self.last_checkpoint)
        self._look(trainer, pl_module)

    def _look(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Raise TrainingError, or warn once, when the model has been dead for long enough."""
        if self.life is None or pl_module.step - self.life.step < self.dead_after / MAX_LOOKS:
            return
        self.life.look(pl_module)
        for_steps = pl_module.step - self.life.alive
        if self.life.trouble is None or for_steps < self.dead_after:
            return
        finding = f"step {pl_module.step}: the model is dead, for {for_steps} steps: it {self.life.trouble}"
        if self.dead == "warn":
            self._warn(trainer, "dead", f"{finding}. {ADVICE}")
            return
        message = [f"{finding}; the run ends"]
        if self.last_checkpoint.exists():
            step = read_checkpoint(self.last_checkpoint).step
            quality = "good" if step <= self.life.alive else "saved"
            message += [f"the last {quality} state is {self.last_checkpoint}, step {step}"]
        raise TrainingError("\n  ".join([*message, ADVICE, "to go on all the same: callbacks.alarms.dead=warn"]))

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        spread = pl_module.best_model.principal.spread()[pl_module.model.image_size :]
        idle_now = set((spread < self.idle).nonzero().flatten().tolist())
        self.idle_sets = [*self.idle_sets[-2:], idle_now]
        idle = sorted(set.intersection(*self.idle_sets)) if len(self.idle_sets) == 3 else []
        if len(idle) > (pl_module.model.latent.size - 1 if pl_module.model.latent.may_idle else 0):
            names = ", ".join(map(str, idle[:MAX_NAMED]))
            self._warn(trainer, f"idle {idle}", f"step {pl_module.step}: {len(idle)} of {pl_module.model.latent.size} "
                       f"latent dimensions are idle ({names}): nothing in training so far moves them. Fewer would do "
                       f"(latent.size), or a lower loss.weights.penalty")

    def _warn(self, trainer: L.Trainer, kind: str, message: str) -> None:
        if kind not in self.warned:
            self.warned.add(kind)
            say(trainer, f"warning: {message}")


def looks_dead(trainer: L.Trainer, pl_module: Any) -> str | None:
    """Why the current state should not be saved, or None."""
    for alarms in (c for c in trainer.callbacks if isinstance(c, HealthMonitor)):  # type: ignore[attr-defined]
        if alarms.life is not None and alarms.dead == "stop":
            alarms.life.look(pl_module)
            return alarms.life.lost
    return None


def refuse_broken(trainer: L.Trainer, pl_module: Any, last: Path) -> None:
    """Raise TrainingError, naming the step, its files and the last good state, when a loss or weight is not finite."""
    step = int(pl_module.first_nonfinite_step)
    if step < 0 and torch.stack([p.isfinite().all() for p in pl_module.parameters()]).all():
        return
    step = pl_module.step - 1 if step < 0 else step
    files = [list_files(trainer.datamodule.sources(s)) for s in (step, step - 1) if s >= 0]  # type: ignore[attr-defined]
    message = [f"step {step}: the loss is not finite, and the run ends. Files in its batch: {files[0]}"]
    message += [f"at the step before: {files[1]}"] if step else []
    message += [f"the last good state is {last}, step {read_checkpoint(last).step}"] if last.exists() else []
    message += [f"listen to these files; if they are sound, {'go on with resume=last,' if last.exists() else 'start again'} "
                f"with a lower training.lr"]
    raise TrainingError("\n  ".join(message))


def list_files(files: list[str]) -> str:
    return ", ".join(files[:MAX_NAMED]) + (f" and {len(files) - MAX_NAMED} more" if len(files) > MAX_NAMED else "")


def say(trainer: L.Trainer, message: str) -> None:
    """Print, in the first of several processes only."""
    if trainer.is_global_zero:
        print(message, flush=True)
