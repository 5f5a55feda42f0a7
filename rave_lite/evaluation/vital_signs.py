"""Is a model dead? What it plays must depend on what it hears: one criterion for training, export and evaluation."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rave_lite.errors import InputError
from rave_lite.evaluation.reconstruct import padded
from rave_lite.layers import reset, set_noise, stream
from rave_lite.model import RAVE

SILENT = 3e-4  # output to input, RMS: -70 dB; a healthy run passes through -54 dB in its first 50 steps
SAME = 1e-3  # difference of outputs to the louder one, RMS; untrained models have 0.08 and more
FULL_SCALE = 0.5  # RMS of a whisper's answer; bands that are all saturated give 0.6 to 1
EXPLODED = 1e4  # RMS of latents; trained models reach 200 with such sounds
WHISPER = 1e-3  # a whisper to the same sound at full level
ADVICE = "train anew with a lower training.lr or another seed=, and listen to the recordings (rave-lite curate)"

# A sound (T,), and whether with the decoder's noise: what is played (T,), late or not, and the latents where they are known.
# The noise is the same at each call.
Respond = Callable[[Tensor, bool], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class VitalSigns:
    """`gain`: of all outputs together; `difference`: between the two outputs least alike, as a share of the louder one;
    `whisper`: RMS of the softest answer to a whisper; `latents`: RMS, 0 where they are not known."""

    gain: float
    difference: float
    whisper: float
    latents: float

    def __str__(self) -> str:
        return f"outputs differ by {self.difference:.0%}, {decibels(self.gain):.0f} dB from the inputs"

    def trouble(self) -> str | None:
        """What is wrong, as the end of a sentence that begins with "the model"; None of a model that lives."""
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
    """Measured on sounds that have little in common, and on whispers of every second of them.

    With the decoder's noise, because an honest model may make all of its sound from noise; whispers without it, because a
    young model may answer those by noise alone.
    """
    heard = sounds(sample_rate)
    played, latents = zip(*(respond(x, True) for x in heard), strict=True)
    whispers = [rms(respond(WHISPER * x, False)[0]) for x in heard[::2]]
    pairs = [(a, b) for i, a in enumerate(played) for b in played[:i]]
    difference = max(rms(a - b) / max(rms(a), rms(b), 1e-30) for a, b in pairs)
    encoded = max((rms(z) for z in latents if z is not None), default=0.0)
    return VitalSigns(rms(torch.cat(played)) / rms(heard), difference, min(whispers), encoded)


def of_model(model: RAVE) -> VitalSigns:
    """Of a model as it is; its noise need not be on."""
    live = stream(model)
    device = next(live.buffers()).device

    def respond(x: Tensor, noise: bool) -> tuple[Tensor, Tensor]:
        set_noise(live, float(noise))
        reset(live)
        z = live.encode(padded(model, x.numpy()[None]).to(device))
        return live.decode(z)[0, 0].cpu(), z.cpu()

    return vital_signs(respond, model.sample_rate)


def warnings(model: RAVE, name: str = "this model") -> list[str]:
    """What a user should know of a dead model, a sentence. Raises InputError where its output is not finite."""
    signs = of_model(model)
    said = [f"{name} {trouble}; {ADVICE}"] if (trouble := signs.trouble()) else []
    if not math.isfinite(signs.gain):
        raise InputError(said[0])
    return said


def sounds(sample_rate: int, seconds: float = 0.3) -> Tensor:
    """`(6, T)`: steady noise, a burst of it, three decaying tones and clicks, with peaks near half of full scale."""
    t = torch.arange(round(seconds * sample_rate)) / sample_rate
    noise = torch.randn(2, len(t), generator=torch.Generator().manual_seed(0)) / 4
    tones = [0.5 * torch.sin(2 * math.pi * hertz * t) * torch.exp(-6 * t) for hertz in (110, 440, 1760)]
    clicks = torch.zeros(len(t))
    clicks[:: len(t) // 4] = 0.5
    return torch.stack([noise[0], noise[1] * torch.exp(-12 * t), *tones, clicks])


def rms(x: Tensor) -> float:
    return float(x.double().square().mean().sqrt())


def decibels(ratio: float) -> float:
    return 20 * math.log10(max(ratio, 1e-15))
