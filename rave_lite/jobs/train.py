"""Train a model on a folder of recordings."""

import logging
import warnings
from pathlib import Path
from typing import Any

import lightning as L
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich import print as show

from rave_lite.data import catalogue
from rave_lite.data.module import Recordings
from rave_lite.errors import InputError
from rave_lite.jobs.common import job
from rave_lite.model import load_matching, read_checkpoint
from rave_lite.training.callbacks import AtomicCheckpointIO
from rave_lite.training.listening import Listen
from rave_lite.training.module import RAVETraining, check_window


def train(config: DictConfig) -> None:
    """Compose the parts, say what there is to train on, and fit."""
    resume = resume_path(config.resume, Path(config.out))
    quieten()
    L.seed_everything(config.seed, verbose=False)
    module = build(config)
    warning = check_window(module.model, module.distance, module.bands_distance, config.data.window)
    plain = module.config
    plain["data"]["root"] = str(Path(config.data.root).expanduser().resolve())
    recordings = catalogue(plain["data"]["root"], module.model.sample_rate, held_out=plain["data"]["held_out"],
                           seed=config.seed, cache=config.data.cache)
    plain["minutes"] = recordings.minutes(recordings.train)
    show(recordings.table())
    print(recordings.summary())
    if warning:
        show(f"[yellow]warning:[/] {warning}")
    if resume:
        load_matching(module, read_checkpoint(resume)["state_dict"], resume)
    data = Recordings(recordings, window=config.data.window, batch_size=config.data.batch_size, gap=config.data.gap,
                      seed=config.seed, workers=config.data.workers)
    trainer = L.Trainer(
        **plain["trainer"], max_epochs=-1, check_val_every_n_epoch=None, num_sanity_val_steps=0,
        logger=list(instantiate(config.logger).values()), plugins=[AtomicCheckpointIO()],
        callbacks=[*instantiate(config.callbacks).values(), Listen(data.held_out)],
        enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False)
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    print(f"step {module.step} of {module.total_steps}; checkpoints in {Path(config.out) / 'checkpoints'}")


def build(config: DictConfig) -> RAVETraining:
    """The model and what trains it, with the resolved configuration to be kept in its checkpoints."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return RAVETraining(model=instantiate(config.model), discriminator=instantiate(config.discriminator),
                        distance=instantiate(config.loss.distance), bands_distance=instantiate(config.loss.bands_distance),
                        weights=plain["loss"]["weights"], **plain["training"], config=plain)


def resume_path(resume: str | None, out: Path) -> Path | None:
    """The checkpoint to go on from. Raises InputError when there is none, or when a new run would overwrite an old one."""
    last = out / "checkpoints" / "last.ckpt"
    if resume is None:
        if last.exists():
            raise InputError(f"{out} holds a run already: go on with resume=last, or choose another name=")
        return None
    path = last if resume == "last" else Path(resume).expanduser()
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint to resume from")
    return path


def quieten() -> None:
    """Keep Lightning's advertisements and the warnings about what is meant to be so off the screen."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (".*does not have many workers.*", ".*isinstance.treespec.*"):
        warnings.filterwarnings("ignore", message)


main = job(train)
