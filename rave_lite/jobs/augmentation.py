"""Builds and checks the augmentation transforms of a configuration."""

import importlib
import inspect
from pydoc import ErrorDuringImport, locate
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from rave_lite.data.augmentation import Augmentation
from rave_lite.errors import InputError

MODULES = ("rave_lite.data.augmentation", "audiomentations")


def augmentation(config: DictConfig, sample_rate: int) -> Augmentation | None:
    """The transforms of `config.augmentation` with a probability above 0; None if there are none.

    Raises InputError for a transform that does not exist (even if switched off; the message lists those that do), or whose
    parameters are wrong.
    """
    settings = {str(name): setting for name, setting in config.augmentation.items() if setting is not None}
    for name, setting in settings.items():
        check(name, setting)
    active = {name: transform(name, setting) for name, setting in settings.items() if setting.p}
    return Augmentation(active, sample_rate=sample_rate) if active else None


def check(name: str, setting: Any) -> None:
    """Raises InputError if the transform does not exist or its `p` is no probability."""
    if not OmegaConf.is_dict(setting) or not isinstance(target := setting.get("_target_"), str):
        raise InputError(f"augmentation.{name}: no such transform, as it has no _target_. There are:\n{existing()}")
    module, _, class_name = target.rpartition(".")
    try:
        exists = class_name in transforms(module) if module in MODULES else module and callable(locate(target))
    except ErrorDuringImport as error:
        raise InputError(f"augmentation.{name}: {target} cannot be imported: {error}") from error
    if not exists:
        raise InputError(f"augmentation.{name}: {target} does not exist. There are:\n{existing()}")
    p = setting.get("p")
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        raise InputError(f"augmentation.{name}.p: {p} is no probability; say 0 (never) to 1 (always)")


def transform(name: str, setting: DictConfig) -> Any:
    """Instantiates a transform. Raises InputError if its parameters are wrong."""
    try:
        return instantiate(setting, _convert_="all")
    except InstantiationException as error:
        raise InputError(f"augmentation.{name}: {error.__cause__ or error}") from error


def transforms(module: str) -> dict[str, Any]:
    """The classes of a module that take a probability `p`, by name."""
    classes = inspect.getmembers(importlib.import_module(module), inspect.isclass)
    return {name: kind for name, kind in classes if "p" in inspect.signature(kind).parameters}


def existing() -> str:
    """All available transforms, one line per module."""
    return "\n".join(f"  {module}: {', '.join(transforms(module))}" for module in MODULES)
