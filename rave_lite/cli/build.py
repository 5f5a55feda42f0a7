"""Builds the training module that a configuration of `train` describes."""

import hashlib
from typing import Any

import rich
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from rave_lite.cli.overrides import RUNNER
from rave_lite.errors import InputError
from rave_lite.model import Checkpoint, read_checkpoint
from rave_lite.runs import checkpoint_file
from rave_lite.training.ada import adaptive
from rave_lite.training.encoder_augmentation import encoder_augmentation
from rave_lite.training.module import RAVETraining
from rave_lite.training.transfer import architecture, fitting_base, start_from

WITHOUT_BASE = "From one, half a minute of tabla ended at spectral 6.27 instead of 7.48: recipes/README.md"
show = rank_zero_only(rich.print)


def build(config: DictConfig) -> RAVETraining:
    """The training module with model, discriminator and losses; its checkpoints will hold the resolved configuration.

    Raises InputError for a setting of the runner under its old name, which Lightning's trainer takes for one of its own.
    """
    for old, new in RUNNER.items():
        if OmegaConf.select(config, old) is not None:
            raise InputError(f"is now called {new}", where=old)
    return instantiate(config.training)(
        model=instantiate(config.model), discriminator=instantiate(config.discriminator),
        **instantiate(config.loss, _convert_="all"), phase1_steps=config.phase1.steps, phase2_steps=config.phase2.steps,
        ada=adaptive(config.training.ada), encoder_augmentation=encoder_augmentation(config.training.encoder_augmentation),
        run=instantiate(config.runner), seed=config.seed,
        config=OmegaConf.to_container(config, resolve=True))


def build_or_transfer(config: DictConfig, overrides: list[str], resumed: Checkpoint | None = None) -> RAVETraining:
    """`build`; if `transfer.from` is given, with its architecture and, unless `resumed`, its weights.

    `base` there becomes the base that fits the model; `auto` as well, or null if none fits. `overrides` of the command line
    that concern the model win. Raises InputError for another kind of latent, and where no base fits.
    """
    then = OmegaConf.create({"model": resumed.architecture, "latent": resumed.architecture["latent"]} if resumed else {})
    for key in ("model.limit", "model.adaptive_norm", "model.stereo", "latent.lookup"):  # other versions may differ
        value = OmegaConf.select(then, key)
        if value is not None and not any(override.lstrip("+").startswith(f"{key}=") for override in overrides):
            OmegaConf.update(config, key, value)
    path = config.transfer["from"]
    if path is None:
        return build(config)
    if not path:
        raise InputError("needs a value, as in transfer.from=percussion.ckpt", where="transfer.from")
    if path in ("auto", "base") and (path := named_base(config, resumed)) is None:
        return build(config)
    checkpoint = resumed or read_checkpoint(path)
    kind, configured = checkpoint.architecture["latent"]["name"], config.model.latent.name
    if kind != configured:
        raise InputError(f"{path} has a {kind} latent, this run's losses are for a {configured} one: add "
                         f"latent={kind}", where="transfer.from")
    keys = model_keys(overrides)
    if keys is not None:
        plain: Any = OmegaConf.to_container(config.model, resolve=True)
        config.model = {"_target_": plain.pop("_target_"), "_convert_": plain.pop("_convert_"),
                        **architecture(plain, checkpoint.architecture, keys)}
    if resumed:
        config.transfer.sha256 = resumed.settings["transfer"]["sha256"]
        return build(config)
    with checkpoint_file(path).open("rb") as file:
        config.transfer.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    module = build(config)
    show(start_from(module, checkpoint).table())
    return module


def named_base(config: DictConfig, resumed: Checkpoint | None) -> str | None:
    """The base that `transfer.from=base` or `=auto` means, by name, which replaces it; a `resumed` run keeps its own."""
    model: Any = OmegaConf.to_container(config.model, resolve=True)
    try:
        name = resumed.settings.get("transfer", {}).get("from") if resumed else fitting_base(model)
    except InputError as error:
        if config.transfer["from"] == "base":
            raise
        show(f"note: {error.what}. {WITHOUT_BASE}")
        name = None
    config.transfer["from"] = name
    return name


def model_keys(overrides: list[str]) -> set[str] | None:
    """The keys of the model that `overrides` set, as in "capacity" or "latent.size"; None if they choose a whole model."""
    keys = [override.lstrip("+~").split("=", 1)[0] for override in overrides]
    inner = {key.removeprefix("model.") for key in keys if key.startswith(("model.", "latent."))}
    return None if "model" in keys else inner


def typed() -> list[str]:
    """The overrides of the command line."""
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []
