"""Distances between a recording and its reconstruction."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from rave_lite.errors import InputError
from rave_lite.model import RAVE

Tensors = tuple[Tensor, ...] | list[Tensor]
MIN_MAGNITUDE = 1e-7  # of a spectrum, -140 dBFS: its logarithm has a gradient everywhere


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
        linear, mel = SpectralTerms.apply(output, reference, self)
        return {"linear": linear, "mel": mel} if self.mel else {"linear": linear}

    def spectra(self, x: Tensor) -> list[Tensor]:
        """STFTs of `(N, T)`, one for each of `n_fft`: `(N, frames, n_fft / 2 + 1)`, complex."""
        padded = F.pad(x, (self.margin, self.margin))
        frames = [self.inner(padded, n).unfold(1, n, n // 4) for n in self.n_fft]
        return [torch.fft.rfft(windowed) for windowed in torch._foreach_mul(frames, self.tables("window", x.dtype))]

    @property
    def margin(self) -> int:
        return max(self.n_fft) // 2

    def inner(self, padded: Tensor, n: int) -> Tensor:
        """The part of a signal, padded by `margin` on both sides, that the frames of `n` samples cover."""
        return padded[:, self.margin - n // 2 : padded.shape[1] - self.margin + n // 2]

    def tables(self, name: str, dtype: torch.dtype) -> list[Tensor]:
        """All "window"s or "bank"s, in the order of `n_fft`."""
        return [getattr(self, f"{name}_{n}").to(dtype) for n in self.n_fft]

    def mel_powers(self, magnitudes: Tensors) -> Tensors:
        """Power in mel bands, the floor added."""
        banks = self.tables("bank", magnitudes[0].dtype)
        powers = [power @ bank for power, bank in zip(torch._foreach_mul(magnitudes, magnitudes), banks, strict=True)]
        return torch._foreach_add(powers, self.mel_floor**2)


class SpectralTerms(torch.autograd.Function):
    """The sums `linear` and `mel` of a `SpectralDistance`, with the gradient by the output written out.

    All scales go through each operation together: a third of the operations and half of the memory that autograd takes.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, reference: Tensor, settings: SpectralDistance) -> tuple[Tensor, Tensor]:
        a = magnitudes(settings.spectra(reference.flatten(0, 1)))
        spectra = settings.spectra(output.flatten(0, 1))
        b = magnitudes(spectra)
        sizes = [x.numel() for x in a]
        errors = torch._foreach_sub(b, a)
        levels = torch._foreach_norm(a)  # sums of squares, or of magnitudes, over all bins
        torch._foreach_clamp_min_(levels, [settings.silence * size**0.5 for size in sizes])
        log_a, log_b = (torch._foreach_log(torch._foreach_add(x, settings.floor)) for x in (a, b))
        log_errors = torch._foreach_norm(torch._foreach_sub(log_b, log_a), 1)
        relative = torch._foreach_div(torch._foreach_norm(errors), levels)
        terms = torch._foreach_addcmul(torch._foreach_div(log_errors, sizes), relative, relative)
        linear, mel = torch.stack(terms).sum(), output.new_zeros(())
        powers: Tensors = ()
        mel_errors: Tensors = ()
        if settings.mel:
            powers = settings.mel_powers(b)
            mel_errors = torch._foreach_sub(torch._foreach_log(powers), torch._foreach_log(settings.mel_powers(a)))
            sums = torch._foreach_norm(mel_errors, 1)
            mel = torch.stack(torch._foreach_div(sums, [2 * e.numel() for e in mel_errors])).sum()  # of powers: doubled
        if ctx.needs_input_grad[0]:
            ctx.settings, ctx.shape = settings, output.shape
            ctx.parts = spectra, b, errors, levels, powers, mel_errors
        return linear, mel

    @staticmethod
    def backward(ctx: Any, linear: Tensor, mel: Tensor) -> tuple[Tensor, None, None]:
        settings: SpectralDistance = ctx.settings
        spectra, b, errors, levels, powers, mel_errors = ctx.parts
        factors: Tensors = torch._foreach_div(errors, torch._foreach_mul(levels, levels))  # half the slope by b
        torch._foreach_addcdiv_(factors, torch._foreach_sign(errors), torch._foreach_add(b, settings.floor),
                                [0.5 / e.numel() for e in errors])
        torch._foreach_mul_(factors, linear)
        torch._foreach_div_(factors, b)  # times the spectrum: half the gradient by it
        if settings.mel:
            slopes = torch._foreach_div(torch._foreach_sign(mel_errors), powers)
            torch._foreach_mul_(slopes, [0.5 / e.numel() for e in mel_errors])
            torch._foreach_mul_(slopes, mel)
            factors = [torch.addmm(f.flatten(0, 1), s.flatten(0, 1), bank.T).view_as(f)
                       for f, s, bank in zip(factors, slopes, settings.tables("bank", linear.dtype), strict=True)]
        torch._foreach_mul_([f[..., :: f.shape[2] - 1] for f in factors], 2)  # the inverse transform doubles the other bins
        gradient = errors[0].new_zeros(len(errors[0]), ctx.shape[2] + 2 * settings.margin)
        scales = list(zip(torch._foreach_mul(spectra, factors), settings.n_fft, strict=True))
        frames = [torch.fft.irfft(spectrum, n, norm="forward") for spectrum, n in scales]
        torch._foreach_mul_(frames, settings.tables("window", gradient.dtype))
        for windowed, n in zip(frames, settings.n_fft, strict=True):
            part = settings.inner(gradient, n)
            part.add_(torch.ops.aten.unfold_backward(windowed, part.shape, 1, n, n // 4))
        return gradient[:, settings.margin : -settings.margin].reshape(ctx.shape), None, None


class EnvelopeDistance(nn.Module):
    """Multi-scale distance of two sounds' levels over time. `(B, C, T), (B, C, T) -> ()`.

    The sum over `windows`, samples each, of the mean absolute difference of the logarithms of the RMS in frames of that
    length, hop half of it. `floor`: amplitude whose power is added, so that what is far below it does not matter. A
    difference of 1 is 8.7 dB.
    """

    def __init__(self, windows: list[int], floor: float):
        super().__init__()
        self.windows, self.floor = windows, floor

    def forward(self, reference: Tensor, output: Tensor) -> Tensor:
        distance = output.new_zeros(())
        for window in self.windows:
            a, b = (F.avg_pool1d(x.square(), window, window // 2) + self.floor**2 for x in (reference, output))
            distance = distance + (b / a).log().abs().mean() / 2
        return distance


def magnitudes(spectra: Tensors) -> Tensors:
    """Not by torch.abs, which takes three times as long for complex numbers on a CPU."""
    real, imaginary = [s.real for s in spectra], [s.imag for s in spectra]
    powers = torch._foreach_mul(real, real)
    torch._foreach_addcmul_(powers, imaginary, imaginary)
    torch._foreach_clamp_min_(powers, MIN_MAGNITUDE**2)
    torch._foreach_sqrt_(powers)
    return powers


def views(x: Tensor) -> Tensor:
    """What is compared of sounds `(B, channels, T)`: of two channels left, right, middle and side, `(B, 4, T)`.

    The four magnitudes tell the channels' levels and their correlation. Those of middle and side alone are the same when
    left and right are swapped.
    """
    if x.shape[1] == 1:
        return x
    left, right = x.split(1, 1)
    return torch.cat([left, right, (left + right) / 2, (left - right) / 2], 1)


def reconstruction_distance(distance: SpectralDistance, model: RAVE, x: Tensor) -> Tensor:
    """`linear` between `(B, channels, T)` and its reconstruction, always with the same noise; a short sound is padded."""
    x = F.pad(x, (0, max(0, max(distance.n_fft) - x.shape[-1])))
    torch.manual_seed(0)
    return distance(views(x), views(model.reconstruct(x)))["linear"]


def squared_distance(model: nn.Module, other: nn.Module) -> Tensor:
    """Sum of the squared differences of all parameters, `()`."""
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    return torch.stack([F.mse_loss(p, q, reduction="sum") for p, q in pairs]).sum()
