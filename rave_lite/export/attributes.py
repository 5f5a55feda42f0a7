"""Attributes that players change while audio runs; `HostFile` gives each its own methods."""

import torch
from torch import Tensor, nn

from rave_lite.export.codec import Codec

DIRECTION = {"scale": (-100.0, 100.0, 1.0), "bias": (-1000.0, 1000.0, 0.0)}  # lowest, highest and first value
ATTRIBUTES = {"noise": (0.0, 10.0, 1.0), "noise_on": (0.0, 1.0, 1.0),
              "seed": (-(2.0**53), 2.0**53, 0.0),  # float64 holds every whole number in between
              "dry_wet": (0.0, 1.0, 1.0), "gain": (0.0, 16.0, 1.0), "from_silence": (0.0, 1.0, 0.0),
              "reset": (0.0, 1.0, 0.0)}


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
    """The attributes of an exported file, by number: each is one float. Set between blocks; buffers are written in place.

    `scale_<i>` and `bias_<i>` change principal direction i, from 1 to `latent_size`. `noise`: amount of the decoder's noise,
    1 as trained; `noise_on`: 0 or 1; `seed`: a whole number, restarts the noise; `dry_wet`: 0 is the input, delayed like the
    model's output, 1 the model; `gain`: linear; `from_silence`: 1 makes `encode` and `decode` count from the latent of
    silence, 0 from the mean; `reset`: 1 forgets the streams. `silence`: the latent of silence, `(directions, 1)`.
    """

    core: Codec  # of the subclass
    scale: Tensor
    bias: Tensor
    silence: Tensor
    origin: Tensor

    def __init__(self, silence: Tensor, latent_size: int) -> None:
        super().__init__()
        self.latent_size = self.full_latent_size = latent_size  # hosts of RAVE read the second
        self.register_buffer("scale", torch.ones_like(silence), persistent=False)
        self.register_buffer("bias", torch.zeros_like(silence), persistent=False)
        self.register_buffer("silence", silence, persistent=False)
        self.register_buffer("origin", torch.zeros_like(silence), persistent=False)
        self.smoothed = SmoothedParameters([1.0, 1.0])  # dry_wet, gain
        ranges = {f"{name}_{i + 1}": DIRECTION[name] for i in range(latent_size) for name in DIRECTION} | ATTRIBUTES
        self.attributes = list(ranges)
        self.lowest, self.highest, self.values = (list(column) for column in zip(*ranges.values(), strict=True))

    def scale_and_shift(self, p: Tensor) -> Tensor:
        """Principal directions `(B, n, T)`, each scaled and shifted."""
        return torch.addcmul(self.bias[: p.shape[1]], p, self.scale[: p.shape[1]])

    @torch.jit.export
    def get(self, i: int) -> float:
        """The value that attribute `i` of `attributes` has."""
        return self.values[i]

    @torch.jit.export
    def set(self, i: int, value: float) -> int:
        """Set attribute `i`: a value out of range is clamped, one that is not finite ignored. Returns 0, nn~'s "done"."""
        if value - value == 0.0:
            name, value = self.attributes[i], min(max(value, self.lowest[i]), self.highest[i])
            if name == "noise_on" or name == "from_silence":
                value = float(value > 0.0)
            elif name == "seed":
                value = float(int(value))
            self.values[i] = value if name != "reset" else 0.0
            self.turn(i, name, value)
        return 0

    def turn(self, i: int, name: str, value: float) -> None:
        """Let a value, in range, take effect."""
        noise = 2 * self.latent_size  # its number
        if i < noise:
            values = self.scale if i % 2 == 0 else self.bias
            values[i // 2].fill_(value)
        elif name == "dry_wet":
            self.smoothed.target[0].fill_(value)
        elif name == "gain":
            self.smoothed.target[1].fill_(value)
        elif name == "from_silence":
            self.origin.copy_(self.silence * value)
        elif name == "reset":
            if value > 0.0:
                self.reset()  # type: ignore[operator]
        elif name == "seed":
            self.core.set_seed(int(value))
        else:
            self.core.set_noise(self.values[noise] * self.values[noise + 1])
