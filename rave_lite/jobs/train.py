"""Trains a model on a folder of recordings."""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import rich
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from rave_lite.data import Catalogue, catalogue, manifest, redact_url, resolve_root, select_training_subset
from rave_lite.data.module import Recordings
from rave_lite.errors import InputError
from rave_lite.jobs.augmentation import augmentation
from rave_lite.jobs.common import job
from rave_lite.model import Checkpoint, load_matching, read_checkpoint
from rave_lite.training.ada import AdaptiveAugmentation
from rave_lite.training.bench import plan, probe
from rave_lite.training.callbacks import AtomicCheckpointIO, signals_restored
from rave_lite.training.loggers import RunLogger
from rave_lite.training.module import RAVETraining, check_window
from rave_lite.training.runner import NetworkRunner
from rave_lite.training.transfer import architecture, start_from

RUNNER = ("precision", "micro_batch", "compile")  # settings of trainer that are not Lightning's
CALIBRATION_WINDOWS = 16  # may span several batches, as one batch may be all quiet
show = rank_zero_only(rich.print)
say = rank_zero_only(print)


def train(config: DictConfig, brief: bool = False) -> None:
    """Composes the parts, prints the recordings and the estimated time (unless `brief`), and trains."""
    resume = resume_path(config.resume, Path(config.out))
    saved = read_checkpoint(resume) if resume else None
    if saved and saved.optimizer_states is None:
        raise InputError(f"{resume}: an imported model, without the state of a run; start one with transfer.from={resume}")
    if config.resume == "auto" and saved and saved.step >= (total := config.phase1.steps + config.phase2.steps):
        say(f"{resume}: step {saved.step} of {total}: this run is finished")
        return
    quieten()
    L.seed_everything(config.seed, verbose=False)
    typed = list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []
    module = build_or_transfer(config, typed, saved)
    warning = check_window(module.model, module.distance, module.bands_distance, config.data.window)
    changes = augmentation(config, module.model.sample_rate)
    plain = module.config
    everything = load_catalogue(config, plain, module.model.sample_rate)
    recordings = select_training_subset(everything, fraction=config.data.fraction, seed=config.data.subset_seed,
                                        without=plain["data"]["without"])
    plain["minutes"] = recordings.minutes(recordings.train)
    if not brief:
        show(recordings.table())
        say(recordings.summary())
        if warning:
            show(f"[yellow]warning:[/] {warning}")
    if saved and resume:
        resumable(module, saved, resume)
        load_matching(module, saved.state_dict, resume)
        then, now = data_selection(saved.settings.get("data", {})), data_selection(plain["data"])
        for change in (change for change in now if then[change] != now[change]):
            show(f"[yellow]warning:[/] {change} than when this run began")
    data = Recordings(recordings, window=config.data.window, batch_size=config.data.batch_size, gap=config.data.gap,
                      seed=config.seed, workers=config.data.workers, augmentation=changes)
    if saved is None and not module.calibrated:
        module.calibrate(data.first(CALIBRATION_WINDOWS))
    loggers = list(instantiate(config.logger).values())
    for logger in loggers:
        if saved and isinstance(logger, RunLogger):
            logger.resumed = saved.step
    trainer = L.Trainer(
        **{k: v for k, v in instantiate(config.trainer).items() if k not in RUNNER},
        max_epochs=-1, check_val_every_n_epoch=None, num_sanity_val_steps=0, use_distributed_sampler=False,
        logger=loggers, plugins=[AtomicCheckpointIO()],
        callbacks=list(instantiate(config.callbacks).values()),
        enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False)
    limit_memory(config.memory_limit)
    if not brief:
        show(plan(module, probe(module, window=config.data.window, batch_size=config.data.batch_size // trainer.world_size,
                                device=trainer.strategy.root_device)))
    with signals_restored(), unwrap_worker_errors():
        trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    say(f"step {module.step} of {module.total_steps}; checkpoints in {Path(config.out) / 'checkpoints'}")


def resumable(module: RAVETraining, saved: Checkpoint, path: Path) -> None:
    """Raises InputError if the checkpoint and `module` differ in parts that training settings switch on or off."""
    saved_parts, parts = ({name.split(".")[0] for name in state} for state in (saved.state_dict, module.state_dict()))
    for part, setting in (("start", "pull"), ("ada", "ada"), ("ema", "ema")):
        if (part in saved_parts) != (part in parts):
            given = f"training.{setting}={json.dumps(saved.settings['training'][setting])}".replace('"', "")
            raise InputError(f"{path}: this run began with {given}; to resume does not switch that on or off: say '{given}' "
                             f"again, or start a new run with transfer.from={path}")
    if any(len(state["param_groups"]) > 1 for state in saved.optimizer_states or []):
        raise InputError(f"{path}: its run had training.freeze or training.lr_scale in a version whose optimisers cannot be "
                         f"resumed: start a new run with transfer.from={path}")


@contextmanager
def unwrap_worker_errors() -> Iterator[None]:
    """Re-raises an InputError of a data worker without the traceback that torch puts into its message."""
    try:
        yield
    except InputError as error:
        kind = type(error)
        raise kind(str(error).split(f"{kind.__module__}.{kind.__qualname__}: ", 1)[-1].rstrip()) from error


def load_catalogue(config: DictConfig, plain: dict[str, Any], sample_rate: int) -> Catalogue:
    """All recordings, split into training and held-out clips. Writes their root and the manifest's regions to `plain`."""
    root = resolve_root(config.data.root)
    plain["data"]["root"] = redact_url(root)
    if config.data.manifest == "":
        raise InputError("data.manifest: needs a value, as in data.manifest=manifest.csv: rave-lite curate writes one")
    if config.data.manifest:
        plain["data"]["manifest"] = resolve_root(config.data.manifest)
        plain["data"]["kept"] = manifest.load(Path(plain["data"]["manifest"]))
    return catalogue(root, sample_rate, held_out=plain["data"]["held_out"], seed=config.data.split_seed,
                     cache=config.data.cache, cache_gb=config.data.cache_gb, kept=plain["data"].get("kept"))


def data_selection(data: dict[str, Any]) -> dict[str, Any]:
    """The settings that select the training recordings; `data` may be from an older version that lacks some."""
    fraction = data.get("fraction", 1)
    return {"data.manifest keeps other regions": data.get("kept"), "data.without leaves out others": data.get("without", []),
            "data.fraction, data.subset_seed choose others": (fraction, data.get("subset_seed") if fraction != 1 else None)}


def build_or_transfer(config: DictConfig, overrides: list[str], resumed: Checkpoint | None = None) -> RAVETraining:
    """`build`; if `transfer.from` is given, with its architecture and, unless `resumed`, its weights.

    `overrides` of the command line that concern the model win. Raises InputError for another kind of latent.
    """
    path = config.transfer["from"]
    if path is None:
        return build(config)
    if not path:
        raise InputError("transfer.from: needs a value, as in transfer.from=percussion.ckpt")
    source = Path(path).expanduser()
    checkpoint = resumed or read_checkpoint(source)
    kind, configured = checkpoint.architecture["latent"]["name"], config.model.latent.name
    if kind != configured:
        raise InputError(f"transfer.from: {path} has a {kind} latent, this run's losses are for a {configured} one: add "
                         f"latent={kind}")
    keys = model_keys(overrides)
    if keys is not None:
        plain: Any = OmegaConf.to_container(config.model, resolve=True)
        config.model = {"_target_": plain.pop("_target_"), "_convert_": plain.pop("_convert_"),
                        **architecture(plain, checkpoint.architecture, keys)}
    if resumed:
        config.transfer.sha256 = resumed.settings["transfer"]["sha256"]
        return build(config)
    with source.open("rb") as file:
        config.transfer.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    module = build(config)
    show(start_from(module, checkpoint).table())
    return module


def model_keys(overrides: list[str]) -> set[str] | None:
    """The keys of the model that `overrides` set, as in "capacity" or "latent.size"; None if they choose a whole model."""
    keys = [override.lstrip("+~").split("=", 1)[0] for override in overrides]
    inner = {key.removeprefix("model.") for key in keys if key.startswith(("model.", "latent."))}
    return None if "model" in keys else inner


def build(config: DictConfig) -> RAVETraining:
    """The training module with model, discriminator and losses; its checkpoints will hold the resolved configuration."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    training = {**plain["training"], "ada": adaptive(plain["training"]["ada"])}
    return RAVETraining(model=instantiate(config.model), discriminator=instantiate(config.discriminator),
                        distance=instantiate(config.loss.distance), bands_distance=instantiate(config.loss.bands_distance),
                        weights=plain["loss"]["weights"], phase1_steps=plain["phase1"]["steps"],
                        phase2_steps=plain["phase2"]["steps"], **training,
                        run=NetworkRunner(**{k: plain["trainer"][k] for k in RUNNER}), seed=config.seed, config=plain)


def adaptive(settings: dict[str, float] | None) -> AdaptiveAugmentation | None:
    """Adaptive augmentation, None if off. Raises InputError for unknown settings."""
    if settings is None:
        return None
    if not isinstance(settings, dict) or not settings.keys() <= {"target", "ramp"}:
        raise InputError(f"training.ada: {settings}; say null, or {{target: 0.6, ramp: 50000}}")
    return AdaptiveAugmentation(**settings)


def limit_memory(gibibytes: float | None) -> None:
    """Limits how much GPU memory this process may allocate."""
    if gibibytes is not None and torch.cuda.is_available():
        total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, gibibytes * 2**30 / total))


def resume_path(resume: str | None, out: Path) -> Path | None:
    """The checkpoint to resume from. Raises InputError if it is missing, or if a new run would overwrite an old one."""
    last = out / "checkpoints" / "last.ckpt"
    if resume == "auto":
        resume = "last" if last.exists() else None
    if resume is None:
        if last.exists():
            raise InputError(f"{out} holds a run already: go on with resume=last, or choose another name=")
        return None
    path = last if resume == "last" else Path(resume).expanduser()
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint to resume from")
    return path


def quieten() -> None:
    """Hides Lightning's advertisements, and warnings about intended behaviour."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (".*does not have many workers.*", ".*isinstance.treespec.*"):
        warnings.filterwarnings("ignore", message)


main = job(train)
