"""Data-dependent initialisation: an untrained model has levels like its recordings', whatever those are."""

import pytest
import torch
from torch.testing import assert_close

from rave_lite.model import RAVE
from rave_lite.training.transfer import start_from
from tests.conftest import build
from tests.training.test_module import audio, training


def levels(model: RAVE, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Deviation of the latents' means, and level of each output band relative to the input's."""
    bands = model.pqmf(x)
    z, _ = model.latent.sample(model.encoder(bands))
    made = model.decoder(model.latent.widen(z))
    return model.latent.mean(model.encoder(bands)).std(), (made.square().mean((0, 2)) / bands.square().mean((0, 2))).sqrt()


@torch.no_grad()
@pytest.mark.parametrize("level", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("latent", ["wasserstein", "variational"])
@pytest.mark.parametrize(("model", "capacity"), [("v2", 4), ("v2", 32), ("v2_small", 8), ("low_latency", 8)])
def test_latents_and_bands_start_at_their_levels(model, capacity, latent, level):
    rave = build(f"model={model}", f"model.capacity={capacity}", f"latent={latent}")
    x = level * audio(4, 16384)
    rave.calibrate(x)
    deviation, ratios = levels(rave, x)
    assert 0.8 < deviation < 1.2
    assert ((ratios > 0.05) & (ratios < 0.2)).all()


@pytest.mark.parametrize("x", [torch.zeros(2, 1, 8192), torch.sin(torch.arange(8192) / 30).expand(2, 1, -1)])
def test_silence_and_empty_bands_leave_a_model_that_can_learn(x):
    module = training()
    optimizers = module.configure_optimizers()
    for batch in (x, audio(), audio()):
        losses = module.learn(batch, *optimizers)
        assert all(loss.isfinite() for loss in losses.values())
    assert (module.model.decoder.band_gain > 0).all()
    assert all(p.isfinite().all() for p in module.parameters())


def test_the_first_update_calibrates_once_and_the_averages_follow():
    module = training()
    optimizers = module.configure_optimizers()
    module.learn(audio(), *optimizers)
    gain = module.model.decoder.band_gain.clone()
    assert (gain != 1).all()
    assert_close(module.ema.decoder.band_gain, gain)
    assert_close(module.ema.state_dict(), module.model.state_dict(), atol=0.02, rtol=0.02)
    module.learn(0.01 * audio(), *optimizers)
    assert_close(module.model.decoder.band_gain, gain)


@pytest.mark.parametrize("transferred", [True, False])
def test_a_resumed_or_transferred_run_is_not_calibrated_again(transferred, tmp_path):
    module = training()
    if transferred:
        start_from(module, {"state_dict": module.state_dict(), "model": module.model.config}, tmp_path)
    else:
        module.step = 3
    module.learn(audio(), *module.configure_optimizers())
    assert (module.model.decoder.band_gain == 1).all()


def test_checkpoints_of_earlier_versions_have_a_gain_of_one(tmp_path):
    module = training()
    state = {k: v for k, v in module.state_dict().items() if not k.endswith("band_gain")}
    path = tmp_path / "old.ckpt"
    torch.save({"model": module.model.config, "state_dict": state, "step": 3, "phase": 1, "config": {}}, path)
    assert (RAVE.from_checkpoint(path).decoder.band_gain == 1).all()
    checkpoint = torch.load(path, weights_only=True)  # as Lightning reads it to resume
    assert not any(name.endswith("band_gain") for name in checkpoint["state_dict"])
    module.on_load_checkpoint(checkpoint)
    module.load_state_dict(checkpoint["state_dict"])
