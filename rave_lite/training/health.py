"""What tells in time that a run goes wrong: a loss not finite, a dead model, discriminators that win, idle latents."""

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

SHOWN = 12  # files named in a message
LOOKS = 20  # at most, before a model counts as dead: each costs a part of a step


class HealthMonitor(Callback):
    """Looks up every `log_every_n_steps` steps and at every checkpoint; ends a broken run, warns once of other trouble.

    Discriminators win when their hinge loss stays below `won` of that of chance for `patience` looks. A latent dimension
    is idle when its standard deviation over training audio stays below `idle` for three checkpoints (after Burda et al.,
    Importance Weighted Autoencoders, 2016, section 5.2). `folder`: of the checkpoints.

    The model is dead when all looks within `dead_after` steps find trouble (see `Life`); a healthy one may be in trouble for
    some tens of steps. `dead`: "stop" ends the run then, and `Checkpoints` saves no state that looks dead; "warn" says it
    once and saves everything; "off" does not look.
    """

    def __init__(self, folder: str | Path, won: float = 0.05, patience: int = 20, idle: float = 0.1, dead: str = "stop",
                 dead_after: int = 500):
        if dead not in ("stop", "warn", "off"):
            raise InputError(f"callbacks.alarms.dead: {dead!r} is none of stop, warn, off")
        self.last = Path(folder) / "last.ckpt"
        self.dead, self.dead_after = dead, dead_after
        self.life: Life | None = None
        self.won, self.patience, self.idle = won, patience, idle
        self.losses: list[Tensor] = []
        self.wins = 0
        self.idlers: list[set[int]] = []  # at the last checkpoints
        self.said: set[str] = set()

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.life = None if self.dead == "off" else Life(trainer.datamodule.heard, pl_module)  # type: ignore[attr-defined]

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, *_: Any) -> None:
        if "discriminator" in outputs:
            self.losses.append(outputs["discriminator"] / (2 * pl_module.discriminator.count))  # 1 by chance
        if pl_module.step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            refuse_broken(trainer, pl_module, self.last)
            self._look(trainer, pl_module)
            if self.losses:
                loss = float(torch.stack(self.losses).mean())
                self.losses = []
                self.wins = self.wins + 1 if loss < self.won else 0
                if self.wins >= self.patience:
                    self._warn(trainer, "won", f"step {pl_module.step}: the discriminators win outright (hinge loss "
                               f"{loss:.3f}, 1 by chance): the generator learns little from them. Lower "
                               f"training.discriminator_lr, or raise training.discriminator_every")

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        refuse_broken(trainer, pl_module, self.last)
        self._look(trainer, pl_module)

    def _look(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Raise TrainingError, or warn once, when the model has been dead for long enough."""
        if self.life is None or pl_module.step - self.life.step < self.dead_after / LOOKS:
            return
        self.life.look(pl_module)
        for_steps = pl_module.step - self.life.alive
        if self.life.trouble is None or for_steps < self.dead_after:
            return
        found = f"step {pl_module.step}: the model is dead, for {for_steps} steps: it {self.life.trouble}"
        if self.dead == "warn":
            self._warn(trainer, "dead", f"{found}. {ADVICE}")
            return
        message = [f"{found}; the run ends"]
        if self.last.exists():
            step = read_checkpoint(self.last)["step"]
            message += [f"the last {'good' if step <= self.life.alive else 'saved'} state is {self.last}, step {step}"]
        raise TrainingError("\n  ".join([*message, ADVICE, "to go on all the same: callbacks.alarms.dead=warn"]))

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        now = set((pl_module.best_model.principal.spread() < self.idle).nonzero().flatten().tolist())
        self.idlers = [*self.idlers[-2:], now]
        idle = sorted(set.intersection(*self.idlers)) if len(self.idlers) == 3 else []
        if len(idle) > (pl_module.model.latent_size - 1 if pl_module.model.latent.may_idle else 0):
            names = ", ".join(map(str, idle[:SHOWN]))
            self._warn(trainer, f"idle {idle}", f"step {pl_module.step}: {len(idle)} of {pl_module.model.latent_size} "
                       f"latent dimensions are idle ({names}): nothing heard so far moves them. Fewer would do "
                       f"(latent.size), or a lower loss.weights.penalty")

    def _warn(self, trainer: L.Trainer, what: str, message: str) -> None:
        if what not in self.said:
            self.said.add(what)
            say(trainer, f"warning: {message}")


def looks_dead(trainer: L.Trainer, pl_module: Any) -> str | None:
    """Why the state as it is now should not be saved, or None."""
    for alarms in (c for c in trainer.callbacks if isinstance(c, HealthMonitor)):  # type: ignore[attr-defined]
        if alarms.life is not None and alarms.dead == "stop":
            alarms.life.look(pl_module)
            return alarms.life.lost
    return None


def refuse_broken(trainer: L.Trainer, pl_module: Any, last: Path) -> None:
    """Raise TrainingError, naming the step, its files and the last good state, when a loss or weight is not finite."""
    step = int(pl_module.broken)
    if step < 0 and torch.stack([p.isfinite().all() for p in pl_module.parameters()]).all():
        return
    step = pl_module.step - 1 if step < 0 else step
    heard = [named(trainer.datamodule.sources(s)) for s in (step, step - 1) if s >= 0]  # type: ignore[attr-defined]
    message = [f"step {step}: the loss is not finite, and the run ends. What was heard: {heard[0]}"]
    message += [f"at the step before: {heard[1]}"] if step else []
    message += [f"the last good state is {last}, step {read_checkpoint(last)['step']}"] if last.exists() else []
    message += [f"listen to these files; if they are sound, {'go on with resume=last,' if last.exists() else 'start again'} "
                f"with a lower training.lr"]
    raise TrainingError("\n  ".join(message))


def named(files: list[str]) -> str:
    return ", ".join(files[:SHOWN]) + (f" and {len(files) - SHOWN} more" if len(files) > SHOWN else "")


def say(trainer: L.Trainer, message: str) -> None:
    """Print, in the first of several processes only."""
    if trainer.is_global_zero:
        print(message, flush=True)
