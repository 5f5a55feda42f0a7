"""Checkpoint files: their fields, and what files of earlier versions lack."""

from pathlib import Path

import pytest
import torch

from rave_lite.model import RAVE, Checkpoint, read_checkpoint
from tests.conftest import build


def test_what_is_saved_is_read(tmp_path):
    model = build("model=tiny")
    state = {f"model.{k}": v for k, v in model.state_dict().items()} | {"discriminator.w": torch.ones(2)}
    saved = Checkpoint(Path("a run"), model.config, state, 7, 2, {"name": "kompang"}, release={"step": 9})
    saved.save(tmp_path / "x.ckpt")
    read = read_checkpoint(tmp_path / "x.ckpt")
    assert (read.path, read.architecture, read.sample_rate) == (tmp_path / "x.ckpt", model.config, 44100)
    assert (read.step, read.phase, read.settings, read.release) == (7, 2, {"name": "kompang"}, {"step": 9})
    assert read.optimizer_states is None
    assert read.part("discriminator").keys() == {"w"}
    assert read.part("ema") == {}
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in RAVE.from_checkpoint(read).state_dict().items())


@pytest.mark.parametrize("measured", [True, False])
def test_a_file_of_an_earlier_version_says_by_its_variances_whether_directions_were_measured(measured, tmp_path):
    model = build("model=tiny")
    if measured:
        model.principal.fit(torch.randn(50, model.latent_size), torch.randn(50))
    assert model.principal.measured == measured
    state = {f"model.{k}": v for k, v in model.state_dict().items() if k != "principal.measured"}
    torch.save({"model": model.config, "state_dict": state, "step": 0}, tmp_path / "x.ckpt")
    assert RAVE.from_checkpoint(tmp_path / "x.ckpt").principal.measured == measured
