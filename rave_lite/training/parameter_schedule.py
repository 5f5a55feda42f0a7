"""How fast the parts of a model learn, and from when on."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from rave_lite.errors import InputError


class ParameterSchedule:
    """`freeze`: steps for which a part keeps its weights; `scale`: factor of the learning rate of a part.

    A part is a prefix of names: "encoder", "decoder.net.0", "discriminator". Of several the most precise counts, in either
    by itself. Nothing of it is in an optimiser's state, so a resumed run may change it. Raises InputError for values that
    are none.
    """

    def __init__(self, freeze: dict[str, float] | None = None, scale: dict[str, float] | None = None):
        self.freeze = by_part("freeze", freeze, 1000)
        self.scale = by_part("lr_scale", scale, 0.1)

    def check(self, names: Iterable[str]) -> None:
        """Raise InputError for a part in which none of the parameters `names` lies."""
        known = list(names)
        for part in {**self.freeze, **self.scale}:
            if not any(within(name, part) for name in known):
                raise InputError(f"training.freeze, training.lr_scale: this model has no part {part!r}; it has encoder, "
                                 f"decoder, discriminator, and what lies in them, such as encoder.net.0")

    def is_frozen(self, part: str, step: int) -> bool:
        """Whether all of a part, or a parameter, keeps its weights at this step."""
        inside = (steps for p, steps in self.freeze.items() if within(p, part))
        return bool(self.freeze) and step < min([nearest(self.freeze, part, 0), *inside])

    @contextmanager
    def applied_to(self, optimizer: torch.optim.Optimizer, lr: float, is_frozen: Callable[[str], bool]) -> Iterator[None]:
        """Around a step of an optimiser of named parameters, at `lr`.

        Frozen parameters get no gradient. The update of each parameter with a factor is scaled by it: the same as scaling
        Adam's learning rate.
        """
        slow, rest = [], []
        for group in optimizer.param_groups:
            group["lr"] = lr
            for name, parameter in zip(group["param_names"], group["params"], strict=True):
                if is_frozen(name):
                    parameter.grad = None
                elif self.scale and (scale := nearest(self.scale, name, 1)) != 1:
                    slow.append(parameter)
                    rest.append(1.0 - scale)
        before = [parameter.detach().clone() for parameter in slow]
        yield
        if slow:
            with torch.no_grad():
                torch._foreach_lerp_(slow, before, rest)


def within(name: str, part: str) -> bool:
    return f"{name}.".startswith(f"{part}.")


def nearest(values: dict[str, float], name: str, default: float) -> float:
    """The value of the most precise part in which `name` lies."""
    part = max((part for part in values if within(name, part)), key=len, default=None)
    return default if part is None else values[part]


def by_part(setting: str, asked: Any, example: float) -> dict[str, float]:
    """`asked`, or an empty dictionary for None. Raises InputError unless it has a number, not negative, for each part."""
    if not isinstance(asked, dict | None):
        raise InputError(f"training.{setting}: {asked} has no number for each part; say null, or {{encoder: {example}}}")
    return {part: factor(f"{setting}.{part}", value, example) for part, value in (asked or {}).items()}


def factor(setting: str, asked: Any, example: float) -> float:
    """`asked`. Raises InputError unless it is a number, not negative."""
    if not isinstance(asked, int | float) or not 0 <= asked < math.inf:
        raise InputError(f"training.{setting}: {asked} is no number from 0 up; say {example}")
    return asked
