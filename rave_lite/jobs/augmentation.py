"""The transforms that a configuration asks for, and what is wrong with those that it cannot have."""

import importlib
import inspect
from pydoc import ErrorDuringImport, locate
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from rave_lite.data.augmentation import Augmentation
from rave_lite.errors import InputError

HOMES = ("rave_lite.data.augmentation", "audiomentations")


def augmentation(config: DictConfig, sample_rate: int) -> Augmentation | None:
    """Those transforms of `config.augmentation` that are not switched off; None without any.

    Raises InputError for one that does not exist, switched off or not, saying which do, or whose parameters are wrong.
    """
    asked = {str(name): wanted for name, wanted in config.augmentation.items() if wanted is not None}
    for name, wanted in asked.items():
        check(name, wanted)
    made = {name: transform(name, wanted) for name, wanted in asked.items() if wanted.p}
    return Augmentation(made, sample_rate=sample_rate) if made else None


def check(name: str, wanted: Any) -> None:
    if not OmegaConf.is_dict(wanted) or not isinstance(target := wanted.get("_target_"), str):
        raise InputError(f"augmentation.{name}: no such transform, as it has no _target_. There are:\n{existing()}")
    home, _, kind = target.rpartition(".")
    try:
        found = kind in transforms(home) if home in HOMES else home and callable(locate(target))
    except ErrorDuringImport as error:
        raise InputError(f"augmentation.{name}: {target} cannot be imported: {error}") from error
    if not found:
        raise InputError(f"augmentation.{name}: {target} does not exist. There are:\n{existing()}")
    p = wanted.get("p")
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        raise InputError(f"augmentation.{name}.p: {p} is no probability; say 0 (never) to 1 (always)")


def transform(name: str, wanted: DictConfig) -> Any:
    try:
        return instantiate(wanted, _convert_="all")
    except InstantiationException as error:
        raise InputError(f"augmentation.{name}: {error.__cause__ or error}") from error


def transforms(home: str) -> dict[str, Any]:
    """The classes of a module that have a probability."""
    classes = inspect.getmembers(importlib.import_module(home), inspect.isclass)
    return {name: kind for name, kind in classes if "p" in inspect.signature(kind).parameters}


def existing() -> str:
    return "\n".join(f"  {home}: {', '.join(transforms(home))}" for home in HOMES)
