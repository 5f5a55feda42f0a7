"""Bases: what a checkpoint that travels with the package holds, who finds it by name, and which model it fits."""

import json

import pytest
import torch

from rave_lite import RAVE, InputError, runs, set_noise
from rave_lite.cli.build import build, build_or_transfer
from rave_lite.model import Checkpoint, read_checkpoint
from recipes.base_pack import pack, rescale_latents
from tests.commands import fails, rave_lite
from tests.conftest import configured
from tests.training.test_transfer import TINY, saved

LOW = "model.ratios=[2,2,2]"
DILATIONS = "model.dilations=[[1],[1],[1]]"


@pytest.fixture
def bases(tmp_path, monkeypatch):
    """The folder of bases with two untrained ones: `base:v2`, of the tests' model, and `base:low`, of another hop."""
    folder = tmp_path / "bases"
    folder.mkdir()
    monkeypatch.setattr(runs, "BASES", folder)
    for name, overrides in (("v2", []), ("low", [LOW, DILATIONS])):
        torch.manual_seed(0)
        run = saved(*overrides)
        run.settings["minutes"] = 13.6
        pack(run, name, {"tabla": {"spectral": 6.5}}).save(folder / f"{name}.ckpt")
    return folder


def of(path):
    return f"transfer.from={path}"


@torch.no_grad()
def test_a_base_is_the_averaged_model_and_the_discriminators_at_half_the_size(bases, tmp_path):
    torch.manual_seed(0)
    original = saved()
    original.save(tmp_path / "whole.ckpt")
    base = read_checkpoint("base:v2")
    assert (bases / "v2.ckpt").stat().st_size < 0.5 * (tmp_path / "whole.ckpt").stat().st_size
    assert {value.dtype for value in base.state_dict.values()} == {torch.float32, torch.bool}
    x = torch.randn(1, 1, 8 * 1024)
    models = [RAVE.from_checkpoint(checkpoint) for checkpoint in (base, original)]
    for model in models:
        set_noise(model, 0)
    ours, theirs = (model(x) for model in models)
    assert (ours - theirs).norm() < 0.02 * theirs.norm()  # -34 dB, of a loud random model
    for key, value in original.weights().items():
        assert torch.allclose(base.weights()[key], value, rtol=2**-11, atol=1e-7), key
    assert base.part("discriminator").keys() == original.part("discriminator").keys()
    assert base.part("ema") == {}
    assert base.optimizer_states is None


@torch.no_grad()
def test_latents_that_drifted_are_rescaled_and_the_sound_stays():
    model, x = RAVE.from_checkpoint(saved()), torch.randn(1, 1, 8 * 1024)
    model.principal.variance.fill_(400.0)
    set_noise(model, 0)
    z, y = model.encode(x), model(x)
    rescale_latents(model)
    assert torch.allclose(20 * model.encode(x), z, rtol=1e-4, atol=1e-5)
    assert torch.allclose(model.principal.variance, torch.ones(model.latent.size))
    assert (model(x) - y).norm() < 1e-4 * y.norm()


def test_its_card_says_what_it_is_and_its_settings_name_no_path(bases, tmp_path):
    settings = read_checkpoint("base:v2").settings
    assert settings["card"]["licence"] == "CC0-1.0"
    assert settings["card"]["figures"] == {"tabla": {"spectral": 6.5}}
    assert settings["data"]["root"] is None
    assert str(tmp_path) not in json.dumps(settings)


@pytest.mark.parametrize(("overrides", "name"), [([], "base:v2"), (["model.capacity=8"], "base:v2"),
                                                 ([LOW, DILATIONS], "base:low")])
def test_base_is_the_one_that_fits_the_model_and_is_remembered_by_name(bases, overrides, name):
    for word in ("base", "auto"):
        config = configured("train", *TINY, *overrides, of(word))
        module = build_or_transfer(config, overrides)
        assert module.config["transfer"]["from"] == name
        assert module.config["transfer"]["sha256"]
        assert module.model.config["ratios"] == read_checkpoint(name).architecture["ratios"]


def test_a_named_base_brings_its_architecture(bases, capsys):
    module = build_or_transfer(configured("train", *TINY, of("base:low")), [])
    assert module.model.config["ratios"] == [2, 2, 2]
    assert "starting from base:low" in capsys.readouterr().out


@torch.no_grad()
def test_a_wider_model_starts_as_the_base(bases):
    typed = ["model.capacity=6"]
    module = build_or_transfer(configured("train", *TINY, *typed, of("base")), typed)
    base, x = RAVE.from_checkpoint("base:v2"), torch.randn(1, 1, 8 * 1024)
    for model in (base, module.model.eval()):
        set_noise(model, 0)
    assert module.model.config["capacity"] == 6
    assert torch.allclose(module.model(x), base(x), atol=1e-3 * float(base(x).abs().max()))


def test_where_none_fits_base_refuses_and_auto_begins_without(bases, capsys):
    typed = ["model.ratios=[2,2,2,2]"]
    with pytest.raises(InputError, match=r"no base fits this model: base:low is for .*\[2, 2, 2\].*; base:v2 is for"):
        build_or_transfer(configured("train", *TINY, *typed, of("base")), typed)
    config = configured("train", *TINY, *typed, of("auto"))
    module = build_or_transfer(config, typed)
    assert "note: no base fits this model" in capsys.readouterr().out
    assert module.config["transfer"] == {"from": None, "sha256": None}
    fresh = build(configured("train", *TINY, *typed))
    assert module.model.config == fresh.model.config


def test_a_resumed_run_keeps_its_base_whatever_is_installed_now(bases):
    first = build_or_transfer(configured("train", *TINY, of("auto")), [])
    content = {"state_dict": first.state_dict()}
    first.on_save_checkpoint(content)
    for path in bases.glob("*.ckpt"):
        path.unlink()
    resumed = Checkpoint.from_content(content, bases / "last.ckpt")
    again = build_or_transfer(configured("train", *TINY, LOW, DILATIONS, of("auto")), [], resumed)
    assert again.config["transfer"] == first.config["transfer"]
    assert again.model.config == first.model.config


def test_a_wrong_name_is_answered_with_the_nearest_and_no_base_with_that(bases, settings):
    fails("base:lo: no such base; there is base:low", "train", *settings, "out=x", of("base:lo"))
    for path in bases.glob("*.ckpt"):
        path.unlink()
    fails("none came with this installation", "train", *settings, "out=x", of("base:v2"))
    fails("no base fits this model: none came", "train", *settings, f"out={bases.parent / 'x'}", of("base"))


def test_commands_take_a_base_by_name_and_write_where_they_are_called(bases, settings, tmp_path):
    audio = tmp_path / "audio"
    called = tmp_path / "called"
    called.mkdir()
    done = rave_lite("evaluate", "ckpt=base", f"data.root={audio}", f"data.cache={tmp_path / 'cache'}", cwd=called)
    assert done.returncode == 0, done.stderr
    assert (called / "evaluation/figures.json").exists()
    done = rave_lite("reconstruct", "ckpt=base:low", f"input={audio / '0.wav'}", f"out={called / 'low'}", cwd=called)
    assert (called / "low/0.wav").exists(), done.stderr
    fails("an imported model or a base, which knows no recordings", "evaluate", "ckpt=base", cwd=called)
    assert sorted(path.name for path in bases.iterdir()) == ["low.ckpt", "v2.ckpt"]


def test_a_folder_called_base_is_meant_by_its_path(bases, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base").mkdir()
    assert runs.checkpoint_file("base") == bases / "v2.ckpt"
    with pytest.raises(InputError, match="a folder without"):
        runs.checkpoint_file("./base")
