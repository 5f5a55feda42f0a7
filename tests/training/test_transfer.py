"""Runs that start from a trained model: what is copied, what is refused, what is recorded."""

import hashlib

import pytest
import torch

from rave_lite import RAVE, InputError, set_noise
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


@pytest.mark.parametrize(("latent", "typed"), [
    *((latent, typed) for latent in ("wasserstein", "variational")
      for typed in (["model.capacity=6", "discriminator.capacity=3"], ["latent.size=24"])),
    ("wasserstein", ["latent.noise_channels=150"])])
@torch.no_grad()
def test_a_wider_model_starts_as_the_same_function(latent, typed, tmp_path):
    size = ["latent.size=16"] if "size" not in typed[0] else []
    checkpoint = saved(f"latent={latent}", "latent.size=16")
    module = build(configured("train", *TINY, f"latent={latent}", *size, *typed))
    report = start_from(module, checkpoint, tmp_path)
    trained = RAVE.from_state(checkpoint, "it").double()
    x = torch.randn(1, 1, 8 * trained.hop, dtype=torch.float64)
    for model in (module.double().model.eval(), trained):
        set_noise(model, 0)
    assert trained(x).abs().max() > 1e-2
    assert torch.allclose(module.model(x), trained(x), atol=1e-3 * float(trained(x).abs().max()))
    z = trained.encode(x)
    assert torch.allclose(module.model.encode(x)[:, :16], z, atol=1e-3 * float(z.abs().max()))
    assert report.resized["encoder"] > 0 or report.resized["decoder"] > 0
    if "capacity" in typed[0]:
        heard = build(configured("train", *TINY)).discriminator.double()
        heard.load_state_dict({k[14:]: v for k, v in checkpoint["state_dict"].items() if k.startswith("discriminator.")})
        for ours, theirs in zip(module.discriminator(x), heard(x), strict=True):
            assert torch.allclose(ours[-1], theirs[-1], atol=1e-3 * float(theirs[-1].abs().max()))


@torch.no_grad()
def test_a_narrower_model_takes_what_it_can(tmp_path):
    checkpoint = saved("latent.size=16")
    module = build(configured("train", *TINY, "latent.size=8"))
    report = start_from(module, checkpoint, tmp_path)
    trained = RAVE.from_state(checkpoint, "it")
    x = torch.randn(1, 1, 8 * trained.hop)
    assert torch.allclose(module.model.eval().encode(x), trained.encode(x)[:, :8], atol=1e-5)
    ours, theirs = (m.decoder.net[0].weight for m in (module.model, trained))
    assert torch.allclose(ours[:, :8], theirs[:, :8], atol=1e-6)
    assert torch.allclose(ours[:, 8:], theirs[:, 16:], atol=1e-6)  # the noise's columns
    counts = sum(v.numel() for k, v in module.model.state_dict().items() if k.startswith("encoder."))
    assert report.copied["encoder"] + report.resized["encoder"] == counts
    assert [str(c.header) for c in report.table().columns] == ["part", "weights copied", "resized", "new"]


@pytest.mark.parametrize(("typed", "what"), [("model.sample_rate=48000", "44100 Hz.*48000.*leave out model.sample_rate"),
                                             ("model.ratios=[2,2,2,2]", "frame of .* is 2048 samples, of this model 256")])
def test_another_rate_or_hop_is_refused(typed, what, tmp_path):
    torch.save(saved("model.ratios=[4,4,4,2]"), tmp_path / "it.ckpt")
    with pytest.raises(InputError, match=what):
        start(configured("train", *TINY, f"transfer.from={tmp_path / 'it.ckpt'}", typed), [typed])


def test_parts_keep_their_weights_for_so_many_steps_and_learn_at_their_own_pace():
    module = build(configured("train", *TINY, "training.freeze={encoder: 2, decoder.net.0: 3}",
                              "training.lr_scale={decoder.waveform: 0.0}"))
    optimizers = module.configure_optimizers()
    x = 0.1 * torch.randn(2, 1, 8192)
    moved = {}
    for step in range(4):
        before = {k: v.clone() for k, v in module.model.named_parameters()}
        module.learn(x, *optimizers)
        moved[step] = {k for k, v in module.model.named_parameters() if not torch.equal(v, before[k])}
    assert [any(k.startswith("encoder") for k in moved[s]) for s in range(4)] == [False, False, True, True]
    assert [any(k.startswith("decoder.net.0.") for k in moved[s]) for s in range(4)] == [False, False, False, True]
    assert not any(k.startswith("decoder.waveform") for s in moved for k in moved[s])
    assert all(any(k.startswith("decoder.net.2.") for k in moved[s]) for s in moved)
    module.paces.set(optimizers[0], 1.0, module.step)
    paces = {g["part"]: g["lr"] for g in optimizers[0].param_groups}
    assert paces == {"": 1.0, "encoder": 1.0, "decoder.net.0": 1.0, "decoder.waveform": 0.0}


def test_a_part_that_is_not_there_is_named():
    with pytest.raises(InputError, match="no part 'encodre'"):
        build(configured("train", *TINY, "training.freeze={encodre: 2}")).configure_optimizers()


def test_the_pull_holds_the_weights_near_their_start(tmp_path):
    checkpoint, far = saved(), {}
    for pull in (0.0, 100.0):
        module = build(configured("train", *TINY, f"training.pull={pull}"))
        start_from(module, checkpoint, tmp_path)
        start_weights = [p.detach().clone() for p in module.model.parameters()]
        optimizers = module.configure_optimizers()
        for _ in range(6):
            losses = module.learn(0.1 * torch.randn(2, 1, 8192, generator=torch.Generator().manual_seed(0)), *optimizers)
        far[pull] = sum(float((p - q).detach().square().sum()) for p, q in
                        zip(module.model.parameters(), start_weights, strict=True))
    assert far[100.0] < 0.7 * far[0.0]
    assert float(losses["pull"]) > 0


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
