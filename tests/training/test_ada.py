"""What the discriminators hear: changed alike on both sides, more the surer they are; part of the state, if asked for."""

import math

import pytest
import torch

from rave_lite import InputError
from rave_lite.model import read_checkpoint
from rave_lite.training.ada import EQ, GAIN, HIGHEST, MUTED, AdaptiveAugmentation
from tests.training.test_module import audio, gradients, training
from tests.training.test_run import losses, run, settings, stop_at  # noqa: F401

ON = "training.ada={target: 0.6, ramp: 20}"


def at(p: float) -> AdaptiveAugmentation:
    ada = AdaptiveAugmentation()
    ada.p.fill_(p)
    torch.manual_seed(3)
    return ada


def scores(value: float) -> list[list[torch.Tensor]]:
    return [[torch.zeros(4, 8, 5), torch.full((4, 1, n), value)] for n in (3, 7)]


def test_p_rises_while_real_audio_is_recognised_and_falls_else():
    ada = AdaptiveAugmentation(target=0.6, ramp=100)
    seen = []
    for value in (2.0, 2.0, -1.0, -1.0, -1.0):
        ada.adapt(scores(value), 4)
        seen.append(float(ada.p))
    assert seen == pytest.approx([0.04, 0.08, 0.04, 0, 0])
    for _ in range(30):
        ada.adapt(scores(0.1), 4)
    assert float(ada.p) == pytest.approx(HIGHEST)
    half = [[torch.zeros(1), torch.tensor([1.0, 1.0, 1.0, -1.0])], [torch.zeros(1), torch.tensor([1.0])]]
    ada.adapt(half, 4)  # (0.5 + 1) / 2 is above 0.6: each discriminator counts the same
    assert float(ada.p) == pytest.approx(HIGHEST)
    half[1][1] *= -1
    ada.adapt(half, 4)
    assert float(ada.p) == pytest.approx(HIGHEST - 0.04)


def test_both_are_changed_alike_and_items_differently():
    real = audio(8, 6001)
    first, second = at(HIGHEST)(real, real.clone())
    assert torch.equal(first, second)
    assert first.shape == real.shape
    assert ((first - real).abs().amax((1, 2)) > 1e-3).sum() >= 6
    one = audio(1, 6000).expand(8, 1, -1)
    made, _ = at(HIGHEST)(one, one)
    assert all((made[i] - made[j]).abs().max() > 1e-3 for i in range(8) for j in range(i))


def test_a_moment_is_silent_on_both_sides(monkeypatch):
    monkeypatch.setattr("rave_lite.training.ada.MUTED", 0.5)
    x = audio(30)
    first, second = at(1.0)(x, 2 * x)
    spans = ((first == 0).sum(2).flatten() / x.shape[-1]).tolist()
    assert 0 < min(spans) < 0.1
    assert 0.4 < max(spans) <= 0.5
    assert torch.equal(first == 0, second == 0)


def test_at_p_0_nothing_changes():
    real, made = audio(4), audio(5)[:4].flip(-1)
    for before, after in zip((real, made), at(0)(real, made), strict=True):
        assert torch.allclose(before, after, atol=1e-6)


def test_as_many_items_are_changed_as_p_says():
    """Gain, shift, all-pass, silence and eight knots have the chance p, a flip the half of it."""
    x = audio(1, 1024).expand(2000, 1, -1)
    made, _ = at(0.1)(x, x)
    same = ((made - x).abs().amax((1, 2)) < 1e-5).float().mean()
    assert float(same) == pytest.approx((1 - 0.1) ** 12 * (1 - 0.1 / 2), abs=0.025)


def test_each_change_is_what_it_is_called():
    x = audio(400, 4096)
    ada = at(1.0)
    response = ada.response(x)
    level = 20 * response.abs().log10()
    assert level.abs().max() <= GAIN + EQ + 1e-3
    assert level.std() > 3
    assert level.diff(dim=1).std() > 0.001  # not the gain alone
    assert 0.3 < (response[:, 0].real < 0).float().mean() < 0.7  # polarity, where neither shift nor all-pass turn
    w = torch.linspace(0, math.pi, 2049)
    assert torch.allclose(ada._all_pass(x, w).abs(), torch.ones(1), atol=1e-4)
    assert ada._all_pass(x, w).angle().abs().amax(1).min() > 0.1
    silent = ada.sounding(x) == 0
    assert silent.float().mean(1).max() <= MUTED + 1 / 4096
    assert silent.float().mean() == pytest.approx(MUTED / 2, abs=0.01)
    assert (silent.int().diff(dim=1) == 1).sum(1).max() == 1


def test_a_shift_moves_samples_round_and_changes_none(monkeypatch):
    ada, x = at(1.0), torch.arange(98304.0).view(1, 1, -1) / 98304
    for name, neutral in (("GAIN", 0.0), ("EQ", 0.0), ("MUTED", 0.0), ("RADII", (0.0, 0.0))):
        monkeypatch.setattr(f"rave_lite.training.ada.{name}", neutral)
    made, _ = ada(x, x)
    made = made * made.sum().sign()
    start = int(made.flatten().argmin())
    assert start > 0
    assert torch.allclose(made.roll(-start, -1), x, atol=2e-4)


def test_the_gradient_reaches_the_generator_through_it():
    module = training(ON)
    module.ada.p.fill_(0.8)
    module.step = 11
    found = module.generator_losses(audio())
    (found["adversarial"] + found["feature_matching"]).backward()
    assert gradients(module.model.decoder) == {True}
    assert max(float(p.grad.abs().max()) for p in module.model.decoder.parameters()) > 0


def test_all_that_the_discriminators_hear_is_changed_and_the_distances_are_not(monkeypatch):
    module, plain = training(ON), training()
    heard = []
    module.discriminator.register_forward_hook(lambda _, inputs, __: heard.append(inputs[0].detach()))
    module.ada.p.fill_(0.8)
    for step, used in ((11, module.generator_losses), (12, module.discriminator_loss)):
        module.step = plain.step = step
        with monkeypatch.context() as patch:  # a generator that plays back what it should
            patch.setattr(module, "aligned", lambda reference, made, delay: (reference, reference + 0 * made[..., :1].sum()))
            torch.manual_seed(0)
            used(audio())
        real, made = heard[-2:]
        assert torch.equal(real, made)
        assert (real - audio()).abs().max() > 1e-3
    module.step = plain.step = 11
    found = []
    for one in (module, plain):
        torch.manual_seed(0)
        found.append(one.generator_losses(audio()))
    assert all(torch.equal(found[0][name], found[1][name]) for name in ("linear", "mel", "bands", "penalty"))
    assert not torch.equal(found[0]["feature_matching"], found[1]["feature_matching"])


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


def test_a_resumed_run_goes_on_with_its_p(settings, tmp_path, monkeypatch):  # noqa: F811
    on = ["training.ada={target: -0.99, ramp: 8}", "phase1.steps=3", "augmentation=light"]
    run(tmp_path / "whole", *settings, *on)
    with monkeypatch.context() as patch:
        stop_at(8, patch)
        run(tmp_path / "parts", *settings, *on)
    run(tmp_path / "parts", "resume=last", *settings, *on)
    whole, parts = (read_checkpoint(tmp_path / name / "checkpoints/last.ckpt")["state_dict"] for name in ("whole", "parts"))
    assert float(whole["ada.p"]) == pytest.approx(0.5)  # two of nine steps were the discriminators', of two windows each
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


@pytest.mark.parametrize(("ada", "message"), [
    ("{target: 2}", "training.ada.target: 2"), ("{ramp: 0}", "training.ada.ramp: 0"), ("{speed: 1}", "say null, or"),
    ("{target: high}", "training.ada.target: high"), ("{ramp: abc}", "training.ada.ramp: abc"), ("0.6", "say null, or")])
def test_settings_that_are_wrong(ada, message):
    with pytest.raises(InputError, match=message):
        training(f"training.ada={ada}")
