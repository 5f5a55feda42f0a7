"""Data-dependent initialisation: an untrained model has levels like its recordings', whatever those are."""

import pytest
import torch
from torch.testing import assert_close

from rave_lite.model import RAVE, Checkpoint
from rave_lite.training.transfer import start_from
from tests.conftest import build
from tests.runs import audio, training


def levels(model: RAVE, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Deviation of the latents' means, and level of each output band relative to the input's."""
    bands = model.pqmf(x)
    z, _ = model.latent.sample(model.encoder(bands))
    output = model.decoder(model.latent.widen(z))
    return model.latent.mean(model.encoder(bands)).std(), (output.square().mean((0, 2)) / bands.square().mean((0, 2))).sqrt()


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


@torch.no_grad()
def test_a_posterior_starts_narrow():
    rave = build("model=v2", "model.capacity=4", "latent=variational")
    x = audio(4, 16384)
    rave.calibrate(x)
    h = rave.encoder(rave.pqmf(x))
    draws = torch.stack([rave.latent.sample(h)[0] for _ in range(32)])
    assert draws.std(0).mean() < 0.1 * rave.latent.mean(h).std()


@pytest.mark.parametrize("x", [torch.zeros(2, 1, 8192), torch.sin(torch.arange(8192) / 30).expand(2, 1, -1)])
def test_silence_and_empty_bands_leave_a_model_that_can_learn(x):
    module = training()
    module.calibrate(x)
    optimizers = module.configure_optimizers()
    for batch in (x, audio(), audio()):
        losses = module.update_step(batch, *optimizers)
        assert all(loss.isfinite() for loss in losses.values())
    assert (module.model.decoder.band_gain > 0).all()
    assert all(p.isfinite().all() for p in module.parameters())


def test_the_averages_are_calibrated_too():
    module = training()
    module.calibrate(audio())
    assert_close(module.ema.state_dict(), module.model.state_dict())


def test_who_never_calibrated_does_by_the_first_batch_and_nobody_twice():
    module = training()
    optimizers = module.configure_optimizers()
    module.update_step(audio(), *optimizers)
    gain = module.model.decoder.band_gain.clone()
    assert (gain != 1).all()
    module.calibrate(0.1 * audio())
    module.step, other = 0, module.model.decoder.band_gain.clone()
    assert (other < gain).all()
    module.update_step(audio(), *optimizers)
    assert torch.equal(module.model.decoder.band_gain, other)


@pytest.mark.parametrize("transferred", [True, False])
def test_a_resumed_or_transferred_run_is_not_calibrated_again(transferred, tmp_path):
    module = training()
    if transferred:
        start_from(module, Checkpoint(tmp_path, module.model.config, module.state_dict(), step=0))
    else:
        module.step = 3
    module.update_step(audio(), *module.configure_optimizers())
    assert (module.model.decoder.band_gain == 1).all()


@pytest.mark.parametrize("latent", ["wasserstein", "variational"])
def test_checkpoints_of_earlier_versions_play_as_they_did(latent, tmp_path):
    module = training(f"latent={latent}")
    state = {k: v for k, v in module.state_dict().items() if not k.endswith(("band_gain", "latent.shift"))}
    path = tmp_path / "old.ckpt"
    torch.save({"model": module.model.config, "state_dict": state, "step": 3, "phase": 1, "config": {}}, path)
    loaded = RAVE.from_checkpoint(path)
    assert (loaded.decoder.band_gain == 1).all()
    assert latent == "wasserstein" or loaded.latent.shift == 0
    checkpoint = torch.load(path, weights_only=True)  # as Lightning reads it to resume
    assert not any(name.endswith(("band_gain", "shift")) for name in checkpoint["state_dict"])
    module.on_load_checkpoint(checkpoint)
    module.load_state_dict(checkpoint["state_dict"])
