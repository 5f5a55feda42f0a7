"""On a GPU: nothing in a step waits for it, and v2 as published fits into 8 GB."""

import pytest
import torch

from rave_lite.cli.build import build
from rave_lite.training import bench
from tests.conftest import configured
from tests.runs import audio, training

pytestmark = pytest.mark.gpu


def test_a_step_never_waits_for_the_gpu():
    module, x = training().cuda(), audio().cuda()
    optimizers = module.configure_optimizers()
    module.step = 8
    for _ in range(5):  # what is allocated once, in both phases
        module.update_step(x, *optimizers)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for module.step in (8, 12, 13):
            module.update_step(x, *optimizers)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert module.first_nonfinite_step.item() == -1


def test_v2_as_published_fits_into_8_gb():
    config, device = configured("train", "trainer=rtx3070", "data.root=none"), torch.device("cuda")
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, 8 * 2**30 / total))
    try:
        phases = bench.probe(build(config), window=config.data.window, batch_size=config.data.batch_size, device=device)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert max(phase.memory for phase in phases) < 7.2 * 1024
