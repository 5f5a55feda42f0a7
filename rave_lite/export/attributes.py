"""Attributes that players change while audio runs; `HostFile` gives each its own methods."""

import torch
from torch import Tensor, nn

from rave_lite.export.codec import Codec
from rave_lite.model.calibration import SourceMoments
from rave_lite.prior.player import FASTEST, HOTTEST, KNOBS, SLOWEST, PriorPlayer

DIRECTION = {"scale": (-100.0, 100.0, 1.0), "bias": (-1000.0, 1000.0, 0.0)}  # lowest, highest and first value
ATTRIBUTES = {"noise": (0.0, 10.0, 1.0), "noise_on": (0.0, 1.0, 1.0),
              "seed": (-(2.0**53), 2.0**53, 0.0),  # float64 holds every whole number in between
              "dry_wet": (0.0, 1.0, 1.0), "gain": (0.0, 16.0, 1.0), "from_silence": (0.0, 1.0, 0.0),
              "reset": (0.0, 1.0, 0.0), "learn_source": (0.0, 1.0, 0.0), "reset_source": (0.0, 1.0, 0.0),
              "source_seconds": (1.0, 3600.0, 30.0), "calibrate": (0.0, 1.0, 0.0),
              "envelope": (0.0, 1.0, 0.0)}
NORMS = {"learn_target": (0.0, 1.0, 0.0), "reset_target": (0.0, 1.0, 0.0), "adapt": (0.0, 1.0, 1.0)}  # with `AdaptiveNorm`
PRIOR = {"temperature": (0.0, HOTTEST, KNOBS["temperature"]), "density": (0.0, 16.0, KNOBS["density"]),
         "tempo": (SLOWEST, FASTEST, KNOBS["tempo"]),
         "hold": (0.0, 1.0, KNOBS["hold"])}  # of a file with a prior; in the order of KNOBS
GLIDE = 0.05  # seconds: time constant of a calibration that moves


class SmoothedParameters(nn.Module):
    """Values that move to their targets without clicks: over one block, or with a time constant of `pace` values."""

    now: Tensor
    target: Tensor
    ramp: Tensor

    def __init__(self, values: list[float], pace: float = 0.0):
        super().__init__()
        self.pace = pace
        self.register_buffer("now", torch.tensor(values).unsqueeze(1), persistent=False)
        self.register_buffer("target", torch.tensor(values).unsqueeze(1), persistent=False)
        self.register_buffer("ramp", torch.zeros(0), persistent=False)

    def forward(self, length: int) -> Tensor:
        """The values at each sample of a block, `(values, length)`."""
        if self.ramp.shape[0] != length:
            steps = torch.arange(1, length + 1, device=self.now.device)
            self.ramp = 1 - torch.exp(-steps / self.pace) if self.pace > 0 else steps / length
        values = torch.lerp(self.now, self.target, self.ramp)
        self.now.copy_(values[:, -1:])
        return values


class Attributes(nn.Module):
    """The attributes of an exported file, by number: each is one float. Set between blocks; buffers are written in place.

    `scale_<i>` and `bias_<i>` change principal direction i, from 1 to `latent_size`. `noise`: amount of the decoder's noise,
    1 as trained; `noise_on`: 0 or 1; `seed`: a whole number, restarts the noise; `dry_wet`: 0 is the input, delayed like the
    model's output, 1 the model; `gain`: linear; `from_silence`: 1 makes `encode` and `decode` count from the latent of
    silence, 0 from the mean; `reset`: 1 forgets the streams. `calibrate`: how far latents of `encode` and `forward` move
    onto the training set; `learn_source`: 1 gathers its moments, over `source_seconds`; `reset_source`: 1 forgets them.
    `envelope`: how far the short-time level of the output of `forward` follows that of its input.
    With adaptive normalisation also `learn_target`: 1 gathers the statistics of a sound, inside the network, that others
    shall take on; `learn_source` gathers theirs, too; `reset_target`: 1 forgets them; `adapt`: how far they are taken on.
    With a prior also `temperature`: how far what it plays strays, 1 as its recordings do, 0 not at all; `density`: a factor
    on the odds of strokes; `tempo`: how fast they follow each other, 1 as learned; `hold`: 1 keeps the last latents.
    """

    core: Codec  # of the subclass
    scale: Tensor
    bias: Tensor
    origin: Tensor
    amount: Tensor

    def __init__(self, source: SourceMoments, latent_size: int, player: PriorPlayer | None = None, *,
                 adapts: bool = False) -> None:
        super().__init__()
        self.player = player
        silence = source.silence
        self.latent_size = self.full_latent_size = latent_size  # hosts of RAVE read the second
        self.register_buffer("scale", torch.ones_like(silence), persistent=False)
        self.register_buffer("bias", torch.zeros_like(silence), persistent=False)
        self.register_buffer("origin", torch.zeros_like(silence), persistent=False)
        self.register_buffer("amount", torch.zeros(1, 1), persistent=False)
        self.smoothed = SmoothedParameters([1.0, 1.0])  # dry_wet, gain
        self.source, self.calibrates, self.follows = source, False, False
        self.envelope = SmoothedParameters([0.0])
        self.interval, self.uncounted = round(GLIDE * source.frame_rate), 0  # frames
        source.learn.zero_()
        source.forget_after(ATTRIBUTES["source_seconds"][2])
        self.calibration = SmoothedParameters(source.settings(self.amount).flatten().tolist(), GLIDE * source.frame_rate)
        ranges = {f"{name}_{i + 1}": DIRECTION[name] for i in range(latent_size) for name in DIRECTION} | ATTRIBUTES
        ranges |= (NORMS if adapts else {}) | (PRIOR if player else {})
        self.attributes, self.first_knob = list(ranges), len(ranges) - len(PRIOR) * (player is not None)
        self.lowest, self.highest, self.values = (list(column) for column in zip(*ranges.values(), strict=True))

    def scale_and_shift(self, p: Tensor) -> Tensor:
        """Principal directions `(B, n, T)`, each scaled and shifted."""
        return torch.addcmul(self.bias[: p.shape[1]], p, self.scale[: p.shape[1]])

    def calibrated(self, p: Tensor) -> Tensor:
        """Principal directions `(B, directions, T)` of the encoder, counted, and moved onto the training set's.

        Not an operation until `learn_source` or `calibrate` is set; from then on, to a reset with both at 0, all is in
        buffers.
        """
        if not self.calibrates:
            return p
        self.uncounted += p.shape[2]
        if p.is_cuda or self.uncounted >= self.interval:  # of short blocks some stand for all; a graph counts each
            self.source(p, self.uncounted / p.shape[2])
            self.calibration.target.copy_(self.source.settings(self.amount))
            self.uncounted = 0
        return self.source.move(p, self.calibration(p.shape[2]))

    def calibration_wanted(self) -> bool:
        return self.values[self.attributes.index("learn_source")] + self.values[self.attributes.index("calibrate")] > 0.0

    @torch.jit.export
    def get(self, i: int) -> float:
        """The value that attribute `i` of `attributes` has."""
        return self.values[i]

    @torch.jit.export
    def set(self, i: int, value: float) -> int:
        """Set attribute `i`: a value out of range is clamped, one that is not finite ignored. Returns 0, nn~'s "done"."""
        if value - value == 0.0:
            name, value = self.attributes[i], min(max(value, self.lowest[i]), self.highest[i])
            if name == "noise_on" or name == "from_silence" or name == "hold" or name.startswith("learn_"):
                value = float(value > 0.0)
            elif name == "seed":
                value = float(int(value))
            self.values[i] = 0.0 if name.startswith("reset") else value
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
            self.origin.copy_(self.source.silence * value)
        elif name == "reset":
            if value > 0.0:
                self.reset()  # type: ignore[operator]
        elif name == "learn_source":
            self.calibrates = self.calibrates or self.calibration_wanted()
            self.source.learn.fill_(value)
            self.core.turn_norms(name, value)
        elif name == "source_seconds":
            self.source.forget_after(value)
        elif name == "calibrate" or name == "reset_source":
            if name == "calibrate":
                self.calibrates = self.calibrates or self.calibration_wanted()
                self.amount.fill_(value)
            elif value > 0.0:
                self.source.reset()
                self.core.turn_norms(name, value)
            self.calibration.target.copy_(self.source.settings(self.amount))
        elif name == "learn_target" or name == "reset_target" or name == "adapt":
            self.core.turn_norms(name, value)
        elif name == "envelope":
            self.follows = self.follows or value > 0.0
            self.envelope.target[0].fill_(value)
        elif name == "seed":
            self.core.set_seed(int(value))
            if self.player is not None:
                self.player.set_seed(int(value))
        elif i >= self.first_knob:
            if self.player is not None:
                self.player.turn(i - self.first_knob, value)
        else:
            self.core.set_noise(self.values[noise] * self.values[noise + 1])
