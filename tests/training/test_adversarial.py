"""Adversarial losses and feature matching by their formulas."""

import copy

import pytest
import torch

from rave_lite import InputError
from rave_lite.training.ada import AdaptiveAugmentation
from rave_lite.training.adversarial import KINDS, Adversarial, feature_matching
from tests.runs import audio, training

REAL = [torch.tensor([[2.0, 0.5]]), torch.tensor([[-1.0]])]
FAKE = [torch.tensor([[-2.0, 0.5]]), torch.tensor([[0.0]])]
BOTH = [torch.cat(pair) for pair in zip(REAL, FAKE, strict=True)]


@pytest.mark.parametrize(("kind", "discriminator", "generator"), [
    ("hinge", 0.25 + 0.75 + 2 + 1, 0.75), ("least_squares", (1 + 0.25) / 2 + (1 + 2.25) / 2 + 4 + 1, (4.625 + 1) / 2)])
def test_adversarial_losses(kind, discriminator, generator):
    assert float(Adversarial(kind).discriminator(BOTH)) == pytest.approx(discriminator)
    assert float(Adversarial(kind).generator(FAKE)) == pytest.approx(generator)


@pytest.mark.parametrize("kind", KINDS)
def test_both_kinds_weigh_the_same_at_chance_and_are_lowest_with_the_right_sign(kind):
    """As the health monitor, the loss's weight and adaptive augmentation take it."""
    losses, scores = Adversarial(kind), [torch.zeros(2, 3, requires_grad=True) for _ in range(2)]
    assert losses.discriminator(scores).item() == pytest.approx(2 * 2)
    slopes = torch.autograd.grad(losses.generator(scores), scores)
    assert [float(slope.sum()) for slope in slopes] == pytest.approx([-1, -1])
    right = [torch.tensor([[1.0, 1.0], [-1.0, -1.0]])]
    assert float(losses.discriminator(right)) == 0
    assert float(losses.generator([-score for score in right])) == float(losses.generator(right))
    ada = AdaptiveAugmentation(target=0.6, ramp=10)
    ada.adapt([score[:1] for score in right], 4)
    assert float(ada.p) == pytest.approx(0.4)  # the mean sign of real scores is 1


@pytest.mark.parametrize("step", [11, 12])
def test_the_setting_chooses_the_kind(step):
    values = []
    for kind in KINDS:
        module = training(f"training.adversarial={kind}")
        module.step = step
        losses = module.update_step(audio(), *module.configure_optimizers())
        values.append(losses["adversarial" if step == 11 else "discriminator"].item())
    assert values[0] != values[1]
    with pytest.raises(InputError, match=r"training\.adversarial: 'lsgan' is none of hinge, least_squares"):
        training("training.adversarial=lsgan")


def test_feature_matching_is_relative():
    real = [[2 * torch.ones(4), torch.ones(1)]]
    fake = [[torch.ones(4), torch.zeros(1)]]
    assert float(feature_matching(real, fake)) == pytest.approx((0.5 + 1) / 2)


def test_the_gradient_of_feature_matching_is_numerically_right():
    real = [[torch.randn(2, 3, dtype=torch.float64) for _ in range(2)] for _ in range(2)]
    fake = [torch.randn(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    assert torch.autograd.gradcheck(lambda *f: feature_matching(copy.deepcopy(real), [list(f[:2]), list(f[2:])]), fake)
