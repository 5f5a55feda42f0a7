"""Losses against brute force."""

import numpy as np
import pytest
import torch

from rave_lite import InputError
from rave_lite.training.losses import RealFFT, SpectralDistance, feature_matching, hinge_discriminator, hinge_generator


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
    made = distance(torch.from_numpy(x)[None, None], torch.from_numpy(y)[None, None])
    assert made.keys() == {"linear"}
    assert float(made["linear"]) == pytest.approx(expected, rel=1e-5)


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


@pytest.mark.parametrize("n", [2, 7, 8, 16])
def test_the_transforms_gradient_is_numerically_right(n):
    x = torch.randn(3, n, dtype=torch.float64, requires_grad=True)
    assert torch.equal(RealFFT.apply(x), torch.fft.rfft(x))
    assert torch.autograd.gradcheck(RealFFT.apply, x)


def test_too_short_for_the_stft():
    with pytest.raises(InputError, match="100 samples are too short for an STFT of 512"):
        SpectralDistance([512], 1e-7)(torch.zeros(1, 1, 100), torch.zeros(1, 1, 100))


def test_adversarial_losses():
    real = [[torch.ones(2, 3), torch.tensor([2.0, 0.5])], [torch.ones(2, 3), torch.tensor([-1.0])]]
    fake = [[torch.ones(2, 3), torch.tensor([-2.0, 0.5])], [torch.ones(2, 3), torch.tensor([0.0])]]
    assert float(hinge_discriminator(real, fake)) == pytest.approx(0.25 + 0.75 + 2 + 1)
    assert float(hinge_generator(fake)) == pytest.approx(0.75)


def test_feature_matching_skips_the_first_and_is_relative():
    real = [[torch.ones(4), 2 * torch.ones(4), torch.ones(1)]]
    fake = [[9 * torch.ones(4), torch.ones(4), torch.zeros(1)]]
    assert float(feature_matching(real, fake)) == pytest.approx((0.5 + 1) / 2)
