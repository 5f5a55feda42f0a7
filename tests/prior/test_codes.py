"""The prior of a discrete latent: probabilities of codes, what it draws, its training, its file."""

from itertools import product

import numpy as np
import pytest
import torch

from rave_lite.export.torchscript import load
from rave_lite.model import RAVE
from rave_lite.prior.codes import CodePrior
from rave_lite.prior.file import load as load_prior
from rave_lite.prior.file import save
from rave_lite.prior.fit import fit
from rave_lite.prior.generate import Performance, draw, generate
from rave_lite.prior.player import FREE, PriorPlayer
from rave_lite.prior.sequences import Sequence, sequences
from tests.models import measured, written
from tests.prior.test_prior import SMALL, steady
from tests.sounds import clip, drum

CODES = ("latent=discrete", "latent.codebooks=3", "latent.entries=5", "latent.size=6", "latent.dimension=3")

EXACT = "donot_use_mm_for_euclid_dist"


def discrete_model() -> RAVE:
    """A model whose codebooks say less and less, and of each entry as often."""
    model = measured(*CODES)
    with torch.no_grad():
        model.latent.entries.mul_(torch.tensor([3.0, 1.0, 0.3])[:, None, None])
    return model


@torch.no_grad()
def spoken(model: RAVE, frames: int = 80, seed: int = 0) -> Sequence:
    """Codes of latents that jump at each stroke and die away."""
    row = steady(frames, size=6, seed=seed)
    codes = model.latent.codes(row.latents.T[None])
    return Sequence("spoken", model.principal(model.latent.from_codes(codes))[0].T, row.levels, frames, codes[0].T)


@torch.no_grad()
def random_prior(model: RAVE) -> CodePrior:
    torch.manual_seed(0)
    row = spoken(model)
    prior = CodePrior(size=6, directions=4, codebooks=3, entries=5, **SMALL).eval()
    prior.measure(row.latents[1:], row.latents[:-1], row.levels[~row.levels.isnan()], torch.zeros(6))
    prior.measure_codes(model, row.codes)
    for weight in prior.parameters():
        weight.add_(0.3 * torch.randn_like(weight))
    return prior


def every_frame(prior: CodePrior) -> tuple[torch.Tensor, torch.Tensor]:
    """All frames that there are, `(N, codebooks)`, and their latents."""
    codes = torch.tensor(list(product(range(5), repeat=3)))
    return codes, sum(table[c] for table, c in zip(prior.latents, codes.T, strict=True))


@torch.no_grad()
def test_probabilities_are_of_everything_that_can_be_said():
    """They add up to 1, and each is what the formula says, code by code in float64."""
    prior = random_prior(discrete_model()).double()
    codes, _ = every_frame(prior)
    weight, mean, scale = prior.mixture(torch.randn(1, 12).double(), torch.tensor([1]), torch.randn(1, 4).double())
    density = prior.density(codes, *(part.expand(125, *part.shape[1:]) for part in (weight, mean, scale)))
    assert float(density.exp().sum()) == pytest.approx(1.0, abs=1e-9)
    for at in (0, 17, 124):
        terms = []
        for w, m, s in zip(weight[0], mean[0], scale[0], strict=True):
            for q, code in enumerate(codes[at]):
                normal = torch.distributions.Normal(m - prior.rest[q], (s**2 + prior.spread[q]).sqrt())
                scores = prior.log_shares[q] + normal.log_prob(prior.points[q]).sum(1)
                w, m = w + torch.log_softmax(scores, 0)[code], m - prior.points[q, code]
            terms.append(w)
        assert float(torch.stack(terms).logsumexp(0)) == pytest.approx(float(density[at]), abs=1e-9)


@torch.no_grad()
def test_frames_are_sums_of_entries_and_what_later_codebooks_add_is_measured():
    model = discrete_model()
    prior, row = random_prior(model), spoken(model)
    sums = [sum(table[q][c] for q, c in enumerate(row.codes.T)) for table in (prior.latents, prior.points)]
    assert torch.allclose(sums[0], row.latents, atol=1e-5)
    assert torch.allclose(sums[1], prior.standardise(row.latents), atol=1e-5)
    later = prior.points[1][row.codes[:, 1]] + prior.points[2][row.codes[:, 2]]
    assert torch.allclose(prior.rest[0], later.mean(0), atol=1e-5)
    assert torch.allclose(prior.spread[0], later.var(0, correction=0) + 0.01, atol=1e-5)
    assert not prior.rest[2].any()


@torch.no_grad()
def test_it_draws_codes_as_often_as_it_says():
    """The first frame after silence, 6000 times; each of them is one that can be said."""
    prior = random_prior(discrete_model())
    codes, latents = every_frame(prior)
    player, streams = PriorPlayer(prior, 6000), 6000
    drawn = player(torch.ones(streams, 1, 1), torch.full((streams, 1), 1))[..., 0]
    nearest = torch.cdist(drawn, latents, compute_mode=EXACT).min(1)
    assert nearest.values.max() < 1e-4
    before = PriorPlayer(prior, 1)
    memory, silence = before.remember(before.state)
    mixture = prior.mixture(memory[-1], torch.tensor([1]), silence)
    expected = prior.density(codes, *(part.expand(125, *part.shape[1:]) for part in mixture)).exp()
    seen = nearest.indices.bincount(minlength=125) / streams
    assert expected.max() < 0.9
    assert float((seen - expected).abs().sum()) < 4 * float((expected / streams).sqrt().sum())


@torch.no_grad()
def test_blocks_do_not_matter_also_scripted_and_cold_is_the_likeliest():
    player = PriorPlayer(random_prior(discrete_model()), 2)
    scripted = torch.jit.script(player)
    temperature, free = 0.8 * torch.ones(2, 1, 20), torch.full((2, 20), FREE)
    whole = player(temperature, free)
    player.reset()
    blocks = [scripted(t, s) for t, s in zip(temperature.split([1, 3, 16], 2), free.split([1, 3, 16], 1), strict=True)]
    assert torch.allclose(torch.cat(blocks, 2), whole, atol=1e-5)
    cold = []
    for seed in (1, 2):
        player.reset()
        player.set_seed(seed)
        cold.append(player(1e-3 * torch.ones(2, 1, 6), torch.zeros(2, 6, dtype=torch.long)))
    assert torch.equal(*cold)


def test_a_prior_learns_codes_and_the_file_plays_them(tmp_path):
    """Trained on codes it foresees others better than an AR(1) process; offline and as a file it plays codes only."""
    model = discrete_model()
    train, held_out = [spoken(model, seed=n) for n in range(6)], [spoken(model, seed=n) for n in (20, 21)]
    prior, figures = fit(model, train, held_out, **SMALL, directions=4, steps=60)
    assert isinstance(prior, CodePrior)
    assert figures.shuffled < figures.prior < 0
    assert figures.gain > 0.1
    save(tmp_path / "prior.ckpt", prior, figures, model, "mine")
    loaded, read = load_prior(tmp_path, model)
    assert read == figures
    performance = Performance(12 * model.hop / model.sample_rate, 0.7, seed=3)
    drawn = draw(loaded, performance, 12)
    _, latents = every_frame(loaded)
    assert torch.cdist(drawn.T, latents, compute_mode=EXACT).min(1).values.max() < 1e-4
    live = load(written(model, tmp_path, prior=loaded, latent_size=6))
    live.set_seed(3)
    with torch.inference_mode():
        played = torch.cat([live.generate(torch.full((1, 1, n), 0.7)) for n in (1, 4, 7)], 2)[0, 0]
        live.set_seed(3)
        live.reset()
        assert torch.allclose(live.prior(torch.full((1, 1, 12), 0.7))[0], drawn, atol=1e-4)
    sound = torch.from_numpy(generate(model, loaded, performance))
    assert torch.allclose(played, sound, atol=1e-5 * max(1.0, float(sound.abs().max())))


@torch.no_grad()
@pytest.mark.parametrize("channels", [1, 2])
def test_sequences_hold_codes_but_those_of_parametric_stereo(channels):
    model = measured(*CODES, f"model.channels={channels}")
    sound = drum(0) if channels == 1 else np.stack([drum(0)] * 2)
    (row,) = sequences(model, [clip("a.wav", sound)])
    if channels == 2:
        assert row.codes is None
    else:
        assert torch.allclose(model.principal(model.latent.from_codes(row.codes.T[None]))[0].T, row.latents, atol=1e-5)
