"""Losses against brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rave_lite import InputError
from rave_lite.training.losses import EnvelopeDistance, SpectralDistance


def brute_force(x: np.ndarray, y: np.ndarray, n_fft: int, floor: float) -> float:
    """The linear distance of two signals at one scale, frame by frame."""
    window = np.hanning(n_fft + 1)[:-1]
    window = window / np.sqrt((window**2).sum())

    def magnitudes(s):
        s = np.pad(s, n_fft // 2)
        starts = range(0, len(s) - n_fft + 1, n_fft // 4)
        return np.array([np.abs(np.fft.rfft(s[i : i + n_fft] * window)) for i in starts])

    a, b = magnitudes(x), magnitudes(y)
    return float(((a - b) ** 2).mean() / (a**2).mean() + np.abs(np.log((a + floor) / (b + floor))).mean())


def test_distance_is_the_formula():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 3000))
    distance = SpectralDistance([512, 128], 1e-3)
    expected = brute_force(x, y, 512, 1e-3) + brute_force(x, y, 128, 1e-3)
    distances = distance(torch.from_numpy(x)[None, None], torch.from_numpy(y)[None, None])
    assert distances.keys() == {"linear"}
    assert float(distances["linear"]) == pytest.approx(expected, rel=1e-5)


def test_mel_bands_weigh_a_gain_the_same_everywhere():
    """Half the amplitude is log 2 in every band and scale."""
    distance = SpectralDistance([1024, 256], 1e-7, sample_rate=44100)
    x = torch.randn(1, 1, 8000)
    assert float(distance(x, x / 2)["mel"]) == pytest.approx(2 * np.log(2), rel=0.01)


def test_distance_of_equals_is_zero_and_silence_is_finite():
    distance = SpectralDistance([512, 128], 1e-7, sample_rate=44100)
    x = torch.randn(2, 3, 2000)
    assert all(float(d) == 0 for d in distance(x, x).values())
    silence = torch.zeros(2, 3, 2000, requires_grad=True)
    for reference in (x, torch.zeros(2, 3, 2000)):
        total = sum(distance(reference, silence).values())
        assert torch.isfinite(total)
        assert torch.isfinite(torch.autograd.grad(total, silence)[0]).all()


@pytest.mark.parametrize("sample_rate", [None, 8000])
def test_the_gradient_of_the_distance_is_numerically_right(sample_rate):
    distance = SpectralDistance([64, 16], 1e-3, silence=0.5, sample_rate=sample_rate, mel_every=6.4)
    for level in (1.0, 1e-2):  # above and below that of silence
        x, y = (level * torch.randn(2, 2, 3, 100, dtype=torch.float64)).unbind()
        y.requires_grad_()
        assert torch.autograd.gradcheck(lambda y, x=x: tuple(distance(x, y).values()), y)


def test_too_short_for_the_stft():
    with pytest.raises(InputError, match="100 samples are too short for an STFT of 512"):
        SpectralDistance([512], 1e-7)(torch.zeros(1, 1, 100), torch.zeros(1, 1, 100))


@settings(max_examples=40)
@given(st.lists(st.sampled_from([0.0, 1e-5, 0.005, 0.5]), min_size=1, max_size=3), st.sampled_from([0.0, 1e-5, 1e-3, 0.1]),
       st.integers(0, 99))
def test_silence_weighs_no_more_than_what_is_made_of_it(peaks, output_level, seed):
    """For batches silent or quiet, as a whole or in part: the output's level bounds the loss; gradients are finite."""
    generator = torch.Generator().manual_seed(seed)
    noise = lambda: torch.rand(len(peaks), 1, 2000, generator=generator) * 2 - 1
    x, y = torch.tensor(peaks)[:, None, None] * noise(), (output_level * noise()).requires_grad_()
    distance = SpectralDistance([512, 128], 1e-7, silence=1e-3)
    total = distance(x, y)["linear"]
    powers = {signal: [s.detach().abs() ** 2 + 1e-14 for s in distance.spectra(signal.flatten(0, 1))] for signal in (x, y)}
    levels = {signal: [float(p.mean()) for p in powers[signal]] for signal in (x, y)}
    relative = sum(2 * (a + b) / max(a, 1e-6) for a, b in zip(levels[x], levels[y], strict=True))
    logarithms = sum(np.log((p.max().item() ** 0.5 + 1e-7) / 1e-7) for signal in (x, y) for p in powers[signal])
    assert float(total.detach()) <= relative + logarithms
    if max(peaks) <= 1e-5:
        assert float(total.detach()) <= sum(2 * (b + 1e-10) / 1e-6 for b in levels[y]) + logarithms
    gradient, = torch.autograd.grad(total, y)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("level", [1e-4, 1e-3, 1e-2, 0.1])
def test_the_relative_term_of_silence_is_the_level_over_that_of_silence(level):
    """The same for digital silence and a batch at -60 dBFS: 0 dB at -60 dBFS; a louder reference is not affected."""
    y = level * torch.randn(4, 1, 8000, dtype=torch.float64)
    distance = SpectralDistance([512], 1e-7, silence=1e-3)

    def relative(x: torch.Tensor) -> float:
        a, b = ((distance.spectra(signal.flatten(0, 1))[0].abs().clamp_min(1e-7) + 1e-7).log() for signal in (x, y))
        return float(distance(x, y)["linear"] - (a - b).abs().mean())

    assert relative(torch.zeros_like(y)) == pytest.approx((level / 1e-3) ** 2, rel=0.05)
    loud = 0.5 * torch.randn_like(y)
    a, b = (distance.spectra(signal.flatten(0, 1))[0].abs() for signal in (loud, y))
    assert relative(loud) == pytest.approx(float(((a - b) ** 2).mean() / (a**2).mean()), rel=1e-4)


def test_the_distance_of_envelopes_is_the_formula():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 300)) * np.exp(-np.arange(300) / [[40], [90]])

    def levels(s: np.ndarray, window: int) -> np.ndarray:
        frames = [s[i : i + window] for i in range(0, len(s) - window + 1, window // 2)]
        return np.array([np.log(np.sqrt((frame**2).mean() + 0.01**2)) for frame in frames])

    expected = sum(np.abs(levels(x, window) - levels(y, window)).mean() for window in (16, 64))
    distance = EnvelopeDistance([16, 64], 0.01)(*(torch.from_numpy(s)[None, None] for s in (x, y)))
    assert float(distance) == pytest.approx(expected, rel=1e-9)


def test_a_gain_is_as_far_at_any_level_above_the_floor_and_nothing_below_it():
    distance = EnvelopeDistance([64, 1024], 1e-3)
    x = torch.rand(1, 1, 8000) - 0.5
    assert float(distance(x, x / 2)) == pytest.approx(2 * np.log(2), rel=1e-3)
    assert float(distance(0.1 * x, 0.05 * x)) == pytest.approx(2 * np.log(2), rel=1e-2)
    assert float(distance(1e-5 * x, 0 * x)) < 1e-4


def test_envelopes_of_silence_have_a_finite_gradient():
    silence = torch.zeros(2, 1, 4096, requires_grad=True)
    for reference in (torch.zeros(2, 1, 4096), torch.rand(2, 1, 4096)):
        gradient, = torch.autograd.grad(EnvelopeDistance([64, 256, 1024], 1e-3)(reference, silence), silence)
        assert torch.isfinite(gradient).all()
