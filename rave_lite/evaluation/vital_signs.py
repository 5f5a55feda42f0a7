"""Vital signs: is a model dead, or does its output depend on its input? The criterion of training, export and evaluation."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rave_lite.data.audio import decibels
from rave_lite.errors import InputError
from rave_lite.evaluation.reconstruct import padded
from rave_lite.layers import reset, set_noise, stream
from rave_lite.model import RAVE

SILENT = 3e-4  # least ratio of output to input RMS: -70 dB; a healthy run passes through -54 dB in its first 50 steps
SAME = 1e-3  # least difference of two outputs as a share of the louder one, RMS; untrained models have at least 0.08
FULL_SCALE = 0.5  # highest RMS of the output for a whisper; a model with all bands saturated gives 0.6 to 1
EXPLODED = 1e4  # highest RMS of latents; trained models reach 200 on the test sounds
WHISPER = 1e-3  # gain that makes a whisper of a test sound
ADVICE = "train anew with a lower training.lr or another seed=, and listen to the recordings (rave-lite curate)"

# Plays a sound (T,), with the decoder's noise or without: returns the output (T,), delayed or not, and the latents.
# The noise is the same in every call.
Respond = Callable[[Tensor, bool], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class VitalSigns:
    """Figures that tell a dead model. `gain`: RMS of all outputs to that of all inputs; `difference`: RMS, of the two most
    different outputs, as a share of the louder one; `whisper`: RMS of the quietest output for a whisper; `latents`: their
    highest RMS."""

    gain: float
    difference: float
    whisper: float
    latents: float

    def __str__(self) -> str:
        return f"outputs differ by {self.difference:.0%}, {decibels(self.gain):.0f} dB from the inputs"

    def trouble(self) -> str | None:
        """Why the model is dead, as the end of a sentence that begins with "the model"; None if it is not dead."""
        if not all(map(math.isfinite, (self.gain, self.difference, self.whisper, self.latents))):
            return "plays no numbers: its output is not finite"
        if self.latents > EXPLODED:
            return f"has latents of {self.latents:.0e}, which should be near 1: its encoder has exploded"
        if self.gain < SILENT:
            return f"is silent: what it plays is {decibels(self.gain):.0f} dB from what it hears"
        if self.difference < SAME:
            return (f"makes the same of everything: what it plays of one sound differs from what it plays of another by "
                    f"{decibels(self.difference):.0f} dB of its level")
        if self.whisper > FULL_SCALE:
            return f"plays at full scale whatever it hears: {decibels(self.whisper):.0f} dBFS of a whisper"
        return None


@torch.no_grad()
def vital_signs(respond: Respond, sample_rate: int) -> VitalSigns:
    """Vital signs from the responses to six very different sounds, and to every other one of them at whisper level.

    The sounds are played with the decoder's noise, because a working model may make all of its sound from noise; the
    whispers without, because a model early in training may answer them with noise alone.
    """
    inputs = sounds(sample_rate)
    outputs, latents = zip(*(respond(x, True) for x in inputs), strict=True)
    whispers = [rms(respond(WHISPER * x, False)[0]) for x in inputs[::2]]
    pairs = [(a, b) for i, a in enumerate(outputs) for b in outputs[:i]]
    difference = max(rms(a - b) / max(rms(a), rms(b), 1e-30) for a, b in pairs)
    return VitalSigns(rms(torch.cat(outputs)) / rms(inputs), difference, min(whispers), max(map(rms, latents)))


def of_model(model: RAVE) -> VitalSigns:
    """Vital signs of a model, which is left unchanged; its noise need not be on."""
    live = stream(model)
    device = next(live.buffers()).device

    def respond(x: Tensor, noise: bool) -> tuple[Tensor, Tensor]:
        set_noise(live, float(noise))
        reset(live)
        z = live.encode(padded(model, x.numpy()[None]).to(device))
        return live.decode(z)[0, 0].cpu(), z.cpu()

    return vital_signs(respond, model.sample_rate)


def warnings(model: RAVE, name: str = "this model") -> list[str]:
    """A warning that the model is dead, or no warning. Raises InputError if its output is not finite."""
    signs = of_model(model)
    messages = [f"{name} {trouble}; {ADVICE}"] if (trouble := signs.trouble()) else []
    if not math.isfinite(signs.gain):
        raise InputError(messages[0])
    return messages


def sounds(sample_rate: int, seconds: float = 0.3) -> Tensor:
    """Test sounds `(6, T)`: steady noise, a noise burst, three decaying tones and clicks; peaks near half of full scale."""
    t = torch.arange(round(seconds * sample_rate)) / sample_rate
    noise = torch.randn(2, len(t), generator=torch.Generator().manual_seed(0)) / 4
    tones = [0.5 * torch.sin(2 * math.pi * hertz * t) * torch.exp(-6 * t) for hertz in (110, 440, 1760)]
    clicks = torch.zeros(len(t))
    clicks[:: len(t) // 4] = 0.5
    return torch.stack([noise[0], noise[1] * torch.exp(-12 * t), *tones, clicks])


def rms(x: Tensor) -> float:
    return float(x.double().square().mean().sqrt())
