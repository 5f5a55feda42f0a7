"""Attributes that players change while audio runs, by nn~'s protocol: `set_<name>(value) -> 0`, `get_<name>() -> (v,)`."""

import torch
from torch import Tensor, nn

FLOAT = 2  # nn~'s code. Hosts send "0.000000": nn~ takes that for no bool, and fails when an int is nan or exceeds 32 bits
ATTRIBUTES = ["noise", "noise_on", "seed", "dry_wet", "gain", "reset"]
MAX_SCALE, MAX_BIAS = 100.0, 1000.0


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

    Every attribute is one float: SuperCollider's nn.ar has one value, Pure Data sends floats. `scale_<i>` and `bias_<i>`
    change principal direction i, from 1 to `latent_size`; `per_direction` adds their methods after scripting. Setters take
    every number and return 0: a value out of range is clamped, one that is not finite ignored; getters tell what holds.
    `directions`: number of latent directions, exposed or not.
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
        self.register_buffer("noise_amount", torch.ones(1), persistent=False)
        self.register_buffer("noise_switch", torch.ones(1), persistent=False)
        self.seed = 0
        self.attributes = [f"{name}_{i + 1}" for i in range(latent_size) for name in ("scale", "bias")] + ATTRIBUTES
        for name in self.attributes:
            self.register_buffer(f"{name}_params", torch.tensor([FLOAT]))

    def scale_and_shift(self, p: Tensor) -> Tensor:
        """Principal directions `(B, n, T)`, each scaled and shifted."""
        return torch.addcmul(self.bias[: p.shape[1]], p, self.scale[: p.shape[1]])

    @torch.jit.export
    def get_attributes(self) -> list[str]:
        return self.attributes

    @torch.jit.export
    def put(self, values: Tensor, i: int, value: float, low: float, high: float) -> int:
        """Write `value`, clamped to low..high, to `values[i]`, unless it is not finite."""
        if finite(value):
            values[i].fill_(min(max(value, low), high))
        return 0

    @torch.jit.export
    def set_noise(self, value: float) -> int:
        """Set the amount of the decoder's noise, 1 as trained; clamped to 0..10."""
        self.put(self.noise_amount, 0, value, 0.0, 10.0)
        return self._apply_noise_gain()

    @torch.jit.export
    def get_noise(self) -> tuple[float]:
        return (float(self.noise_amount),)

    @torch.jit.export
    def set_noise_on(self, value: float) -> int:
        """Switch the noise off (0) or on (1)."""
        if finite(value):
            self.noise_switch.fill_(float(value > 0))
        return self._apply_noise_gain()

    @torch.jit.export
    def get_noise_on(self) -> tuple[float]:
        return (float(self.noise_switch),)

    def _apply_noise_gain(self) -> int:
        for part in self.modules():
            if hasattr(part, "position"):
                part.set_amount(self.noise_amount * self.noise_switch)  # type: ignore[operator]
        return 0

    @torch.jit.export
    def set_seed(self, value: float) -> int:
        """Restart the noise from this seed, a whole number: fractions are cut off."""
        if finite(value):
            self.seed = int(min(max(value, -(2.0**53)), 2.0**53))  # float64 holds every whole number up to these
            for part in self.modules():
                if hasattr(part, "position"):
                    part.set_seed(self.seed)  # type: ignore[operator]
        return 0

    @torch.jit.export
    def get_seed(self) -> tuple[float]:
        return (float(self.seed),)

    @torch.jit.export
    def set_dry_wet(self, value: float) -> int:
        """Set the mix. 0: the input, delayed like the model's output; 1: the model."""
        return self.put(self.smoothed.target, 0, value, 0.0, 1.0)

    @torch.jit.export
    def get_dry_wet(self) -> tuple[float]:
        return (float(self.smoothed.target[0]),)

    @torch.jit.export
    def set_gain(self, value: float) -> int:
        """Set the linear factor of the output, clamped to 0..16."""
        return self.put(self.smoothed.target, 1, value, 0.0, 16.0)

    @torch.jit.export
    def get_gain(self) -> tuple[float]:
        return (float(self.smoothed.target[1]),)

    @torch.jit.export
    def set_sample_rate(self, rate: int) -> int:
        """Accept the host's rate, which may be wrong, and ignore it."""
        return 0


def per_direction(scripted: torch.jit.ScriptModule, latent_size: int) -> None:
    """Add the methods of `scale_<i>` and `bias_<i>` to scripted `Attributes`: a class statement cannot number them."""
    for name, limit in (("scale", MAX_SCALE), ("bias", MAX_BIAS)):
        for i in range(1, latent_size + 1):
            if not hasattr(scripted, f"set_{name}_{i}"):  # instances share a type, so it may have them
                scripted.define(f"def set_{name}_{i}(self, value: float) -> int:\n"
                                f"    return self.put(self.{name}, {i - 1}, value, {-limit}, {limit})\n")
                scripted.define(f"def get_{name}_{i}(self) -> Tuple[float]:\n"
                                f"    return (float(self.{name}[{i - 1}, 0]),)\n")


def finite(value: float) -> bool:
    return value - value == 0.0
