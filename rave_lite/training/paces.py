"""How fast the parts of a model learn, and from when on."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from rave_lite.errors import InputError


class Paces:
    """`freeze`: steps for which a part keeps its weights; `scale`: factor of the learning rate of a part.

    A part is a prefix of names: "encoder", "decoder.net.0", "discriminator". Of several the most precise counts.
    """

    def __init__(self, freeze: dict[str, int] | None = None, scale: dict[str, float] | None = None):
        self.freeze, self.scale = freeze or {}, scale or {}

    def check(self, names: Iterable[str]) -> None:
        """Raise InputError for a part in which none of the parameters `names` lies."""
        known = list(names)
        for part in {**self.freeze, **self.scale}:
            if not any(name.startswith(f"{part}.") for name in known):
                raise InputError(f"training.freeze, training.lr_scale: this model has no part {part!r}; it has encoder, "
                                 f"decoder, discriminator, and what lies in them, such as encoder.net.0")

    def groups(self, named: Iterable[tuple[str, nn.Parameter]]) -> list[dict[str, Any]]:
        """Parameters by part, for an optimiser."""
        found: dict[str, dict[str, Any]] = {}
        for name, parameter in named:
            part = max((p for p in ("", *self.freeze, *self.scale) if not p or name.startswith(f"{p}.")), key=len)
            found.setdefault(part, {"params": [], "part": part})["params"].append(parameter)
        return list(found.values())

    def waits(self, part: str, step: int) -> bool:
        return step < self.freeze.get(part, 0)

    def set(self, optimizer: torch.optim.Optimizer, lr: float, step: int) -> None:
        """Give each group its learning rate at this step."""
        for group in optimizer.param_groups:
            group["lr"] = 0.0 if self.waits(group["part"], step) else lr * self.scale.get(group["part"], 1.0)
