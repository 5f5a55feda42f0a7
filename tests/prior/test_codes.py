"""What a prior plays of a discrete latent: codes, offline and as a file, and no image is lost."""

from itertools import product

import pytest
import torch

from rave_lite.export.torchscript import load
from rave_lite.model import RAVE
from rave_lite.prior.codes import nearest_codes
from rave_lite.prior.generate import Performance, draw, generate
from rave_lite.prior.player import FREE, PriorPlayer
from tests.models import measured, written
from tests.prior.test_prior import random_prior

CODES = ("latent=discrete", "latent.codebooks=3", "latent.entries=5")
EXACT = "donot_use_mm_for_euclid_dist"


def quantised(model: RAVE) -> torch.Tensor:
    """All latents that there are codes for, `(N, latent.size)`."""
    codes = torch.tensor(list(product(range(5), repeat=3)))
    return model.latent.from_codes(codes.T[None])[0].T


@torch.no_grad()
@pytest.mark.parametrize("channels", [1, 2])
def test_the_nearest_codes_are_those_of_the_encoder_and_the_image_stays(channels):
    model = measured(*CODES, f"model.channels={channels}")
    nearest, p = nearest_codes(model), 2 * torch.randn(50, model.latent_size)
    image, z = (part.squeeze(2) for part in (model.principal.inverse(p.unsqueeze(2))).split([model.image_size, 16], 1))
    expected = torch.cat([image, model.latent.mean(z.unsqueeze(2)).squeeze(2)], 1)
    assert torch.allclose(nearest(p), model.principal(expected.unsqueeze(2)).squeeze(2), atol=1e-5)
    assert (nearest(p) - p).abs().max() > 0.1
    other = measured()
    assert torch.equal(nearest_codes(other)(p), p)


@torch.no_grad()
@pytest.mark.parametrize("channels", [1, 2])
def test_offline_and_as_a_file_it_plays_codes_only(tmp_path, channels):
    model = measured(*CODES, f"model.channels={channels}")
    prior, performance = random_prior(model.latent_size), Performance(20 * model.hop / model.sample_rate, 0.7, seed=3)
    drawn = draw(prior, performance, 20, nearest_codes(model))
    played = model.principal.inverse(drawn[None])[0, model.image_size :].T
    assert torch.cdist(played, quantised(model), compute_mode=EXACT).min(1).values.max() < 1e-4
    assert len(played.unique(dim=0)) > 3
    live = load(written(model, tmp_path, prior=prior, latent_size=model.latent_size))
    live.set_seed(3)
    with torch.inference_mode():
        latents = torch.cat([live.prior(torch.full((1, 1, n), 0.7)) for n in (1, 4, 15)], 2)[0]
        assert torch.allclose(latents, drawn, atol=1e-4)
        live.set_seed(3)
        live.reset()
        blocks = [live.generate(torch.full((1, 1, n), 0.7)) for n in (1, 4, 15)]
    sound = torch.from_numpy(generate(model, prior, performance)).view(channels, -1)
    assert torch.allclose(torch.cat(blocks, 2)[0], sound, atol=1e-5 * max(1.0, float(sound.abs().max())))


@torch.no_grad()
def test_what_it_remembers_is_what_it_drew():
    """It draws the same whatever the latent is; only what is played differs."""
    model = measured(*CODES)
    prior, temperature, free = random_prior(), torch.ones(1, 1, 12), torch.full((1, 12), FREE)
    as_drawn, as_codes = PriorPlayer(prior, 1), PriorPlayer(prior, 1, nearest_codes(model))
    latents, codes = as_drawn(temperature, free), as_codes(temperature, free)
    assert torch.equal(as_drawn.state, as_codes.state)
    for drawn, played in zip(latents.unbind(2), codes.unbind(2), strict=True):
        assert torch.equal(as_codes.nearest(drawn), played)
