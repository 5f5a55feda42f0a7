"""What a prior plays offline: as the file does, after an opening, in the rhythm of a groove; its figures."""

import numpy as np
import pytest
import torch

from rave_lite.export.torchscript import load
from rave_lite.layers import stream
from rave_lite.prior.generate import Performance, at_tempo, by_rank, draw, generate
from rave_lite.prior.judge import embedded_strokes, memorised, moved_share, rhythm
from rave_lite.prior.sequences import Sequence, sequence
from tests.models import measured, written
from tests.prior.test_prior import random_prior, steady
from tests.sounds import drum


@pytest.mark.parametrize("channels", [1, 2])
def test_offline_is_what_the_file_plays(tmp_path, channels):
    model = measured(f"model.channels={channels}")
    prior = random_prior(model.latent_size)
    live = load(written(model, tmp_path, prior=prior))
    live.set_seed(3)
    live.set_density(2.0)
    live.set_tempo(1.5)
    frames = 30
    sound = generate(model, prior, Performance(frames * model.hop / model.sample_rate, 0.7, 2.0, 3, tempo=1.5))
    with torch.inference_mode():
        played = torch.cat([live.generate(torch.full((1, 1, n), 0.7)) for n in (1, 4, 25)], 2)[0].squeeze(0).numpy()
    assert live.get_methods()[-2:] == ["prior", "generate"]
    assert live.generate_params.tolist() == [1, live.hop, channels, 1]
    assert played.shape == sound.shape
    assert np.abs(played).max() > 0.01
    assert played == pytest.approx(sound, abs=1e-5 * max(1, float(np.abs(played).max())))


def test_an_opening_comes_first_and_is_gone_on_from():
    model, prior, row = measured(), random_prior(), steady(20)
    performance = Performance(1.0, seed=2)
    alone, after = (generate(model, prior, p) for p in (performance, Performance(1.0, seed=2, opening=row)))
    assert len(after) == len(alone) + 20 * model.hop
    assert not np.allclose(draw(prior, performance, 8), draw(prior, Performance(1.0, seed=2, opening=row), 8))


def test_a_groove_drives_the_strokes_over_and_over():
    prior, row = random_prior(), steady(21, every=7)
    classes = by_rank(prior, row)
    assert torch.equal(classes > 0, ~row.levels.isnan())
    assert classes.max() > classes[classes > 0].min()
    free, driven = (draw(prior, Performance(1.0, groove=groove), 42) for groove in (None, row))
    assert not torch.equal(free, driven)
    silent = Sequence("none", row.latents, torch.full_like(row.levels, torch.nan), row.counted)
    assert not by_rank(prior, silent).any()


def test_a_groove_has_a_tempo():
    strokes = torch.tensor([4, 0, 0, 1, 0, 2, 0, 3])
    assert torch.equal(at_tempo(strokes, 1.0), strokes)
    assert at_tempo(strokes, 2.0).tolist() == [4, 1, 2, 3]
    assert at_tempo(torch.tensor([1, 2, 0, 3]), 2.0).tolist() == [2, 3]
    assert at_tempo(torch.tensor([1, 2]), 0.5).tolist() == [1, 0, 2, 0]
    row = steady(21, every=7)
    fast, usual = (draw(random_prior(), Performance(1.0, groove=row, tempo=tempo), 42) for tempo in (2.0, 1.0))
    assert not torch.equal(fast, usual)


def test_memorised_is_1_for_copies_and_0_for_equals():
    rng = np.random.default_rng(0)
    training, held_out, fresh = (rng.standard_normal((300, 4)) for _ in range(3))
    assert memorised(training[:100] + 1e-3, held_out, training) == 1.0
    assert memorised(fresh, held_out, training) == pytest.approx(0, abs=0.15)
    assert memorised(np.zeros((0, 4)), held_out, training) == 0.0


def test_rhythm_counts_strokes_and_intervals():
    rate = 44100
    sound = np.zeros(4 * rate, np.float32)
    for at in np.arange(0.1, 3.9, 0.25):
        hit = drum(0, 0.12)
        sound[round(at * rate) :][: len(hit)] += hit
    density, intervals, levels = rhythm([sound], rate)
    assert density == pytest.approx(4, abs=0.3)
    assert intervals.argmax() == 2
    assert levels.sum() == pytest.approx(1)
    assert moved_share(intervals, intervals) == 0
    assert moved_share(np.array([1.0, 0]), np.array([0, 1.0])) == 1
    assert embedded_strokes([sound], rate).shape == (round(4 * density), 39)


def test_silence_has_no_strokes():
    model = measured()
    row = sequence(model, stream(model), np.zeros(8192, np.float32), "silence")
    assert (row.strokes, row.counted) == (0, 8192 // model.hop)


def test_a_stereo_sound_is_one_sequence():
    model = measured("model.channels=2")
    x = np.stack([drum(0), 0.3 * drum(0)]).astype(np.float32)
    one, mixed = (sequence(model, stream(model), sound) for sound in (x, x.mean(0, keepdims=True).repeat(2, 0)))
    assert one.strokes == mixed.strokes == 1
    assert not torch.allclose(one.latents, mixed.latents)
