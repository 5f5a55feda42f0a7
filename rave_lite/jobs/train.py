"""Trains a model on a folder of recordings."""

from contextlib import nullcontext
from pathlib import Path

import rich
from hydra.utils import instantiate
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from rave_lite.cli.build import build_or_transfer, typed
from rave_lite.data.augmentation.lookup import build_augmentation
from rave_lite.data.module import Recordings
from rave_lite.data.settings import load_training_catalogue
from rave_lite.files import exclusive
from rave_lite.training.bench import measure_validation, plan, probe
from rave_lite.training.callbacks import Checkpoints
from rave_lite.training.metric_logging import code_figures
from rave_lite.training.module import CALIBRATION_WINDOWS
from rave_lite.training.process import limit_memory, prepare, signals_restored, worker_errors_unwrapped
from rave_lite.training.resume import check_resumable, keep_precision, to_resume
from rave_lite.training.window import check_window


def train(config: DictConfig, brief: bool = False) -> float:
    """Composes the parts, prints a plan (unless `brief`), and trains. Returns the lowest held-out distance so far."""
    with exclusive(Path(config.out)) if getattr(rank_zero_only, "rank", 0) == 0 else nullcontext():
        return fit(config, brief)


def fit(config: DictConfig, brief: bool) -> float:
    """`train`, in a folder that no other process trains in."""
    show, say = rank_zero_only(rich.print), rank_zero_only(print)
    saved = to_resume(config.resume, Path(config.out))
    if saved and config.resume == "auto" and saved.step >= (total := config.phase1.steps + config.phase2.steps):
        say(f"{saved.path}: step {saved.step} of {total}: this run is finished")
        return saved.best_distance
    prepare(config.seed)
    module = build_or_transfer(config, typed(), saved)
    settings, rate, channels = module.config["data"], module.model.sample_rate, module.model.channels
    warning = check_window(module.model, module.distance, module.bands_distance, settings["window"])
    augment = build_augmentation(module.config["augmentation"], rate, channels)
    loggers, callbacks = (list(instantiate(group).values()) for group in (config.logger, config.callbacks))
    recordings = load_training_catalogue(config.data.root, settings, rate, saved.settings["data"] if saved else None,
                                         channels)
    module.config["minutes"] = recordings.minutes(recordings.train)
    if not brief:
        show(recordings.table())
        say(recordings.summary())
        if warning:
            show(f"[yellow]warning:[/] {warning}")
    data = Recordings(recordings, window=settings["window"], batch_size=settings["batch_size"], gap=settings["gap"],
                      seed=config.seed, workers=settings["workers"], augmentation=augment)
    if saved:
        keep_precision(module, saved)
    for warning in check_resumable(module, saved) if saved else []:
        show(f"[yellow]warning:[/] {warning}")
    if not saved and not module.calibrated:
        module.calibrate(data.first(CALIBRATION_WINDOWS))
    trainer = instantiate(config.trainer)(logger=loggers, callbacks=callbacks)
    limit_memory(config.memory_limit, trainer.strategy.root_device)
    if trainer.world_size > 1:
        module.run.settle(trainer.strategy.root_device)
    if not brief:
        share = settings["batch_size"] // trainer.world_size
        device = trainer.strategy.root_device
        phases = probe(module, settings["window"], share, device)
        module.config["runner"]["precision"] = module.run.precision  # what "auto" became
        judged = data.held_out.clips + data.training_pieces.clips
        show(plan(module, phases, measure_validation(module, judged, config.trainer.val_check_interval, device)))
    with signals_restored(), worker_errors_unwrapped():
        trainer.fit(module, data, ckpt_path=saved and saved.path, weights_only=True)
    for name, value in code_figures(module.model).items():
        say(f"{name}: {value:.3g}")
    say(f"step {module.step} of {module.total_steps}; checkpoints in {Path(config.out) / 'checkpoints'}")
    return next((c.best for c in callbacks if isinstance(c, Checkpoints)), float("inf"))
