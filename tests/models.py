"""Small models: audible ones, dead ones, one with measured latents, and an exported one."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rave_lite.data import Windows
from rave_lite.evaluation.latents import measure
from rave_lite.export.torchscript import Live, export
from rave_lite.layers import AdaptiveNorm, Snake
from rave_lite.model import RAVE
from rave_lite.model.decoder import Decoder
from tests.conftest import build
from tests.sounds import bell, clip, drum

SMALL = ("model=tiny", "model.capacity=4")
SECONDS = 3.0  # of `windows` that `measured` takes


def windows(model: RAVE) -> Windows:
    sounds = (sound if model.channels == 1 else np.stack([sound, 0.5 * sound]) for n in range(4)
              for sound in (drum(n), bell(n)))
    clips = [clip(f"{n // 2}.wav", sound) for n, sound in enumerate(sounds)]
    return Windows(clips, length=16 * model.hop, sample_rate=model.sample_rate)


def measured(*overrides: str) -> RAVE:
    """A random model that is not nearly silent, the deviations of its latent measured."""
    model = build(*SMALL, *overrides).eval()
    with torch.no_grad():
        model.decoder.waveform.weight = model.decoder.waveform.weight * 30
    measure(model, windows(model), SECONDS)
    return model


@torch.no_grad()
def with_snakes(model: RAVE) -> RAVE:
    """`model` itself, audible, its Snakes each of another frequency."""
    for snake in (part for part in model.modules() if isinstance(part, Snake)):
        snake.log_alpha.normal_(0, 0.7)
    model.decoder.waveform.weight = 40 * model.decoder.waveform.weight
    return model


@torch.no_grad()
def with_statistics(model: RAVE) -> RAVE:
    """`model` itself, its batch normalisations each of other statistics."""
    for norm in (part for part in model.modules() if isinstance(part, nn.BatchNorm1d)):
        norm.running_mean.normal_(0, 0.003)
        norm.running_var.uniform_(0.2, 1)
        norm.bias.normal_(0, 0.003)
    return model


@torch.no_grad()
def with_norms(model: RAVE) -> RAVE:
    """`model` itself, its adaptive normalisations each of other statistics."""
    for norm in (part for part in model.modules() if isinstance(part, AdaptiveNorm)):
        norm.mean.normal_(0, 0.003)
        norm.variance.uniform_(0.5, 1)
        norm.frames.fill_(100)
    return model


class Constant(Decoder):
    def forward(self, z: Tensor) -> Tensor:
        return torch.full_like(super().forward(z), 0.1)


class Deaf(Decoder):
    """Ignores the latents; uses only the noise channels beside them."""

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(torch.cat([0 * z[:, :16], z[:, 16:]], 1))


@torch.no_grad()
def killed(model: RAVE, how: str) -> RAVE:
    """`model` itself, dead in one of the ways that evaluation/vital_signs.py detects."""
    gains = {"quiet": (model.decoder.waveform, 0.0), "exploded": (model.encoder.last, 1e9),
             "blind": (model.encoder.last, 0.0), "saturated": (model.decoder.waveform, 1e9)}
    if how in gains:
        layer, gain = gains[how]
        layer.parametrizations.weight.original0.mul_(gain)
    if how == "zeroed":
        for weight in model.decoder.parameters():
            weight.zero_()
    if how == "broken":
        next(model.encoder.parameters())[0] = float("nan")
    if how in ("constant", "deaf"):
        model.decoder.__class__ = {"constant": Constant, "deaf": Deaf}[how]
    return model


def written(model: RAVE, folder: Path, live: type[Live] = Live, **options) -> Path:
    """The file that `model` is exported to."""
    path = folder / "live.ts"
    export(live(model, **{"batch_size": 4, **options}), path, {"name": "x"})
    return path
