"""The loss balancer: shares of gradient norms, state, and that nothing changes where it is off."""

import copy
import shutil

import pytest
import torch

from rave_lite import InputError
from rave_lite.model import read_checkpoint
from rave_lite.training.balancer import LossBalancer
from tests.operations import count_operations
from tests.runs import audio, run, stop_at, training

ON = "training.balancer=0.9"
WEIGHTS = {"linear": 1.0, "mel": 3.0, "feature_matching": 0.5}


def toy(output: torch.Tensor, seed: int) -> dict[str, torch.Tensor]:
    """Losses of very different sizes, whose gradients differ from step to step."""
    noise = torch.randn(3, *output.shape, generator=torch.Generator().manual_seed(seed))
    slopes = torch.tensor([1e-3, 1.0, 1e3]).view(3, 1, 1, 1)
    return dict(zip(WEIGHTS, (output * noise * slopes).flatten(1).sum(1).unbind(), strict=True))


def test_weights_are_shares_of_the_gradient_whatever_the_size_of_the_losses():
    balancer, output = LossBalancer({**WEIGHTS, "penalty": 20.0}, 0.9), torch.zeros(8, 2, 5000, requires_grad=True)
    for seed in range(100):
        balancer(toy(output, seed), {}, output)
    norms = {}
    for name in WEIGHTS:  # one after the other, the others without gradient
        losses = {other: loss * float(other == name) for other, loss in toy(output, 100).items()}
        alone = copy.deepcopy(balancer)
        alone.decay = 1 - 1e-9
        gradient, = torch.autograd.grad(alone(losses, {}, output), output)
        norms[name] = float(gradient.flatten(1).norm(dim=1).mean())
    shares = {name: norm / sum(norms.values()) for name, norm in norms.items()}
    assert shares == pytest.approx({name: weight / 4.5 for name, weight in WEIGHTS.items()}, rel=0.01)
    assert norms["linear"] == pytest.approx(1e-3 * 10_000**0.5, rel=0.01)  # as it is: penalties outside keep their weight


def test_the_first_step_is_balanced_and_the_mean_is_exponential():
    balancer, output = LossBalancer(WEIGHTS, 0.5), torch.zeros(1, 1, 4, requires_grad=True)
    means = [float(balancer.update(["linear", "mel"], torch.tensor([1.0, norm]))[1]) for norm in (20, 40, 10)]
    assert means == pytest.approx([20, (20 / 2 + 40) / 1.5, (20 / 4 + 40 / 2 + 10) / 1.75])
    assert balancer.means[:, 2].tolist() == [0, 0]  # a loss of phase 2 begins when it comes
    losses = {name: (factor * output).sum() for name, factor in (("linear", 1.0), ("feature_matching", 100.0))}
    weighted = {"linear": 7 * losses["linear"], "penalty": (2 * output).sum()}
    gradient, = torch.autograd.grad(LossBalancer(WEIGHTS, 0.5)(losses, weighted, output), output)
    assert torch.allclose(gradient, torch.full_like(gradient, 1 + 0.5 + 2))


@pytest.mark.parametrize("step", [1, 13])
def test_a_balanced_step_is_the_gradient_of_losses_with_those_weights(step):
    """By autograd, in micro-batches too; the penalty keeps its weight; no step waits for the device."""
    gradients, x = [], audio(2, 4096).double()
    for overrides in ([ON], [ON, "runner.micro_batch=1"]):
        module = training(*overrides).double()
        module.step = step
        optimizers = module.configure_optimizers()
        assert "_local_scalar_dense" not in count_operations(lambda: module.update_step(x, *optimizers))  # noqa: B023
        gradients.append([p.grad for p in module.model.parameters() if p.grad is not None])
    plain = training().double()
    plain.step = step
    plain._seed_step()
    bands = plain.reconstruct_bands(x)
    losses = plain.generator_losses(x, bands)
    norms = {name: torch.autograd.grad(losses[name], bands[1], retain_graph=True)[0].flatten(1).norm(dim=1).mean()
             for name in losses if name != "penalty"}
    total = losses["penalty"] * plain.weight("penalty")
    total = total + sum(losses[name] * plain.weight(name) * norms["linear"] / norm for name, norm in norms.items())
    expected = torch.autograd.grad(total, [p for p in plain.model.parameters() if p.requires_grad], allow_unused=True)
    for result in gradients:
        for a, b in zip([g for g in expected if g is not None], result, strict=True):
            assert (a - b).norm() <= 1e-5 * a.norm() + 1e-12


def test_off_it_is_no_part_of_the_state():
    assert not [key for key in training().state_dict() if "balancer" in key]
    assert training(ON).state_dict()["balancer.means"].shape == (2, 5)


@pytest.mark.slow
def test_a_resumed_run_goes_on_with_its_norms(settings, tmp_path, monkeypatch):
    """And with discriminators of two kinds."""
    settings = [setting for setting in settings if not setting.startswith("discriminator")]
    settings += ["discriminator=multi_stft", "discriminator.parts.multi.capacity=2", "discriminator.parts.stft.n_fft=[64]"]
    run(tmp_path / "whole", *settings, ON)
    with monkeypatch.context() as patch:
        stop_at(8, patch)
        run(tmp_path / "parts", *settings, ON)
    shutil.copytree(tmp_path / "parts", tmp_path / "off")
    run(tmp_path / "parts", "resume=last", *settings, ON)
    whole, parts = (read_checkpoint(tmp_path / name / "checkpoints/last.ckpt").state_dict for name in ("whole", "parts"))
    assert whole["balancer.means"].min() > 0
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())
    with pytest.raises(InputError, match=r"began with training.balancer=0.9"):
        run(tmp_path / "off", "resume=last", *settings)


@pytest.mark.parametrize("decay", [1, -0.1, "high", "true"])
def test_decays_that_cannot_be(decay):
    with pytest.raises(InputError, match=r"training\.balancer: .*say null, or 0\.999"):
        training(f"training.balancer={decay}")
