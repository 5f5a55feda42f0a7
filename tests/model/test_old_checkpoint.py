"""A checkpoint of version 5c1e059 (v2, variational, capacity 2, six steps) still plays, and its run still resumes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rave_lite import RAVE, set_noise
from rave_lite.jobs.train import train
from rave_lite.model import read_checkpoint
from tests.conftest import configured

OLD = Path(__file__).with_name("version_5c1e059.ckpt")


@torch.no_grad()
def test_it_plays_what_that_version_played():
    model = RAVE.from_checkpoint(OLD)
    set_noise(model, 0)
    x = 0.1 * torch.sin(torch.arange(4 * model.hop) / 20)[None, None]
    expected = torch.from_numpy(np.load(OLD.with_suffix(".npy")))
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(model(x), expected, atol=1e-6, rtol=1e-5)


def test_its_posterior_keeps_the_scale_it_was_trained_with():
    model = RAVE.from_checkpoint(OLD)
    h = torch.zeros(1, 2 * model.latent_size, 4096)
    assert float(model.latent.sample(h)[0].std()) == pytest.approx(np.log(2), rel=0.03)


def test_its_run_goes_on(write, tmp_path):
    for i in range(3):
        write(f"{i}.wav", 0.5)
    out = tmp_path / "run"
    train(configured("train", f"data.root={tmp_path / 'audio'}", f"data.cache={tmp_path / 'cache'}", f"out={out}",
                     f"resume={OLD}", "model=v2", "latent=variational", "latent.size=4", "model.capacity=2",
                     "discriminator.capacity=1", "data.window=65536", "data.batch_size=2", "data.workers=0", "logger=csv",
                     "phase1.steps=3", "phase2.steps=5", "callbacks.listen.every=null", "trainer.accelerator=cpu"))
    checkpoint = read_checkpoint(out / "checkpoints/last.ckpt")
    assert checkpoint.step == 8
    before, after = read_checkpoint(OLD).state_dict, checkpoint.state_dict
    assert checkpoint.architecture["limit"] == 1
    assert torch.equal(after["model.decoder.band_gain"], torch.ones(16, 1))
    assert torch.equal(after["model.encoder.first.parametrizations.weight.original1"],
                       before["model.encoder.first.parametrizations.weight.original1"])  # frozen in phase 2
    assert not torch.equal(after["model.decoder.waveform.parametrizations.weight.original1"],
                           before["model.decoder.waveform.parametrizations.weight.original1"])
