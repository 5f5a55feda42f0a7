"""Calibration: foreign latents get the moments of the training set, from what has sounded."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from rave_lite.evaluation.reconstruct import Reconstruction, calibration, reconstruct
from rave_lite.model.calibration import LIMITS, NARROW, SourceMoments
from tests.models import measured
from tests.sounds import bell


@pytest.fixture(scope="module")
def model():
    return measured()


def foreign(model, seed: int = 0, deviation: float = 3.0, frames: int = 400) -> torch.Tensor:
    """Principal directions `(2, n, frames)` far from the training set's, `deviation` times as wide."""
    noise = torch.randn(2, model.latent_size, frames, generator=torch.Generator().manual_seed(seed))
    wide = deviation * model.principal.variance.sqrt()[:, None]
    return wide * noise + 5 * wide.norm()


def moved(p: torch.Tensor, source: SourceMoments, amount: float) -> torch.Tensor:
    return source.move(p, source.settings(torch.full((1, 1), amount)))


def test_the_mean_becomes_the_training_sets_and_the_deviation_half_of_its(model):
    source, p = SourceMoments(model), foreign(model)
    source(p)
    target = NARROW * model.principal.variance.sqrt()
    assert_close(moved(p, source, 1).mean((0, 2)), torch.zeros_like(target), rtol=0, atol=1e-2 * float(target[0]))
    assert_close(moved(p, source, 1).std((0, 2)), target, rtol=1e-2, atol=0)
    assert_close(moved(p, source, 0.5).std((0, 2)), (3 / NARROW) ** 0.5 * target, rtol=5e-2, atol=0)
    assert_close(moved(p, source, 0), p)
    wild, still = SourceMoments(model), SourceMoments(model)
    wild(foreign(model, deviation=1e3 / 7))
    still(foreign(model, deviation=1e-6) + 10)
    for moments, limit in ((wild, LIMITS[0]), (still, LIMITS[1])):
        assert_close(moments.settings(torch.ones(1, 1))[:4], torch.full((4, 1), limit))


def test_silence_errors_and_the_lengths_of_blocks_change_nothing(model):
    whole, parts, p = SourceMoments(model), SourceMoments(model), foreign(model)
    whole(p)
    for part in p.split([1, 7, 392], 2):
        parts(part)
        parts(parts.silence.expand(1, -1, 50))
        parts(torch.full((1, model.latent_size, 2), torch.nan).clone())
    assert_close(parts.settings(torch.ones(1, 1)), whole.settings(torch.ones(1, 1)), rtol=2e-3, atol=1e-3)
    parts(torch.full((1, model.latent_size, 2), torch.inf))
    assert parts.settings(torch.ones(1, 1)).isfinite().all()


def test_silence_stays_silent(model):
    source = SourceMoments(model)
    source(foreign(model))
    assert_close(moved(source.silence[None], source, 1), source.silence[None], rtol=0, atol=1e-4)


def test_it_begins_gently_and_forgets(model):
    source, p = SourceMoments(model), foreign(model)
    source(p[:1, :, : round(0.25 * source.frame_rate)])
    assert 0 < moved(p, source, 1).mean() < p.mean()
    source.forget_after(0.5)
    other = foreign(model, seed=1, deviation=1.0)
    for part in other.split(10, 2):
        source(part)
    assert_close(moved(other, source, 1).std(), NARROW * model.principal.variance.mean().sqrt(), rtol=0.2, atol=0)
    source.reset()
    assert_close(moved(p, source, 1), p)


def test_offline_from_one_sound_or_several(model):
    sound = bell(0)[None].astype(np.float32)
    plain, calibrated = reconstruct(model, sound), reconstruct(model, sound, calibrate=1.0)
    assert not np.allclose(plain, calibrated, atol=1e-3)
    assert np.allclose(reconstruct(model, sound, 4 * model.hop, calibrate=1.0), calibrated, atol=1e-5)
    assert calibration(model, [sound], 0.0) is None
    stereo = np.concatenate([sound, 0.5 * sound])
    together = calibration(model, [sound, 0.5 * sound], 1.0)
    assert_close(calibration(model, [stereo], 1.0)[1], together[1])
    assert np.allclose(Reconstruction(model, 1, together)(sound), reconstruct(model, stereo, calibrate=1.0)[:1], atol=1e-5)
