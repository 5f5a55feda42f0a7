"""Builds augmentation transforms from their settings, and lists those that exist where one does not."""

import importlib
import inspect
from collections.abc import Mapping
from pydoc import ErrorDuringImport, locate
from typing import Any

from rave_lite.data.augmentation.chain import Augmentation
from rave_lite.errors import InputError

MODULES = ("rave_lite.data.augmentation", "audiomentations")


def build_augmentation(settings: Mapping[str, Any], sample_rate: int, channels: int = 1) -> Augmentation | None:
    """The transforms with a probability above 0; None if there are none.

    `settings`: by name, the class (`_target_`), its probability `p` and other arguments; None leaves a transform out. Raises
    InputError for a transform that does not exist (even if switched off), or whose arguments are wrong.
    """
    chosen = {str(name): setting for name, setting in settings.items() if setting is not None}
    for name, setting in chosen.items():
        check(name, setting)
    active = {name: transform(name, setting) for name, setting in chosen.items() if setting["p"]}
    return Augmentation(active, sample_rate=sample_rate, channels=channels) if active else None


def check(name: str, setting: Any) -> None:
    """Raises InputError if the transform does not exist or its `p` is no probability."""
    if not isinstance(setting, dict) or not isinstance(target := setting.get("_target_"), str):
        raise InputError(f"no such transform, as it has no _target_. There are:\n{existing()}", where=f"augmentation.{name}")
    try:
        exists = callable(locate(target))
    except ErrorDuringImport as error:
        raise InputError(f"{target} cannot be imported: {error}", where=f"augmentation.{name}") from error
    if not exists:
        raise InputError(f"{target} does not exist. There are:\n{existing()}", where=f"augmentation.{name}")
    p = setting.get("p")
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        raise InputError(f"{p} is no probability; say 0 (never) to 1 (always)", where=f"augmentation.{name}.p")


def transform(name: str, setting: dict[str, Any]) -> Any:
    """The transform that `setting` describes. Raises InputError if its arguments are wrong."""
    try:
        return built(setting)
    except Exception as error:  # of any kind, as its class may be anybody's
        raise InputError(str(error), where=f"augmentation.{name}") from error


def built(value: Any) -> Any:
    """`value` with an object for each dict that has a `_target_`, as transforms may take others."""
    if isinstance(value, list):
        return [built(item) for item in value]
    if not isinstance(value, dict):
        return value
    items = {key: built(item) for key, item in value.items()}
    return locate(items.pop("_target_"))(**items) if "_target_" in items else items  # type: ignore[operator]


def existing() -> str:
    """All available transforms, the classes that take a probability `p`, one line per module."""
    lines = []
    for module in MODULES:
        classes = inspect.getmembers(importlib.import_module(module), inspect.isclass)
        names = [name for name, kind in classes if "p" in inspect.signature(kind).parameters]
        lines.append(f"  {module}: {', '.join(names)}")
    return "\n".join(lines)
