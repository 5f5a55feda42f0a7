"""Runs that start from a trained model: what is copied, what is refused, what is recorded."""

import hashlib

import pytest
import torch

from rave_lite import RAVE, InputError
from rave_lite.jobs.train import build, start
from rave_lite.model import read_checkpoint
from rave_lite.training.transfer import architecture, start_from
from tests.conftest import configured
from tests.training.test_run import SETTINGS, run, settings

__all__ = ["settings"]
TINY = ["data.root=x", *SETTINGS]


def saved(*overrides: str) -> dict:
    """A checkpoint of an untrained run, whose averages differ from its weights."""
    module = build(configured("train", *TINY, *overrides))
    with torch.no_grad():
        for parameter in module.ema.parameters():
            parameter.mul_(1.5)
    checkpoint = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(checkpoint)
    return checkpoint


def test_everything_is_copied_and_the_averages_are_what_counts(tmp_path):
    checkpoint = saved("seed=1")
    module = build(configured("train", *TINY))
    start_from(module, checkpoint, tmp_path)
    trained = RAVE.from_state(checkpoint, "it").state_dict()
    for model in (module.model, module.ema):
        for name, value in model.state_dict().items():
            assert torch.equal(value, trained[name]), name
    for name, value in module.discriminator.state_dict().items():
        assert torch.equal(value, checkpoint["state_dict"][f"discriminator.{name}"]), name
    assert module.step == 0


def test_what_has_another_shape_starts_anew_and_is_said(tmp_path):
    checkpoint = saved()
    module = build(configured("train", *TINY, "latent.size=8"))
    before = {k: v.clone() for k, v in module.model.state_dict().items()}
    table = start_from(module, checkpoint, tmp_path)
    state = module.model.state_dict()
    assert all(torch.equal(v, before[k]) == (v.shape != checkpoint["state_dict"][f"ema.{k}"].shape) for k, v in state.items()
               if not k.startswith(("pqmf", "principal")))
    parts = dict(zip(table.columns[0].cells, zip(table.columns[1].cells, table.columns[2].cells, strict=True), strict=True))
    new = sum(v.numel() for k, v in state.items()
              if k.startswith("encoder") and v.shape != checkpoint["state_dict"][f"ema.{k}"].shape)
    assert parts["encoder"] == (f"{sum(v.numel() for k, v in state.items() if k.startswith('encoder')) - new:,}", f"{new:,}")
    assert parts["discriminators"][1] == "0"


def test_filters_of_another_bank_are_not_copied(tmp_path):
    checkpoint = saved()
    checkpoint["model"]["bank"] = {"alternate": True}
    checkpoint["state_dict"]["ema.pqmf.analysis"] += 1
    module = build(configured("train", *TINY))
    before = module.model.pqmf.analysis.clone()
    start_from(module, checkpoint, tmp_path)
    assert torch.equal(module.model.pqmf.analysis, before)


def test_nothing_that_fits_is_an_error(tmp_path):
    checkpoint = saved()
    checkpoint["state_dict"] = {"model.of.another": torch.zeros(3)}
    with pytest.raises(InputError, match="no weight in it has a place"):
        start_from(build(configured("train", *TINY)), checkpoint, tmp_path)


def test_the_architecture_is_the_trained_ones_but_for_what_is_typed():
    trained = {"model": {"capacity": 8, "ratios": [4], "latent": {"name": "wasserstein", "size": 4}}}
    here = {"capacity": 16, "ratios": [2], "latent": {"name": "wasserstein", "size": 16}, "bank": None}
    assert architecture(here, trained, ["data.root=x", "recipe=minute_cpu"]) == {"bank": None, **trained["model"]}
    assert architecture(here, trained, ["model=v2", "model.capacity=16"]) == here
    changed = architecture(here, trained, ["model.capacity=16", "latent.size=16"])
    assert changed == {"bank": None, "capacity": 16, "ratios": [4], "latent": {"name": "wasserstein", "size": 16}}
    assert trained["model"]["latent"]["size"] == 4


def test_a_run_from_a_run_and_its_resume(settings, tmp_path, monkeypatch):
    """The model is the first run's whatever the configuration says; the second goes on without the first one's file."""
    run(tmp_path / "first", *settings)
    first = tmp_path / "first/checkpoints/last.ckpt"
    second = [f"transfer.from={first}", *(s for s in settings if not s.startswith("model"))]
    run(tmp_path / "second", *second, "phase1.steps=0", "phase2.steps=1")  # the discriminators' step: the model stays
    found, was = (read_checkpoint(tmp_path / name / "checkpoints/last.ckpt") for name in ("second", "first"))
    assert found["model"] == was["model"] | {"bank": None}
    for name, value in found["state_dict"].items():
        if name.startswith("model.") and "principal" not in name:
            assert torch.equal(value, was["state_dict"][f"ema.{name[6:]}"]), name
    assert found["config"]["transfer"]["sha256"] == hashlib.sha256(first.read_bytes()).hexdigest()
    first.rename(tmp_path / "away.ckpt")
    run(tmp_path / "second", *second, "resume=last", "phase1.steps=0", "phase2.steps=3")
    resumed = read_checkpoint(tmp_path / "second/checkpoints/last.ckpt")
    assert resumed["step"] == 3
    assert resumed["config"]["transfer"] == found["config"]["transfer"]


def test_what_cannot_be_started_from(tmp_path):
    with pytest.raises(InputError, match="no such checkpoint"):
        start(configured("train", *TINY, f"transfer.from={tmp_path / 'no.ckpt'}"), [])
    torch.save(saved("latent=variational"), tmp_path / "it.ckpt")
    with pytest.raises(InputError, match=r"variational latent.*add latent=variational"):
        start(configured("train", *TINY, f"transfer.from={tmp_path / 'it.ckpt'}"), [])
