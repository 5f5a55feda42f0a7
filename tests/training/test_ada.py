"""Discriminator augmentation: equal on both sides, stronger the surer they are; part of the state only if configured."""

import math

import pytest
import torch

from rave_lite import InputError
from rave_lite.model import read_checkpoint
from rave_lite.training.ada import MAX_EQ_DB, MAX_GAIN_DB, MAX_P, MAX_SILENCE, AdaptiveAugmentation
from tests.runs import audio, gradients, run, stop_at, training

ON = "training.ada={target: 0.6, ramp: 20}"


def at(p: float) -> AdaptiveAugmentation:
    ada = AdaptiveAugmentation()
    ada.p.fill_(p)
    torch.manual_seed(3)
    return ada


def scores(value: float) -> list[torch.Tensor]:
    return [torch.full((4, 1, n), value) for n in (3, 7)]


def test_p_rises_while_real_audio_is_recognised_and_falls_else():
    ada = AdaptiveAugmentation(target=0.6, ramp=100)
    seen = []
    for value in (2.0, 2.0, -1.0, -1.0, -1.0):
        ada.adapt(scores(value), 4)
        seen.append(float(ada.p))
    assert seen == pytest.approx([0.04, 0.08, 0.04, 0, 0])
    for _ in range(30):
        ada.adapt(scores(0.1), 4)
    assert float(ada.p) == pytest.approx(MAX_P)
    half = [torch.tensor([1.0, 1.0, 1.0, -1.0]), torch.tensor([1.0])]
    ada.adapt(half, 4)  # (0.5 + 1) / 2 is above 0.6: each discriminator counts the same
    assert float(ada.p) == pytest.approx(MAX_P)
    half[1] *= -1
    ada.adapt(half, 4)
    assert float(ada.p) == pytest.approx(MAX_P - 0.04)


def test_both_are_changed_alike_and_items_differently():
    real = audio(8, 6001)
    first, second = at(MAX_P)(real, real.clone())
    assert torch.equal(first, second)
    assert first.shape == real.shape
    assert ((first - real).abs().amax((1, 2)) > 1e-3).sum() >= 6
    equal_items = audio(1, 6000).expand(8, 1, -1)
    augmented, _ = at(MAX_P)(equal_items, equal_items)
    assert all((augmented[i] - augmented[j]).abs().max() > 1e-3 for i in range(8) for j in range(i))


def test_a_moment_is_silent_on_both_sides(monkeypatch):
    monkeypatch.setattr("rave_lite.training.ada.MAX_SILENCE", 0.5)
    x = audio(30)
    first, second = at(1.0)(x, 2 * x)
    spans = ((first == 0).sum(2).flatten() / x.shape[-1]).tolist()
    assert 0 < min(spans) < 0.1
    assert 0.4 < max(spans) <= 0.5
    assert torch.equal(first == 0, second == 0)


def test_at_p_0_nothing_changes():
    real, generated = audio(4), audio(5)[:4].flip(-1)
    for before, after in zip((real, generated), at(0)(real, generated), strict=True):
        assert torch.allclose(before, after, atol=1e-6)


def test_as_many_items_are_changed_as_p_says():
    """Gain, shift, all-pass, silence and eight knots have the chance p, a flip the half of it."""
    x = audio(1, 1024).expand(2000, 1, -1)
    augmented, _ = at(0.1)(x, x)
    same = ((augmented - x).abs().amax((1, 2)) < 1e-5).float().mean()
    assert float(same) == pytest.approx((1 - 0.1) ** 12 * (1 - 0.1 / 2), abs=0.025)


def test_each_change_is_what_it_is_called():
    x = audio(400, 4096)
    ada = at(1.0)
    response = ada.response(x)
    level = 20 * response.abs().log10()
    assert level.abs().max() <= MAX_GAIN_DB + MAX_EQ_DB + 1e-3
    assert level.std() > 3
    assert level.diff(dim=1).std() > 0.001  # not the gain alone
    assert 0.3 < (response[:, 0].real < 0).float().mean() < 0.7  # polarity, where neither shift nor all-pass turn
    w = torch.linspace(0, math.pi, 2049)
    assert torch.allclose(ada._all_pass(x, w).abs(), torch.ones(1), atol=1e-4)
    assert ada._all_pass(x, w).angle().abs().amax(1).min() > 0.1
    silent = ada.silence_mask(x) == 0
    assert silent.float().mean(1).max() <= MAX_SILENCE + 1 / 4096
    assert silent.float().mean() == pytest.approx(MAX_SILENCE / 2, abs=0.01)
    assert (silent.int().diff(dim=1) == 1).sum(1).max() == 1


def test_a_shift_moves_samples_round_and_changes_none(monkeypatch):
    ada, x = at(1.0), torch.arange(98304.0).view(1, 1, -1) / 98304
    for name, neutral in (("MAX_GAIN_DB", 0.0), ("MAX_EQ_DB", 0.0), ("MAX_SILENCE", 0.0), ("POLE_RADII", (0.0, 0.0))):
        monkeypatch.setattr(f"rave_lite.training.ada.{name}", neutral)
    shifted, _ = ada(x, x)
    shifted = shifted * shifted.sum().sign()
    start = int(shifted.flatten().argmin())
    assert start > 0
    assert torch.allclose(shifted.roll(-start, -1), x, atol=2e-4)


def test_the_gradient_reaches_the_generator_through_it():
    module = training(ON)
    module.ada.p.fill_(0.8)
    module.step = 11
    terms = module.generator_losses(audio())
    (terms["adversarial"] + terms["feature_matching"]).backward()
    assert gradients(module.model.decoder) == {True}
    assert max(float(p.grad.abs().max()) for p in module.model.decoder.parameters()) > 0


def test_all_that_the_discriminators_hear_is_changed_and_the_distances_are_not(monkeypatch):
    module, plain = training(ON), training()
    inputs_seen = []
    module.discriminator.register_forward_hook(lambda _, inputs, __: inputs_seen.append(inputs[0].detach()))
    module.ada.p.fill_(0.8)
    for step, loss_of in ((11, module.generator_losses), (12, module.discriminator_loss)):
        module.step = plain.step = step
        with monkeypatch.context() as patch:  # a generator that returns the reference
            patch.setattr(module, "aligned", lambda reference, output, _: (reference, reference + 0 * output[..., :1].sum()))
            torch.manual_seed(0)
            loss_of(audio())
        real, generated = torch.cat(inputs_seen[-2:] if step == 11 else inputs_seen[-1:]).chunk(2)
        assert torch.equal(real, generated)
        assert (real - audio()).abs().max() > 1e-3
    module.step = plain.step = 11
    results = []
    for trained in (module, plain):
        torch.manual_seed(0)
        results.append(trained.generator_losses(audio()))
    assert all(torch.equal(results[0][name], results[1][name]) for name in ("linear", "mel", "bands", "penalty"))
    assert not torch.equal(results[0]["feature_matching"], results[1]["feature_matching"])


def test_only_the_discriminators_steps_move_p():
    module = training(ON, "training.ada.target=-0.99")
    optimizers = module.configure_optimizers()
    seen = []
    for module.step in (3, 11, 12, 13, 16):
        module.update_step(audio(), *optimizers)
        seen.append(float(module.ada.p))
    assert seen == pytest.approx([0, 0, 0.1, 0.1, 0.2])


def test_off_it_is_no_part_of_the_state():
    assert not [key for key in training().state_dict() if "ada" in key]
    module = training(ON)
    module.ada.p.fill_(0.3)
    other = training(ON)
    other.load_state_dict(module.state_dict())
    assert float(other.ada.p) == pytest.approx(0.3)


@pytest.mark.slow
def test_a_resumed_run_goes_on_with_its_p(settings, tmp_path, monkeypatch):
    on = ["training.ada={target: -0.99, ramp: 8}", "phase1.steps=3", "augmentation=light"]
    run(tmp_path / "whole", *settings, *on)
    with monkeypatch.context() as patch:
        stop_at(8, patch)
        run(tmp_path / "parts", *settings, *on)
    run(tmp_path / "parts", "resume=last", *settings, *on)
    whole, parts = (read_checkpoint(tmp_path / name / "checkpoints/last.ckpt").state_dict for name in ("whole", "parts"))
    assert float(whole["ada.p"]) == pytest.approx(0.5)  # two of nine steps were the discriminators', of two windows each
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


@pytest.mark.parametrize(("ada", "message"), [
    ("{target: 2}", "training.ada.target: 2"), ("{ramp: 0}", "training.ada.ramp: 0"), ("{speed: 1}", "say null, or"),
    ("{target: high}", "training.ada.target: high"), ("{ramp: abc}", "training.ada.ramp: abc"), ("0.6", "say null, or")])
def test_settings_that_are_wrong(ada, message):
    with pytest.raises(InputError, match=message):
        training(f"training.ada={ada}")
