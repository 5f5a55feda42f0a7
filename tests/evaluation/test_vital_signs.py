"""Dead models are distinguished from working ones, however quiet, loud or untrained those are."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rave_lite import RAVE, InputError, set_noise
from rave_lite.evaluation.vital_signs import of_model, warnings
from tests.conftest import build
from tests.models import killed
from tests.runs import audio, training

SILENT, SAME, EXPLODED, FULL, BROKEN = "is silent", "the same of everything", "latents of", "full scale", "not finite"


@pytest.mark.sampled(8)
@pytest.mark.parametrize("model", ["tiny", "v2_small", "low_latency", "v2"])
@pytest.mark.parametrize("latent", ["wasserstein", "variational", "spherical"])
@pytest.mark.parametrize("alignment", ["causal", "centered"])
def test_random_weights_live(model, latent, alignment):
    assert of_model(build(f"model={model}", f"latent={latent}", f"model.alignment={alignment}",
                          "model.capacity=4")).trouble() is None


@given(st.floats(-3, 1.3), st.integers(0, 99))
@settings(max_examples=12)
def test_level_and_seed_do_not_matter(gain, seed):
    torch.manual_seed(seed)
    model = RAVE(**build("model=tiny", "model.capacity=4").config)
    with torch.no_grad():
        model.decoder.waveform.weight = 10**gain * model.decoder.waveform.weight
    assert of_model(model).trouble() is None


@pytest.mark.parametrize(("how", "model", "latent", "why"), [
    ("quiet", "tiny", "wasserstein", SILENT), ("quiet", "v2", "variational", SILENT),
    ("blind", "tiny", "variational", SILENT), ("quiet", "low_latency", "spherical", SILENT),
    ("blind", "tiny", "wasserstein", SAME), ("deaf", "v2", "wasserstein", SAME),
    ("constant", "v2_small", "spherical", SAME), ("exploded", "tiny", "wasserstein", EXPLODED),
    ("exploded", "v2_small", "variational", EXPLODED), ("saturated", "v2", "variational", FULL),
    ("saturated", "v2_small", "wasserstein", FULL), ("saturated", "tiny", "spherical", FULL),
    ("zeroed", "tiny", "wasserstein", BROKEN), ("broken", "v2", "variational", BROKEN)])
def test_the_dead_do_not(how, model, latent, why):
    model = killed(build(f"model={model}", f"latent={latent}", "model.capacity=6"), how)
    assert why in of_model(model).trouble()
    if why == BROKEN:
        with pytest.raises(InputError, match=r"x\.ckpt plays no numbers.* lower training\.lr"):
            warnings(model, "x.ckpt")
    else:
        assert [why in warning and "lower training.lr" in warning for warning in warnings(model)] == [True]


def test_a_few_steps_of_training_leave_it_alive_and_nothing_is_changed():
    module = training("training.lr=[2e-3,2e-3]")
    optimizers = module.configure_optimizers()
    for _ in range(12):
        module.update_step(audio(), *optimizers)
        module.step = min(module.step, 9)
    set_noise(module.model, 0.25)
    state, first = torch.get_rng_state(), of_model(module.model)
    assert first.trouble() is None
    assert of_model(module.model) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert module.model.latent.noise.amount == 0.25
    assert warnings(module.model) == []
