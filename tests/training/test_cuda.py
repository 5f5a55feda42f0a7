"""On a GPU: nothing in a step waits for it, and v2 as published fits into 8 GB."""

import warnings

import pytest
import torch

from rave_lite.cli.build import build
from rave_lite.training import bench
from rave_lite.training.step_graphs import WARM_UP
from tests.conftest import configured
from tests.runs import audio, training

pytestmark = pytest.mark.gpu


KINDS = pytest.mark.parametrize("kind", [
    [], ["model.activation=snake"],
    ["discriminator=dac", "discriminator.parts.multi.capacity=2", "training.adversarial=least_squares",
     "training.balancer=0.9"]])


@KINDS
def test_a_step_never_waits_for_the_gpu(kind):
    module, x = training(*kind).cuda(), audio().cuda()
    optimizers = module.configure_optimizers()
    module.step = 8
    for _ in range(2 + WARM_UP + module.discriminator_every):  # allocates once, records
        module.update_step(x, *optimizers)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for module.step in (12, 13):
            module.update_step(x, *optimizers)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert module.first_nonfinite_step.item() == -1


@KINDS
def test_recorded_steps_learn_as_those_that_are_run(kind):
    """Both phases, discriminators too: the same draws, so the same losses and weights, but for the order of sums."""
    losses, weights = {}, {}
    for record in ("true", "false"):
        module = training(*kind, f"runner.record={record}", "phase1.steps=16", "phase2.steps=24").cuda()
        optimizers = module.configure_optimizers()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            losses[record] = [module.update_step(audio().cuda(), *optimizers) for _ in range(40)]
        weights[record] = torch.nn.utils.parameters_to_vector(module.parameters())
        assert len(module.graphs.recordings) == (2 if record == "true" else 0)
    for step, (a, b) in enumerate(zip(losses["true"], losses["false"], strict=True)):
        assert a.keys() == b.keys()
        assert {k: float(v) for k, v in a.items()} == pytest.approx({k: float(v) for k, v in b.items()}, rel=1e-3), step
    assert (weights["true"] - weights["false"]).norm() < 1e-3 * weights["false"].norm()


def test_a_batch_of_another_shape_is_not_recorded():
    module = training("phase1.steps=40").cuda()
    optimizers = module.configure_optimizers()
    for _ in range(10):
        module.update_step(audio().cuda(), *optimizers)
    with pytest.warns(UserWarning, match=r"not recorded .* a batch of shape \(1, 1, 8192\) came after \(2, 1, 8192\)"):
        module.update_step(audio(1).cuda(), *optimizers)
    module.update_step(audio().cuda(), *optimizers)


def test_v2_as_published_fits_into_8_gb():
    config, device = configured("train", "trainer=rtx3070", "data.root=none"), torch.device("cuda")
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, 8 * 2**30 / total))
    try:
        phases = bench.probe(build(config), window=config.data.window, batch_size=config.data.batch_size, device=device)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert max(phase.memory for phase in phases) < 7.2 * 1024
