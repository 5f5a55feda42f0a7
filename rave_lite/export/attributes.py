"""Attributes that players change while audio runs, by nn~'s protocol: `set_<name>(values) -> 0`, `get_<name>() -> tuple`."""

import torch
from torch import Tensor, nn

BOOL, INT, FLOAT = 0, 1, 2  # nn~'s codes
ATTRIBUTES = {"noise": FLOAT, "noise_on": BOOL, "seed": INT, "dry_wet": FLOAT, "gain": FLOAT, "reset": BOOL}


class SmoothedParameters(nn.Module):
    """Values that move to their targets over one block, which avoids clicks."""

    now: Tensor
    target: Tensor
    ramp: Tensor

    def __init__(self, values: list[float]):
        super().__init__()
        self.register_buffer("now", torch.tensor(values).unsqueeze(1), persistent=False)
        self.register_buffer("target", torch.tensor(values).unsqueeze(1), persistent=False)
        self.register_buffer("ramp", torch.zeros(0), persistent=False)

    def forward(self, length: int) -> Tensor:
        """The values at each sample of a block, `(values, length)`."""
        if self.ramp.shape[0] != length:
            self.ramp = torch.arange(1, length + 1, device=self.now.device) / length
        values = torch.lerp(self.now, self.target, self.ramp)
        self.now.copy_(self.target)
        return values


class Attributes(nn.Module):
    """The attributes of an exported file. Setters run outside inference mode, between blocks: each writes buffers in place.

    Every attribute has one value: SuperCollider's nn.ar supports no other. `scale_<i>` and `bias_<i>` change principal
    direction i, from 1 to `latent_size`; `per_direction` adds their methods after scripting. A setter returns 1 for a value
    that is not finite; a value out of range is clamped. `directions`: number of latent directions, exposed or not.
    """

    scale: Tensor
    bias: Tensor
    noise_amount: Tensor
    noise_switch: Tensor

    def __init__(self, directions: int, latent_size: int) -> None:
        super().__init__()
        self.latent_size = self.full_latent_size = latent_size  # hosts of RAVE read the second
        self.register_buffer("scale", torch.ones(directions, 1), persistent=False)
        self.register_buffer("bias", torch.zeros(directions, 1), persistent=False)
        self.smoothed = SmoothedParameters([1.0, 1.0])  # dry_wet, gain
        self.register_buffer("noise_amount", torch.ones(()), persistent=False)
        self.register_buffer("noise_switch", torch.ones(()), persistent=False)
        self.seed = 0
        kinds = {f"{name}_{i + 1}": FLOAT for i in range(latent_size) for name in ("scale", "bias")} | ATTRIBUTES
        self.attributes = list(kinds)
        for name, kind in kinds.items():
            self.register_buffer(f"{name}_params", torch.tensor([kind]))

    def scale_and_shift(self, p: Tensor) -> Tensor:
        """Principal directions `(B, n, T)`, each scaled and shifted."""
        return torch.addcmul(self.bias[: p.shape[1]], p, self.scale[: p.shape[1]])

    @torch.jit.export
    def get_attributes(self) -> list[str]:
        return self.attributes

    @torch.jit.export
    def put(self, values: Tensor, direction: int, value: float) -> int:
        """Write `value` for a setter of `per_direction`; `direction` counts from 1."""
        if direction > self.latent_size or not finite(value):
            return 1
        values[direction - 1].fill_(value)
        return 0

    @torch.jit.export
    def set_noise(self, value: float) -> int:
        """Set the amount of the decoder's noise, 1 as trained; clamped to 0..10."""
        if not finite(value):
            return 1
        self.noise_amount.fill_(min(max(value, 0.0), 10.0))
        return self._apply_noise_gain()

    @torch.jit.export
    def get_noise(self) -> tuple[float]:
        return (float(self.noise_amount),)

    @torch.jit.export
    def set_noise_on(self, value: bool) -> int:
        self.noise_switch.fill_(float(value))
        return self._apply_noise_gain()

    @torch.jit.export
    def get_noise_on(self) -> tuple[bool]:
        return (bool(self.noise_switch > 0),)

    def _apply_noise_gain(self) -> int:
        for part in self.modules():
            if hasattr(part, "position"):
                part.set_amount(self.noise_amount * self.noise_switch)  # type: ignore[operator]
        return 0

    @torch.jit.export
    def set_seed(self, value: int) -> int:
        """Restart the noise from this seed."""
        self.seed = value
        for part in self.modules():
            if hasattr(part, "position"):
                part.set_seed(value)  # type: ignore[operator]
        return 0

    @torch.jit.export
    def get_seed(self) -> tuple[int]:
        return (self.seed,)

    @torch.jit.export
    def set_dry_wet(self, value: float) -> int:
        """Set the mix. 0: the input, delayed like the model's output; 1: the model."""
        if not finite(value):
            return 1
        self.smoothed.target[0].fill_(min(max(value, 0.0), 1.0))
        return 0

    @torch.jit.export
    def get_dry_wet(self) -> tuple[float]:
        return (float(self.smoothed.target[0]),)

    @torch.jit.export
    def set_gain(self, value: float) -> int:
        """Set the linear factor of the output, clamped to 0..16."""
        if not finite(value):
            return 1
        self.smoothed.target[1].fill_(min(max(value, 0.0), 16.0))
        return 0

    @torch.jit.export
    def get_gain(self) -> tuple[float]:
        return (float(self.smoothed.target[1]),)

    @torch.jit.export
    def set_sample_rate(self, rate: int) -> int:
        """Accept the host's rate, which may be wrong, and ignore it."""
        return 0


def per_direction(scripted: torch.jit.ScriptModule, latent_size: int) -> None:
    """Add the methods of `scale_<i>` and `bias_<i>` to scripted `Attributes`: a class statement cannot number them."""
    for name in ("scale", "bias"):
        for i in range(1, latent_size + 1):
            if not hasattr(scripted, f"set_{name}_{i}"):  # instances share a type, so it may have them
                scripted.define(f"def set_{name}_{i}(self, value: float) -> int:\n"
                                f"    return self.put(self.{name}, {i}, value)\n")
                scripted.define(f"def get_{name}_{i}(self) -> Tuple[float]:\n"
                                f"    return (float(self.{name}[{i - 1}, 0]),)\n")


def finite(value: float) -> bool:
    return value - value == 0.0
