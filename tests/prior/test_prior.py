"""The prior: its likelihood against torch.distributions, what it draws, its training, its file."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from rave_lite import InputError
from rave_lite.prior import pretrain
from rave_lite.prior.file import load, save
from rave_lite.prior.fit import fit, nats
from rave_lite.prior.network import AGES, FLOOR, Prior, ages, matched
from rave_lite.prior.player import FREE, PriorPlayer
from rave_lite.prior.sequences import Sequence, sequences, strokes
from tests.models import measured
from tests.sounds import clip, drum

SMALL = {"hidden": 12, "layers": 2, "components": 3}


def steady(frames: int = 60, every: int = 7, size: int = 16, seed: int = 0) -> Sequence:
    """Latents that jump at each stroke and die away, one stroke every few frames."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.full((frames,), torch.nan)
    levels[::every] = -20 + 6 * torch.randn(len(levels[::every]), generator=generator)
    jumps = torch.randn(frames, size, generator=generator) * 2 * (~levels.isnan())[:, None]
    latents = [jumps[0]]
    for jump in jumps[1:]:
        latents.append(0.6 * latents[-1] + jump)
    return Sequence("steady", torch.stack(latents), levels, frames)


def random_prior(size: int = 16) -> Prior:
    """A prior with random weights, measured on `steady`."""
    torch.manual_seed(0)
    prior = Prior(size=size, directions=5, **SMALL).eval()
    row = steady(size=size)
    prior.measure(row.latents[1:], row.latents[:-1], row.levels[~row.levels.isnan()], torch.zeros(size))
    with torch.no_grad():
        for weight in prior.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return prior


@torch.no_grad()
def test_the_likelihood_is_that_of_torch_distributions():
    """In float64, frame by frame, with cells of torch and distributions of torch."""
    prior, row = random_prior().double(), steady(30, seed=1)
    latents = row.latents.double()
    expected, previous = [], prior.start
    frames, classes = prior.standardise(latents), prior.classify(row.levels)
    memory, stroke, age = [torch.zeros(1, 12).double() for _ in range(2)], torch.tensor([0]), 1000.0
    cells = [torch.nn.GRUCell(size, 12).double() for size in (5 + 5 + len(AGES), 12)]
    for layer, cell in enumerate(cells):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            setattr(cell, name, getattr(prior.gru, f"{name}_l{layer}"))
    for frame, here in zip(frames, classes, strict=True):
        one_hot = torch.nn.functional.one_hot(stroke, 5).double()
        old = torch.eye(len(AGES) + 1)[[sum(age > edge + 0.5 for edge in AGES)], :-1].double()
        x = torch.cat([previous[None], one_hot, old], 1)
        for layer, cell in enumerate(cells):
            x = memory[layer] = cell(x, memory[layer])
        weight, mean, scale = prior.mixture(x, here[None].double().long(), previous[None])
        components = Independent(Normal(mean, (scale**2 + FLOOR**2).sqrt()), 1)
        density = MixtureSameFamily(Categorical(logits=weight), components)
        strokes_here = Categorical(logits=prior.stroke(torch.cat([x, old], 1)))
        expected.append(strokes_here.log_prob(here) + density.log_prob(frame[None]))
        previous, stroke, age = frame, here[None], 1.0 if here else min(1000.0, age + 1)
    assert torch.allclose(prior.log_likelihood(latents, row.levels), torch.cat(expected), atol=1e-5)


@torch.no_grad()
def test_ar1_is_the_gaussian_of_least_squares():
    """Against numpy's least squares, and a multivariate normal with the covariance of its errors and the floor."""
    row = steady(400)
    prior = Prior(size=16, directions=5, **SMALL)
    prior.measure(row.latents[1:], row.latents[:-1], row.levels[~row.levels.isnan()], torch.zeros(16))
    x = ((row.latents[:, :5] - row.latents[1:, :5].mean(0)) / row.latents[1:, :5].std(0)).double()
    design = np.hstack([x[:-1], np.ones((len(x) - 1, 1))])
    weights = np.linalg.lstsq(design, x[1:].numpy(), rcond=None)[0]
    errors = x[1:] - torch.from_numpy(design @ weights)
    covariance = errors.T @ errors / len(errors) + FLOOR**2 * torch.eye(5)
    expected = MultivariateNormal(torch.from_numpy(design @ weights), covariance).log_prob(x[1:])
    assert torch.allclose(prior.ar1(row.latents)[1:].double(), expected, atol=0.02)
    assert float(prior.ar1(row.latents)[1:].mean() - expected.mean()) == pytest.approx(0, abs=2e-3)


@torch.no_grad()
def test_the_turned_directions_and_the_others_come_back():
    row = steady(400)
    row.latents[:, 5:] = row.latents[:, :5] @ torch.randn(5, 11) + 3
    prior = random_prior()
    prior.measure(row.latents[1:], row.latents[:-1], torch.tensor([-20.0]), torch.zeros(16))
    assert torch.allclose(prior.restore(prior.standardise(row.latents)), row.latents, atol=0.05)
    assert torch.allclose(prior.axes @ prior.axes.T, torch.eye(5), atol=1e-5)


@torch.no_grad()
def test_blocks_and_streams_do_not_matter_also_scripted():
    player = PriorPlayer(random_prior(), 4)
    scripted = torch.jit.script(player)
    temperature, free = 0.8 * torch.ones(4, 1, 20), torch.full((4, 20), FREE)
    whole = player(temperature, free)
    assert whole.std(2).min() > 1e-3
    player.reset()  # the scripted form shares its state
    sizes = [1, 3, 5, 11]
    blocks = [scripted(t, s) for t, s in zip(temperature.split(sizes, 2), free.split(sizes, 1), strict=True)]
    assert torch.allclose(torch.cat(blocks, 2), whole, atol=1e-5)
    assert (whole[0] - whole[1]).abs().max() > 0.1
    player.reset()
    assert torch.allclose(player(temperature[:1], free[:1]), whole[:1], atol=1e-5)
    player.reset()
    player.set_seed(1)
    assert (player(temperature, free) - whole).abs().max() > 0.1


@torch.no_grad()
def test_what_it_draws_has_the_likelihood_it_says():
    """Drawn strokes come as often as their probabilities say; frames at temperature 0 are the mean of a component."""
    prior = random_prior()
    player = PriorPlayer(prior, 1500)
    temperature, free = torch.ones(1500, 1, 3), torch.full((1500, 3), FREE)
    player(temperature, free)
    state = player.state[:, 2 * 12 + 5]
    other = PriorPlayer(prior, 1500)
    other(temperature[..., :2], free[:, :2])
    expected = torch.softmax(prior.strokes(other.remember(other.state)[0][-1], other.state[:, 2 * 12 + 6]), 1).mean(0)
    seen = torch.stack([(state == c).float().mean() for c in range(5)])
    assert torch.allclose(seen, expected, atol=4 * 0.5 / 1500**0.5)
    player.reset()
    player.turn(1, 0.0)
    player(temperature, free)
    assert not player.state[:, 2 * 12 + 5].any()


@torch.no_grad()
def test_knobs():
    player = PriorPlayer(random_prior(), 1)
    free = torch.full((1, 8), FREE)

    def play(temperature: float) -> torch.Tensor:
        player.reset()
        return player(torch.full((1, 1, 8), temperature), free)

    player.turn(0, 0.5)
    assert torch.equal(play(0.0), play(0.5))
    assert torch.equal(play(-3.0), play(0.5))
    assert torch.equal(play(1e9), play(4.0))
    assert play(1e9).isfinite().all()
    player.turn(3, 1.0)
    last = player.state[0, -16:].clone()
    assert torch.equal(player(torch.ones(1, 1, 8), free), last.view(1, 16, 1).expand(1, 16, 8))


@torch.no_grad()
def test_at_tempo_1_strokes_are_as_learned():
    """To the last bit, and at whole ages; also when strokes are all but sure, or all but impossible."""
    prior = random_prior()
    prior.stroke.weight.mul_(40)
    player, ages = PriorPlayer(prior, 1), torch.arange(1.0, 1001.0)
    memory = torch.randn(1000, 12)
    logits, late = player.strokes(memory, ages)
    assert torch.equal(logits, prior.strokes(memory, ages))
    assert not late.any()


@torch.no_grad()
@pytest.mark.parametrize("tempo", [0.5, 0.75, 1.25, 1.5, 2.0])
def test_the_chance_of_no_stroke_yet_runs_at_the_tempo(tempo):
    """After n frames it is that of `n * tempo` frames of training; what frames round up or down is carried over."""
    prior = random_prior().double()
    player = PriorPlayer(prior, 1).double()
    player.turn(2, tempo)
    memory, ages = torch.zeros(60, 12).double(), torch.arange(1.0, 61.0).double()
    none = lambda logits: torch.log_softmax(logits, 1)[:, 0]
    learned = np.append(0.0, none(prior.strokes(memory, ages)).cumsum(0))  # log of the chance, after 0, 1, ... 60 frames
    survival, mean = 0.0, 0.0  # the same at the tempo; of the ages at which strokes count as coming
    for n in range(1, int(60 / tempo) + 1):
        age = torch.tensor([n * tempo]).double()
        logits, late = player.strokes(memory[:1], age)
        mean += float(age - late) * np.exp(survival) * -np.expm1(float(none(logits)))
        survival += float(none(logits))
        assert survival == pytest.approx(np.interp(n * tempo, np.arange(61), learned), abs=1e-6)
    assert survival < -7
    assert mean == pytest.approx(float(ages @ -np.diff(np.exp(learned))), rel=2e-3)


@torch.no_grad()
@pytest.mark.parametrize("tempo", [0.5, 0.75, 1.5, 2.0])
def test_strokes_follow_each_other_at_the_tempo_and_sound_as_they_did(tempo):
    prior, row = Prior(size=16, directions=5, **SMALL).eval(), steady(2100, every=7)
    prior.measure(row.latents[1:], row.latents[:-1], row.levels[~row.levels.isnan()], torch.zeros(16))
    prior.measure_strokes([prior.classify(row.levels)])
    player, temperature, free = PriorPlayer(prior, 100), torch.ones(100, 1, 120), torch.full((100, 120), FREE)
    driven = torch.where(torch.arange(120) % 7 == 0, 1, 0).expand(100, -1)
    usual, counts, at = player(temperature, driven), [], player.memory * player.hidden + 5
    for value in (1.0, tempo):
        player.reset()
        player.turn(2, value)
        counts.append(sum(int((player(temperature[..., t : t + 1], free[:, t : t + 1]), player.state[:, at] > 0)[1].sum())
                          for t in range(120)))
    assert counts[1] / counts[0] == pytest.approx(tempo, rel=0.03)
    player.reset()
    assert torch.equal(player(temperature, driven), usual)


def test_to_continue_is_as_teacher_forcing():
    """After hearing a sequence the next frame's probabilities are those that its likelihood is made of."""
    prior, row = random_prior(), steady(12)
    player = PriorPlayer(prior, 1)
    player.continue_from(row.latents, row.levels)
    frames, classes = prior.standardise(row.latents)[None], prior.classify(row.levels)[None]
    with torch.no_grad():
        x = prior.inputs(prior.delayed(frames), torch.nn.functional.pad(classes[:, :-1], (1, 0)), ages(classes))
        assert torch.allclose(prior.gru(x)[0][:, -1], player.state[:, 12:24], atol=1e-5)
    assert torch.equal(player.state[:, 24:29], frames[:, -1])
    assert player.state[0, 30] == 5


def test_training_beats_a_gaussian_and_keeps_its_word(tmp_path):
    model = measured()
    train, held_out = [steady(80, seed=n) for n in range(6)], [steady(80, seed=n) for n in (20, 21)]
    prior, figures = fit(model, train, held_out, **SMALL, directions=5, steps=40)
    assert figures.gain > 0.3
    assert figures.shuffled < figures.prior
    again, same = fit(model, train, held_out, **SMALL, directions=5, steps=40)
    assert same == figures
    save(tmp_path / "prior.ckpt", prior, figures, model, "mine")
    loaded, read = load(tmp_path, model)
    assert read == figures
    assert all(torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), again.state_dict().values(), strict=True))
    other = measured()
    with torch.no_grad():
        next(other.parameters()).mul_(1.5)
    with pytest.raises(InputError, match="of another model, 'mine'"):
        load(tmp_path / "prior.ckpt", other)
    torch.save({"a": 1}, tmp_path / "no.ckpt")
    with pytest.raises(InputError, match="no prior"):
        load(tmp_path / "no.ckpt", model)
    with pytest.raises(InputError, match="no such prior"):
        load(tmp_path / "none.ckpt", model)


@torch.no_grad()
def test_training_starts_from_a_renewal_process():
    prior, row = Prior(size=16, directions=5, **SMALL), steady(210, every=7)
    strokes = (~row.levels.isnan()).long()
    prior.measure_strokes([strokes])
    chance = 1 - torch.softmax(prior.strokes(torch.randn(10, 12), torch.arange(1.0, 11.0)), 1)[:, 0]
    assert chance[6] > 0.9
    assert chance[:6].max() < 0.05


@torch.no_grad()
def test_axes_are_matched_whatever_their_order_and_signs():
    axes = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(0)))[0]
    turned = axes[:, [3, 0, 4, 2, 1]] * torch.tensor([1.0, -1, 1, -1, -1])
    assert torch.allclose(matched(turned, axes), axes)


def test_pretraining_starts_from_what_was_learned_and_counts_strokes_anew():
    """Of the same recordings it knows what it knew; of ones with another rhythm, mean and spread more than from nothing."""
    model, options = measured(), {**SMALL, "directions": 5, "seed": 1}
    train, held_out = [steady(80, seed=n) for n in range(6)], [steady(80, seed=n) for n in (20, 21)]
    learned, figures = fit(model, train, held_out, **options, steps=60)
    other = lambda seed: replace(row := steady(80, every=5, seed=seed), latents=3 * row.latents + 1)
    few, judge = [other(30)], [other(40), other(41)]
    start, nothing = (fit(model, few, judge, **options, steps=0, pretrained=p)[0] for p in (learned, None))
    assert float(nats(start, judge).sum()) > float(nats(nothing, judge).sum())
    assert torch.equal(start.stroke.bias, nothing.stroke.bias)
    assert torch.equal(start.stroke.weight[:, 12:], nothing.stroke.weight[:, 12:])
    assert torch.equal(start.deviation, nothing.deviation)
    again, _ = fit(model, train, held_out, **options, steps=0, pretrained=learned)
    assert torch.equal(again.axes, learned.axes)
    assert torch.equal(again.gru.weight_hh_l1, learned.gru.weight_hh_l1)
    assert float(nats(again, held_out).sum()) / figures.held_out_frames == pytest.approx(figures.prior, abs=0.5)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_built_in_rhythms_are_sequences_of_the_model(monkeypatch, channels):
    monkeypatch.setattr(pretrain, "TRAIN", range(100, 101))
    monkeypatch.setattr(pretrain, "HELD_OUT", range(101, 102))
    model = measured(f"model.channels={channels}")
    train, held_out = pretrain.built_in_rhythms(model)
    assert [row.name for row in train] == ["rebana_100", "kompang_100", "gendang_100", "hadrah_100"]
    for one, other in zip(train, held_out, strict=True):
        assert one.strokes > 20
        assert one.latents.shape[1] == model.latent_size
        assert not torch.equal(one.latents[:50], other.latents[:50])


def test_too_few_frames_are_told():
    with pytest.raises(InputError, match="20 frames of latents to train on"):
        fit(measured(), [steady(20)], [steady(20)])


def test_sequences_hold_the_latents_and_the_strokes():
    model = measured()
    rate = model.sample_rate
    sound = np.zeros(4 * rate, np.float32)
    for n, at in enumerate((0.5, 1.3, 2.2)):
        hit = drum(n)[: rate // 2]
        sound[round(at * rate) :][: len(hit)] += hit[: len(sound) - round(at * rate)]
    begins = strokes(sound, rate)
    assert [begin / rate for begin, _ in begins] == pytest.approx([0.5, 1.3, 2.2], abs=0.02)
    (row,) = sequences(model, [clip("a.wav", sound)])
    assert row.counted == -(-len(sound) // model.hop) < len(row.latents)
    assert row.strokes == 3
    with torch.no_grad():
        whole = model.principal(model.encode(torch.from_numpy(sound[: row.counted // 2 * model.hop])[None, None]))
    delay = max(0, model.encoder.delay)
    assert torch.allclose(row.latents[: whole.shape[2] - delay].T, whole[0, :, delay:], atol=1e-4)
