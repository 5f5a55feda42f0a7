"""Runs that start from a trained model: what is copied, what is refused, what is recorded."""

import copy
import hashlib
import shutil
from pathlib import Path

import pytest
import torch

from rave_lite import RAVE, InputError, set_noise
from rave_lite.cli.build import build, build_or_transfer, model_keys
from rave_lite.layers import AdaptiveNorm, Conv1d, Snake
from rave_lite.layers.conv import REFERENCE_FAN_IN
from rave_lite.model import Checkpoint, read_checkpoint
from rave_lite.training.transfer import architecture, start_from
from tests.conftest import SETTINGS, configured
from tests.runs import run, stop_at

TINY = ["data.root=x", *SETTINGS]


def saved(*overrides: str) -> Checkpoint:
    """A checkpoint of an untrained run, whose averages differ from its weights."""
    module = build(configured("train", *TINY, *overrides))
    with torch.no_grad():
        for parameter in module.ema.parameters():
            parameter.mul_(1.5)
        for snake in (part for part in module.ema.modules() if isinstance(part, Snake)):
            snake.log_alpha.normal_(0, 0.7)
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    return Checkpoint.from_content(content, Path("it.ckpt"))


def test_everything_is_copied_and_the_averages_are_what_counts():
    checkpoint = saved("seed=1")
    module = build(configured("train", *TINY))
    start_from(module, checkpoint)
    trained = RAVE.from_checkpoint(checkpoint).state_dict()
    for model in (module.model, module.ema):
        for name, value in model.state_dict().items():
            assert torch.equal(value, trained[name]), name
    for name, value in module.discriminator.state_dict().items():
        assert torch.equal(value, checkpoint.state_dict[f"discriminator.{name}"]), name
    assert module.step == 0


@pytest.mark.parametrize(("latent", "typed"), [
    *((latent, typed) for latent in ("wasserstein", "variational")
      for typed in (["model.capacity=6", "discriminator.capacity=3"], ["latent.size=24"])),
    ("wasserstein", ["latent.noise_channels=150"]), ("wasserstein", ["model.capacity=6", "model.activation=snake"])])
@torch.no_grad()
def test_a_wider_model_starts_as_the_same_function(latent, typed):
    size = ["latent.size=16"] if "size" not in typed[0] else []
    checkpoint = saved(f"latent={latent}", "latent.size=16", *(x for x in typed if "activation" in x))
    module = build(configured("train", *TINY, f"latent={latent}", *size, *typed))
    report = start_from(module, checkpoint)
    trained = RAVE.from_checkpoint(checkpoint).double()
    x = torch.randn(1, 1, 8 * trained.hop, dtype=torch.float64)
    for model in (module.double().model.eval(), trained):
        set_noise(model, 0)
    assert trained(x).abs().max() > 1e-2
    assert torch.allclose(module.model(x), trained(x), atol=1e-3 * float(trained(x).abs().max()))
    z = trained.encode(x)
    assert torch.allclose(module.model.encode(x)[:, :16], z, atol=1e-3 * float(z.abs().max()))
    assert report.resized["encoder"] > 0 or report.resized["decoder"] > 0
    if "capacity" in typed[0] and "discriminator" in typed[1]:
        source = build(configured("train", *TINY)).discriminator.double()
        source.load_state_dict(checkpoint.part("discriminator"))
        for ours, theirs in zip(module.discriminator(x), source(x), strict=True):
            assert torch.allclose(ours[-1], theirs[-1], atol=1e-3 * float(theirs[-1].abs().max()))


@torch.no_grad()
def test_a_narrower_model_takes_what_it_can():
    checkpoint = saved("latent.size=16")
    module = build(configured("train", *TINY, "latent.size=8"))
    report = start_from(module, checkpoint)
    trained = RAVE.from_checkpoint(checkpoint)
    x = torch.randn(1, 1, 8 * trained.hop)
    assert torch.allclose(module.model.eval().encode(x), trained.encode(x)[:, :8], atol=1e-5)
    ours, theirs = (m.decoder.first.weight for m in (module.model, trained))
    assert torch.allclose(ours[:, :8], theirs[:, :8], atol=1e-6)
    assert torch.allclose(ours[:, 8:], theirs[:, 16:], atol=1e-6)  # the noise's columns
    counts = sum(v.numel() for k, v in module.model.state_dict().items() if k.startswith("encoder."))
    assert report.copied["encoder"] + report.resized["encoder"] == counts
    assert [str(c.header) for c in report.table().columns] == ["part", "weights copied", "resized", "new"]


@pytest.mark.parametrize(("typed", "what"), [("model.sample_rate=48000", "44100 Hz.*48000.*leave out model.sample_rate"),
                                             ("model.ratios=[2,2,2,2]", "frame of .* is 2048 samples, of this model 256")])
def test_another_rate_or_hop_is_refused(typed, what, tmp_path):
    saved("model.ratios=[4,4,4,2]").save(tmp_path / "it.ckpt")
    with pytest.raises(InputError, match=what):
        build_or_transfer(configured("train", *TINY, f"transfer.from={tmp_path / 'it.ckpt'}", typed), [typed])


def test_short_directions_of_wide_layers_are_lengthened_and_no_weight_changes(tmp_path):
    """As in a run of the public release, whose directions are as long as the weights."""
    checkpoint = saved("model.capacity=40")
    state = checkpoint.state_dict
    short = {k: torch.nn.functional.normalize(v.flatten(1)).view_as(v) for k, v in state.items() if k.endswith("original1")}
    checkpoint.state_dict = state | short
    checkpoint.save(tmp_path / "it.ckpt")
    module = build_or_transfer(configured("train", *TINY, f"transfer.from={tmp_path / 'it.ckpt'}"), [])
    lengthened = 0
    for name, layer in module.model.named_modules():
        if not isinstance(layer, Conv1d):
            continue
        key = f"ema.{name}.parametrizations.weight.original"
        assert torch.allclose(layer.weight, torch._weight_norm(short[f"{key}1"], state[f"{key}0"], 0), atol=1e-6)
        weight_norm = layer.parametrizations.weight
        length, weight = (w.flatten(1).norm(dim=1) for w in (weight_norm.original1, layer.weight))
        assert (2.01 * length > weight * weight_norm[0].fan_in / REFERENCE_FAN_IN).all()
        lengthened += int((length > 1.001).sum())
    assert lengthened > 100


def moves(*overrides: str, steps: int = 4, first: int = 0) -> list[dict[str, float]]:
    """How far each parameter of the model moves, by step from `first` on; phase 2 begins at step 6."""
    torch.manual_seed(0)
    module = build(configured("train", *TINY, "training.lr=[1e-3,1e-3]", "training.warmup=0", *overrides))
    module.calibrated = True  # as when it starts from a trained model
    optimizers = module.configure_optimizers()
    x, moved = 0.1 * torch.randn(2, 1, 8192, generator=torch.Generator().manual_seed(0)), []
    for module.step in range(first, first + steps):
        before = {k: v.detach().clone() for k, v in module.model.named_parameters()}
        module.update_step(x, *optimizers)
        moved.append({k: float((v - before[k]).detach().abs().max()) for k, v in module.model.named_parameters()})
    return moved


def when(part: str, moved: list[dict[str, float]]) -> list[bool]:
    """At which steps all of a part moved; asserts that otherwise none of it did."""
    has_moved = [{far > 0 for name, far in step.items() if name.startswith(f"{part}.")} for step in moved]
    assert all(len(step) == 1 for step in has_moved)
    return [True in step for step in has_moved]


@pytest.mark.parametrize("pull", [0, 1])
def test_parts_keep_their_weights_for_so_many_steps_and_learn_at_their_own_pace(pull):
    moved = moves("training.freeze={encoder: 2, decoder.first: 3}", "training.lr_scale={decoder.waveform: 0.0}",
                  f"training.pull={pull}")
    assert when("encoder", moved) == [False, False, True, True]
    assert when("decoder.first", moved) == [False, False, False, True]
    assert when("decoder.waveform", moved) == [False] * 4
    assert when("decoder.stages.0", moved) == [True] * 4


def test_in_phase_2_nothing_moves_the_encoder():
    """Not the momentum of phase 1, nor a pull from where it has come to."""
    moved = moves("training.pull=1", first=5)
    assert when("encoder", moved) == [True, False, False, False]
    assert when("decoder.first", moved) == [True, True, True, False]  # step 8 is the discriminators'


def test_freeze_and_lr_scale_of_nested_parts_count_each_by_itself():
    plain, = moves(steps=1)
    slow = moves("training.lr_scale={decoder: 0.1, decoder.first: 0.5}", "training.freeze={decoder.first: 1}", steps=2)
    assert when("decoder.first", slow) == [False, True]
    for name, far in plain.items():
        share = 0.5 if name.startswith("decoder.first.") else 0.1 if name.startswith("decoder.") else 1
        assert slow[share == 0.5][name] == pytest.approx(share * far, rel=0.02), name  # Adam's first step: its size is lr
    within = moves("training.freeze={decoder: 2, encoder: 2, encoder.first: 1}", "training.lr_scale={decoder.first: 0.5}")
    assert when("decoder.first", within) == when("encoder.stages.0.units.0", within) == [False, False, True, True]
    assert when("encoder.first", within) == [False, True, True, True]


def test_what_waits_may_be_everything():
    assert when("decoder", moves("training.freeze={decoder: 10}", first=6)) == [False] * 4


def test_a_factor_is_one_of_the_learning_rate():
    """A scaled run is the one at that learning rate, until rounding has grown."""
    scaled = moves("training.lr_scale={encoder: 0.1, decoder: 0.1}", steps=3)
    slower = moves("training.lr=[1e-4,1e-4]", steps=3)
    assert all(one == pytest.approx(other, rel=0.01) for one, other in zip(scaled, slower, strict=True))


def test_the_discriminators_may_wait_too():
    module = build(configured("train", *TINY, "training.freeze={discriminator: 9}"))
    before = copy.deepcopy(module.discriminator.state_dict())
    optimizers = module.configure_optimizers()
    for module.step, same in ((8, True), (12, False)):
        module.update_step(0.1 * torch.randn(2, 1, 8192), *optimizers)
        assert all(torch.equal(value, before[name]) for name, value in module.discriminator.state_dict().items()) == same


def test_parts_may_be_numbered_as_in_earlier_versions():
    typed = ["training.freeze={encoder.net.0: 2}", "training.lr_scale={decoder.net.2: 0.5}"]
    module = build(configured("train", *TINY, *typed))
    assert module.schedule.freeze == {"encoder.first": 2}
    assert module.schedule.scale == {"decoder.stages.0.up": 0.5}


def test_a_part_that_is_not_there_is_named():
    with pytest.raises(InputError, match="no part 'encodre'"):
        build(configured("train", *TINY, "training.freeze={encodre: 2}"))


@pytest.mark.parametrize(("setting", "message"), [
    ("freeze=encoder", r"training.freeze: encoder .*say null, or \{encoder: 1000\}"),
    ("freeze={encoder: many}", "training.freeze.encoder: many is no number from 0 up; say 1000"),
    ("freeze={encoder: -1}", "training.freeze.encoder: -1 "), ("freeze={encoder: null}", "training.freeze.encoder: None"),
    ("lr_scale={encoder: fast}", "training.lr_scale.encoder: fast .*say 0.1"), ("lr_scale=0.1", "training.lr_scale: 0.1 "),
    ("pull=much", "training.pull: much is no number from 0 up; say 0.001"), ("pull=-1", "training.pull: -1 "),
    ("pull=nan", "training.pull: nan"), ("pull=null", "training.pull: None")])
def test_values_that_are_none(setting, message):
    with pytest.raises(InputError, match=message):
        build(configured("train", *TINY, f"training.{setting}"))


def test_the_pull_holds_the_weights_near_their_start():
    checkpoint, far = saved(), {}
    for pull in (0.0, 1000.0):
        module = build(configured("train", *TINY, f"training.pull={pull}", "training.warmup=0"))
        start_from(module, checkpoint)
        start_weights = [p.detach().clone() for p in module.model.parameters()]
        optimizers = module.configure_optimizers()
        for _ in range(6):
            x = 0.1 * torch.randn(2, 1, 8192, generator=torch.Generator().manual_seed(0))
            losses = module.update_step(x, *optimizers)
        far[pull] = sum(float((p - q).detach().square().sum()) for p, q in
                        zip(module.model.parameters(), start_weights, strict=True))
    assert far[1000.0] < 0.7 * far[0.0]
    assert float(losses["pull"]) > 0


def test_filters_of_another_bank_are_not_copied():
    checkpoint = saved()
    checkpoint.architecture["bank"] = {"alternate": True}
    checkpoint.state_dict["ema.pqmf.analysis"] += 1
    module = build(configured("train", *TINY))
    before = module.model.pqmf.analysis.clone()
    start_from(module, checkpoint)
    assert torch.equal(module.model.pqmf.analysis, before)


def test_what_has_no_place_is_said():
    """A noise synthesiser that the new model does not have, to the weight."""
    checkpoint = saved("model.noise={ratios: [4, 4, 2], hidden: 8, filter_bands: 5}")
    report = start_from(build(configured("train", *TINY)), checkpoint)
    lost = sum(v.numel() for k, v in checkpoint.state_dict.items() if k.startswith("model.decoder.noise."))
    assert report.unused == {"decoder.noise": lost}
    assert report.table().caption == f"left behind: decoder.noise, {lost:,} weights"
    assert start_from(build(configured("train", *TINY)), saved()).table().caption == ""


@pytest.mark.parametrize(("key", "there", "new"), [
    ("dilations", [[1, 3], [1, 3, 9, 27], [1, 3, 9], [1, 3]], {"encoder.stages.0.units.2", "decoder.stages.3.units.2"}),
    ("dilations", [[1, 2, 4], [1, 3, 9], [1, 3, 9], [1, 3]], set()), ("ratios", [2, 4, 4, 2], set())])
def test_layers_go_by_stage_and_unit(key, there, new):
    """`new`: the units that the trained model does not have; it has others that stay unused."""
    checkpoint = saved(f"model.{key}={there}")
    module = build(configured("train", *TINY))
    before = copy.deepcopy(module.model.state_dict())
    report = start_from(module, checkpoint)
    assert report.notes == [f"model.{key} was {there}: what is copied works at other scales of time"]
    kept = {k for k, v in before.items() if k.endswith("weight.original1") and torch.equal(v, module.model.state_dict()[k])}
    assert {k.split(".branch.")[0] for k in kept} == new
    assert (report.unused["encoder.stages"] > 0) == (report.unused["decoder.stages"] > 0) == bool(new)
    assert report.copied["discriminators"] > 0


@torch.no_grad()
def test_discriminators_of_spectrograms_grow_and_those_of_another_kind_begin_anew():
    stft, dac = ([f"discriminator={kind}", "model=tiny", "model.capacity=4"] for kind in ("stft", "dac"))
    content = {"state_dict": (trained := build(configured("train", *stft))).state_dict()}
    trained.on_save_checkpoint(content)
    checkpoint, x = Checkpoint.from_content(content, Path("it.ckpt")), torch.randn(1, 1, 8192)
    module = build(configured("train", *stft, "discriminator.channels=[18,20,36,33,40]"))
    report = start_from(module, checkpoint)
    assert report.resized["discriminators"] > 0
    assert report.notes == []
    for ours, theirs in zip(module.discriminator(x), trained.discriminator(x), strict=True):
        assert torch.allclose(ours[-1], theirs[-1], atol=1e-3 * float(theirs[-1].abs().max()))
    module = build(configured("train", *dac))
    before = copy.deepcopy(module.discriminator.state_dict())
    report = start_from(module, checkpoint)
    assert report.notes == ["the checkpoint's discriminators are of another kind: these begin anew"]
    assert report.unused["discriminators"] == sum(v.numel() for v in checkpoint.part("discriminator").values())
    assert all(torch.equal(value, before[name]) for name, value in module.discriminator.state_dict().items())


def test_a_bound_of_earlier_versions_is_said():
    earlier = "model.limit=1"
    report = start_from(build(configured("train", *TINY, earlier)), saved(earlier))
    assert report.notes == ["model.limit is 1, as in earlier versions: loud sounds stay too quiet; "
                            "model.limit=8 leaves them room"]


def test_another_activation_is_said():
    report = start_from(build(configured("train", *TINY, "model.activation=snake")), saved())
    assert report.notes == ["model.activation was leaky_relu: what is copied was trained with it"]
    assert report.new["encoder"] > 0
    assert not report.resized


def test_nothing_that_fits_is_an_error():
    checkpoint = saved()
    checkpoint.state_dict = {"model.of.another": torch.zeros(3)}
    with pytest.raises(InputError, match="no weight in it has a place"):
        start_from(build(configured("train", *TINY)), checkpoint)


def test_the_architecture_is_the_trained_ones_but_for_what_is_typed():
    trained = {"capacity": 8, "ratios": [4], "latent": {"name": "wasserstein", "size": 4}}
    here = {"capacity": 16, "ratios": [2], "latent": {"name": "wasserstein", "size": 16}, "bank": None}
    assert architecture(here, trained, set()) == {"bank": None, **trained}
    changed = architecture(here, trained, {"capacity", "latent.size"})
    assert changed == {"bank": None, "capacity": 16, "ratios": [4], "latent": {"name": "wasserstein", "size": 16}}
    assert trained["latent"]["size"] == 4


@pytest.mark.parametrize(("typed", "keys"), [
    (["data.root=x", "recipe=minute_cpu", "latent=variational"], set()), (["model=v2", "model.capacity=16"], None),
    (["+model.capacity=16", "model.latent.size=8"], {"capacity", "latent.size"}), (["latent.size=8"], {"latent.size"})])
def test_which_keys_of_the_model_are_typed(typed, keys):
    assert model_keys(typed) == keys


def test_a_model_that_is_typed_as_a_whole_counts(tmp_path):
    checkpoint = saved("model.dilations=[[1],[1],[1],[1]]")
    checkpoint.architecture["bank"] = {"alternate": True}
    checkpoint.save(tmp_path / "it.ckpt")
    config = configured("train", *TINY, f"transfer.from={tmp_path / 'it.ckpt'}")
    module = build_or_transfer(config, ["model=tiny", "model.capacity=4"])
    assert module.model.config == build(configured("train", *TINY)).model.config


def test_a_run_from_a_run_and_its_resume(settings, whole, tmp_path):
    """The model is the first run's whatever the configuration says; the second goes on without the first one's file."""
    first = tmp_path / "first.ckpt"
    shutil.copy(whole / "checkpoints/last.ckpt", first)
    second = [f"transfer.from={first}", *(s for s in settings if not s.startswith("model"))]
    run(tmp_path / "second", *second, "phase1.steps=0", "phase2.steps=1")  # the discriminators' step: the model stays
    transferred, original = (read_checkpoint(path) for path in (tmp_path / "second/checkpoints/last.ckpt", first))
    assert transferred.architecture == original.architecture | {"bank": None}
    for name, value in transferred.state_dict.items():
        if name.startswith("model.") and "principal" not in name:
            assert torch.equal(value, original.state_dict[f"ema.{name[6:]}"]), name
    assert transferred.settings["transfer"]["sha256"] == hashlib.sha256(first.read_bytes()).hexdigest()
    first.rename(tmp_path / "away.ckpt")
    run(tmp_path / "second", *second, "resume=last", "phase1.steps=0", "phase2.steps=3")
    resumed = read_checkpoint(tmp_path / "second/checkpoints/last.ckpt")
    assert resumed.step == 3
    assert resumed.settings["transfer"] == transferred.settings["transfer"]


@pytest.mark.slow
def test_a_resumed_run_may_change_what_waits_and_how_fast_parts_learn(settings, tmp_path, monkeypatch):
    """With the same paces it is bit for bit the uninterrupted one, with others those count, though the state is the same."""
    first = ["training.freeze={encoder: 5}", "training.lr_scale={decoder: 0.5}"]
    other = ["training.freeze={decoder.first: 99}", "training.lr_scale={encoder: 0}"]
    run(tmp_path / "whole", *settings, *first)
    with monkeypatch.context() as patch:
        stop_at(3, patch)
        run(tmp_path / "half", *settings, *first)
    for name, paces in (("same", first), ("other", other), ("none", [])):
        shutil.copytree(tmp_path / "half", tmp_path / name)
        run(tmp_path / name, *settings, *paces, "resume=last")
    half, whole, same, changed, none = (read_checkpoint(tmp_path / name / "checkpoints/last.ckpt").state_dict
                                        for name in ("half", "whole", "same", "other", "none"))
    assert all(torch.equal(value, whole[name]) for name, value in same.items())
    for name in (name for name in half if name.startswith("model.") and "parametrizations" in name):
        stays = name.startswith(("model.encoder.", "model.decoder.first."))
        assert torch.equal(changed[name], half[name]) == stays, name
        assert not torch.equal(none[name], same[name]), name


def test_what_a_resume_cannot_switch_on_or_off_is_named(settings, tmp_path):
    pulled, hidden = ["training.pull=0.1"], ["training.ada={target: 0.5}"]
    short = ["phase1.steps=1", "phase2.steps=0", "callbacks.listen.every=null"]
    run(tmp_path / "pulled", *settings, *pulled, *short)
    run(tmp_path / "hidden", *settings, *hidden, *short)
    for name, typed, message in [("pulled", [], "began with training.pull=0.1;.*say 'training.pull=0.1' again"),
                                 ("hidden", [], "say 'training.ada={target: 0.5}' again.*transfer.from="),
                                 ("hidden", [*hidden, *pulled], "began with training.pull=0.0"),
                                 ("pulled", [*hidden, *pulled], "began with training.ada=null"),
                                 ("pulled", ["training.ema=null", *pulled], "began with training.ema=0.999")]:
        with pytest.raises(InputError, match=message):
            run(tmp_path / name, *settings, *typed, *short, "resume=last")
    last = tmp_path / "pulled/checkpoints/last.ckpt"
    old = torch.load(last, weights_only=True)
    old["optimizer_states"][0]["param_groups"] *= 2
    torch.save(old, last)
    with pytest.raises(InputError, match=r"training.freeze or training.lr_scale in a version .* transfer.from="):
        run(tmp_path / "pulled", *settings, *pulled, *short, "resume=last")


def test_what_cannot_be_started_from(tmp_path):
    with pytest.raises(InputError, match="no such checkpoint"):
        build_or_transfer(configured("train", *TINY, f"transfer.from={tmp_path / 'no.ckpt'}"), [])
    saved("latent=variational").save(tmp_path / "it.ckpt")
    with pytest.raises(InputError, match=r"variational latent.*add latent=variational"):
        build_or_transfer(configured("train", *TINY, f"transfer.from={tmp_path / 'it.ckpt'}"), [])


def test_statistics_of_adaptive_norms_stay_behind():
    """They are of the trained weights, which will change."""
    checkpoint = saved("model.adaptive_norm=true")
    for name, value in checkpoint.state_dict.items():
        if ".norm." in name:
            value.fill_(1.0)
    module = build(configured("train", *TINY, "model.adaptive_norm=true"))
    start_from(module, checkpoint)
    norms = [part for part in module.modules() if isinstance(part, AdaptiveNorm)]
    assert norms
    assert not any(value.any() for norm in norms for value in norm.buffers())


def test_a_run_of_v3_from_before_it_had_adaptive_norms_is_resumed_without():
    v3 = ["data.root=x", "model=v3", *SETTINGS[1:]]
    module = build(configured("train", *v3, "model.adaptive_norm=false"))
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    del content["model"]["adaptive_norm"]
    checkpoint = Checkpoint.from_content(content, Path("it.ckpt"))
    resumed = build_or_transfer(configured("train", *v3), ["model=v3"], checkpoint)
    assert resumed.state_dict().keys() == module.state_dict().keys()
    assert build_or_transfer(configured("train", *v3), ["model=v3"]).model.config["adaptive_norm"]


def test_a_run_of_codes_keeps_its_lookup():
    discrete = [*TINY, "latent=discrete", "latent.entries=8"]
    module = build(configured("train", *discrete))
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    assert content["model"]["latent"].pop("lookup") == "euclidean"
    resumed = build_or_transfer(configured("train", *discrete), [], Checkpoint.from_content(content, Path("it.ckpt")))
    assert resumed.model.config["latent"]["lookup"] == "cosine"
    assert not resumed.model.latent.euclidean
