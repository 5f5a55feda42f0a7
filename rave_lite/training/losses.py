"""Spectral, adversarial and feature-matching losses."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from rave_lite.errors import InputError
from rave_lite.model import RAVE


class SpectralDistance(nn.Module):
    """Multi-scale distances between magnitude spectra, by name. `(B, C, T), (B, C, T) -> {"linear": (), "mel": ()}`.

    Each is a sum over STFTs of `n_fft` samples, hop n_fft / 4, windows of unit energy (full-scale noise is near 1).
    `linear`: squared error relative to the reference's energy, plus mean absolute difference of logarithms with `floor`
    added to the magnitudes (Engel et al., DDSP, 2020; RAVE, eq. 4). The energy is at least that of the RMS magnitude
    `silence`, so that a silent reference does not make an inaudible output cost much. `mel`, where `sample_rate` (Hz) is
    given: mean absolute difference of log magnitudes in `n_fft / mel_every` mel bands, `mel_floor` added (Kumar et al.,
    DAC, 2023, section 3.3).
    """

    def __init__(self, n_fft: list[int], floor: float, *, silence: float = 1e-3, sample_rate: int | None = None,
                 mel_every: float = 12.8, mel_floor: float = 1e-5):
        super().__init__()
        self.n_fft = n_fft
        self.floor, self.silence = floor, silence
        self.mel_floor, self.mel = mel_floor, sample_rate is not None
        for n in n_fft:
            window = torch.hann_window(n)
            self.register_buffer(f"window_{n}", window / window.norm(), persistent=False)
            if sample_rate is not None:
                bank = melscale_fbanks(n // 2 + 1, 0, sample_rate / 2, round(n / mel_every), sample_rate, "slaney", "slaney")
                self.register_buffer(f"bank_{n}", bank / bank.sum(0).clamp_min(1e-9), persistent=False)

    def forward(self, reference: Tensor, output: Tensor) -> dict[str, Tensor]:
        if reference.shape[-1] <= max(self.n_fft) // 2:
            raise InputError(f"{reference.shape[-1]} samples are too short for an STFT of {max(self.n_fft)}")
        total = {name: output.new_zeros(()) for name in (["linear", "mel"] if self.mel else ["linear"])}
        for n in self.n_fft:
            with torch.no_grad():
                reference_power = self.power(reference, n)
            output_power = self.power(output, n)
            total["linear"] = total["linear"] + self.linear(reference_power.sqrt(), output_power.sqrt())
            if self.mel:
                bank = getattr(self, f"bank_{n}").to(output_power.dtype)
                mel_a, mel_b = (torch.log(p @ bank + self.mel_floor**2) / 2 for p in (reference_power, output_power))
                total["mel"] = total["mel"] + (mel_a - mel_b).abs().mean()
        return total

    def linear(self, a: Tensor, b: Tensor) -> Tensor:
        relative = ((a - b) ** 2).mean() / (a**2).mean().clamp_min(self.silence**2)
        return relative + (torch.log(a + self.floor) - torch.log(b + self.floor)).abs().mean()

    def power(self, x: Tensor, n_fft: int) -> Tensor:
        """`(B, C, T) -> (B * C, frames, n_fft / 2 + 1)`, never quite 0: the root has a gradient everywhere."""
        window = getattr(self, f"window_{n_fft}").to(x.dtype)
        frames = F.pad(x.flatten(0, 1), (n_fft // 2, n_fft // 2)).unfold(1, n_fft, n_fft // 4)
        spectrum = RealFFT.apply(frames * window)
        return spectrum.real**2 + spectrum.imag**2 + 1e-14


def reconstruction_distance(distance: SpectralDistance, model: RAVE, x: Tensor) -> Tensor:
    """`linear` between `(B, 1, T)` and its reconstruction, always with the same noise; a short sound is padded."""
    x = F.pad(x, (0, max(0, max(distance.n_fft) - x.shape[-1])))
    torch.manual_seed(0)
    return distance(x, model.reconstruct(x))["linear"]


class RealFFT(torch.autograd.Function):
    """`torch.fft.rfft` with a real inverse transform as gradient; torch's own takes a complex transform of full size."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.n = x.shape[-1]
        return torch.fft.rfft(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        halved = gradient.clone()
        halved[..., 1 : (ctx.n + 1) // 2] /= 2  # irfft counts these bins twice: as themselves and as their conjugates
        return torch.fft.irfft(halved, ctx.n, norm="forward")


def hinge_discriminator(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Hinge loss of the last feature of each discriminator, its score, summed over them (Lim and Ye, 2017)."""
    return torch.stack([mean(F.relu(1 - r[-1])) + mean(F.relu(1 + f[-1])) for r, f in zip(real, fake, strict=True)]).sum()


def hinge_generator(fake: list[list[Tensor]]) -> Tensor:
    """Minus the score of each discriminator, summed over them."""
    return -torch.stack([mean(f[-1]) for f in fake]).sum()


def feature_matching(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """L1 between features relative to the real ones' size (Kumar et al., MelGAN, 2019); mean over layers and discriminators.

    The first feature, a linear filter of the waveform, is skipped.
    """
    ratios = [mean((a - b).abs()) / mean(a.abs()).clamp_min(1e-5)
              for r, f in zip(real, fake, strict=True) for a, b in zip(r[1:], f[1:], strict=True)]
    return torch.stack(ratios).mean()


def mean(x: Tensor) -> Tensor:
    """Mean, accumulated in float32 at least: features may be in half precision."""
    return x.mean(dtype=torch.promote_types(x.dtype, torch.float32))
