"""A file with a prior plays by itself: methods of nn~'s protocol, the same latents in any blocks, safe knobs."""

import math

import pytest
import torch

from rave_lite.export.torchscript import load
from rave_lite.prior.player import FREE, PriorPlayer
from tests.export.test_export import failed
from tests.models import measured, written
from tests.prior.test_prior import random_prior

FRAMES = 24


@pytest.fixture(scope="module")
def model():
    return measured()


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    return written(model, tmp_path_factory.mktemp("alone"), prior=random_prior())


def play(live, method: str, temperature: torch.Tensor, blocks: list[int]) -> torch.Tensor:
    live.reset()
    with torch.inference_mode():
        return torch.cat([getattr(live, method)(block) for block in temperature.split(blocks, -1)], -1)


def test_hosts_find_two_methods_more(model, file):
    live = load(file)
    assert live.get_methods() == ["encode", "decode", "forward", "prior", "generate"]
    assert live.prior_params.tolist() == [1, model.hop, 16, model.hop]
    assert live.generate_params.tolist() == [1, model.hop, 1, 1]
    assert live.get_attributes()[-5:] == ["envelope", "temperature", "density", "tempo", "hold"]
    assert live.prior_input_labels == live.generate_input_labels == ["temperature"]


def test_without_a_prior_there_is_nothing_more(model, tmp_path):
    live = load(written(model, tmp_path))
    assert live.get_methods() == ["encode", "decode", "forward"]
    assert live.get_attributes()[-1] == "envelope"
    assert not hasattr(live, "prior")


@pytest.mark.sampled(2)
@pytest.mark.parametrize("options", [{}, {"sample_rate": 48000}, {"channels": 2, "batch_size": 2}, {"latent_size": 3},
                                     {"precision": "int8"}])
def test_every_kind_of_file_plays_the_same_in_any_blocks(model, tmp_path, options):
    path = written(model, tmp_path, prior=random_prior(), **options)
    assert failed(path, None) == {}
    live = load(path)
    temperature = torch.full((2, live.channels, FRAMES), 0.8)
    latents = play(live, "prior", temperature, [FRAMES])
    assert latents.std(2).min() > 1e-3
    for method, whole in (("prior", latents), ("generate", play(live, "generate", temperature, [FRAMES]))):
        again = play(live, method, temperature, [1, 5, 2, 9, 7])
        if live.precision == "float32" or method == "prior":
            assert torch.allclose(again, whole, atol=1e-5 * max(1, float(whole.abs().max())))
    sound = play(live, "generate", temperature, [FRAMES])
    assert torch.allclose(play(live, "decode", latents, [FRAMES]), sound, atol=1e-5 * max(1, float(sound.abs().max())))


def test_it_draws_what_the_player_draws_offline(file):
    """Frame by frame with torch's own modules; the seed is the noise's, and starts both anew."""
    live, player = load(file), PriorPlayer(random_prior(), 4)
    temperature = torch.rand(2, 1, FRAMES)
    for seed in (0, 5):
        live.set_seed(seed)
        player.reset()
        player.set_seed(seed)
        with torch.no_grad():
            expected = player(temperature, torch.full((2, FRAMES), FREE))
        assert torch.allclose(play(live, "prior", temperature, [1] * FRAMES), expected, atol=1e-5)


def test_bad_temperatures_are_those_of_the_attribute(file):
    live = load(file)
    live.set_temperature(0.3)
    expected = play(live, "prior", torch.full((1, 1, FRAMES), 0.3), [FRAMES])
    for value in (math.nan, -1.0, 0.0, -math.inf, math.inf):
        assert torch.equal(play(live, "prior", torch.full((1, 1, FRAMES), value), [FRAMES]), expected), value
    assert play(live, "generate", torch.full((1, 1, FRAMES), 1e30), [FRAMES]).isfinite().all()


def test_the_tempo_stays_within_a_half_and_two(file):
    """What is no number changes nothing; at 1 the file plays as if the knob had not been touched."""
    live, ones = load(file), torch.ones(1, 1, 4 * FRAMES)
    usual = play(live, "prior", ones, [4 * FRAMES])
    for value, clamped in ((2.0, 2.0), (9.0, 2.0), (math.nan, 2.0), (-1.0, 0.5), (math.inf, 0.5), (1.0, 1.0)):
        live.set_tempo(value)
        assert live.get_tempo() == (clamped,)
        assert torch.equal(play(live, "prior", ones, [4 * FRAMES]), usual) == (clamped == 1.0)


def test_hold_and_density(file):
    live = load(file)
    play(live, "prior", torch.ones(1, 1, FRAMES), [FRAMES])
    live.set_hold(1.0)
    held = live.prior(torch.ones(1, 1, FRAMES))
    assert torch.equal(held, held[..., :1].expand_as(held))
    live.set_hold(0.0)
    usual = play(live, "prior", torch.ones(1, 1, FRAMES), [FRAMES])
    live.set_density(0.0)
    assert not torch.equal(play(live, "prior", torch.ones(1, 1, FRAMES), [FRAMES]), usual)
