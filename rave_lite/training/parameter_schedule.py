"""Learning-rate factors and freezing of parts of a model."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from rave_lite.errors import InputError
from rave_lite.model.checkpoint import current_name


class ParameterSchedule:
    """Freezes parts of a model or scales their learning rate.

    `freeze`: steps for which a part keeps its weights; `scale`: factor of a part's learning rate. A part is a prefix of
    parameter names: "encoder", "decoder.first", "discriminator". The longest matching prefix decides, in each setting by
    itself. The optimiser's state holds none of it, so a resumed run may change it. Raises InputError for invalid values.
    """

    def __init__(self, freeze: dict[str, float] | None = None, scale: dict[str, float] | None = None, *,
                 names: dict[str, str] | None = None):
        self.freeze, self.scale = ({current_name(part, names or {}): value for part, value in values.items()} for values in
                                   (by_part("freeze", freeze, 1000), by_part("lr_scale", scale, 0.1)))

    def check(self, names: Iterable[str]) -> None:
        """Raise InputError for a part that is a prefix of none of the parameter `names`."""
        all_names = list(names)
        for part in {**self.freeze, **self.scale}:
            if not any(within(name, part) for name in all_names):
                raise InputError(f"training.freeze, training.lr_scale: this model has no part {part!r}; it has encoder, "
                                 f"decoder, discriminator, and what lies in them, such as encoder.first or decoder.stages.0")

    def is_frozen(self, part: str, step: int) -> bool:
        """Whether a whole part, or a parameter, is frozen at this step."""
        inner_steps = (steps for p, steps in self.freeze.items() if within(p, part))
        return bool(self.freeze) and step < min([nearest(self.freeze, part, 0), *inner_steps])

    @contextmanager
    def applied_to(self, optimizer: torch.optim.Optimizer, lr: float, is_frozen: Callable[[str], bool]) -> Iterator[None]:
        """Apply the schedule to the optimiser step in the `with` block, at learning rate `lr`; parameters must be named.

        Frozen parameters get no gradient. The update of each parameter with a factor is scaled by it: the same as scaling
        Adam's learning rate.
        """
        scaled, undone = [], []  # parameters, and the share of their update to take back
        for group in optimizer.param_groups:
            group["lr"] = lr
            for name, parameter in zip(group["param_names"], group["params"], strict=True):
                if is_frozen(name):
                    parameter.grad = None
                elif self.scale and (scale := nearest(self.scale, name, 1)) != 1:
                    scaled.append(parameter)
                    undone.append(1.0 - scale)
        before = [parameter.detach().clone() for parameter in scaled]
        yield
        if scaled:
            with torch.no_grad():
                torch._foreach_lerp_(scaled, before, undone)


def within(name: str, part: str) -> bool:
    return f"{name}.".startswith(f"{part}.")


def nearest(values: dict[str, float], name: str, default: float) -> float:
    """The value of the longest part that is a prefix of `name`."""
    part = max((part for part in values if within(name, part)), key=len, default=None)
    return default if part is None else values[part]


def by_part(setting: str, values: Any, example: float) -> dict[str, float]:
    """`values` checked; empty for None. Raises InputError unless each part has a number of 0 or more."""
    if not isinstance(values, dict | None):
        raise InputError(f"{values} has no number for each part; say null, or {{encoder: {example}}}",
                         where=f"training.{setting}")
    return {part: factor(f"{setting}.{part}", value, example) for part, value in (values or {}).items()}


def factor(setting: str, value: Any, example: float) -> float:
    """`value` checked. Raises InputError unless it is a number of 0 or more."""
    if not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise InputError(f"{value} is no number from 0 up; say {example}", where=f"training.{setting}")
    return value
