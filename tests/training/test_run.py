"""Real runs: phases, checkpoints, a resume that is bit for bit the uninterrupted run, a stop, a full disk."""

import json
import math
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from rave_lite import RAVE, InputError
from rave_lite.cli.build import build
from rave_lite.data import catalogue
from rave_lite.jobs.train import train
from rave_lite.model import read_checkpoint
from rave_lite.model.checkpoint import layer_names
from rave_lite.training.callbacks import ProgressLine
from tests.commands import rave_lite
from tests.conftest import configured
from tests.runs import losses, run, stop_at


@pytest.mark.slow
def test_a_new_run_is_calibrated_and_one_that_starts_from_a_model_keeps_its_levels(settings, whole, write, tmp_path):
    for i in range(2):
        write(f"../quiet/{i}.wav", samples=np.random.default_rng(i).normal(0, 1e-3, 30000))
    run(tmp_path / "second", *settings, f"data.root={tmp_path / 'quiet'}",
        f"transfer.from={whole / 'checkpoints/last.ckpt'}")
    first, second = (RAVE.from_checkpoint(out / "checkpoints/last.ckpt").decoder.band_gain
                     for out in (whole, tmp_path / "second"))
    assert (first != 1).all()
    assert torch.equal(first, second)


def number_layers(path: Path) -> None:
    """Rename the layers in a checkpoint file as earlier versions did."""
    content = torch.load(path, weights_only=True)
    numbers = {new: old for old, new in layer_names(content["model"]).items() if not new.endswith("activation")}
    layer = re.compile(r"\b(?:encoder|decoder)\.(?:first|last|stages\.\d+\.(?:up|down|units\.\d+))\b")
    old = lambda name: layer.sub(lambda match: numbers[match[0]], name)
    content["state_dict"] = {old(name): value for name, value in content["state_dict"].items()}
    groups = [group for optimizer in content["optimizer_states"] for group in optimizer["param_groups"]]
    for group in groups:
        group["param_names"] = [old(name) for name in group["param_names"]]
    weight = "parametrizations.weight.original0"
    assert {f"model.encoder.net.0.{weight}", f"ema.decoder.net.2.{weight}"} <= content["state_dict"].keys()
    assert f"encoder.net.1.branch.1.{weight}" in groups[0]["param_names"]
    torch.save(content, path)


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("stopped", "numbered", "more"), [
    (8, False, ["model.activation=snake"]), (3, False, []), (8, False, []),
    (8, True, ["training.freeze={decoder.first: 10}"])])
def test_a_resumed_run_is_the_uninterrupted_one(settings, whole, tmp_path, monkeypatch, stopped, numbered, more):
    """Also from a file of an earlier version, whose layers had numbers, and where the settings name a part; and Snakes."""
    first, second = whole, tmp_path / "parts"
    if more:
        settings, first = [*settings, *more], tmp_path / "whole"
        run(first, *settings)
    with monkeypatch.context() as patch:
        stop_at(stopped, patch)
        run(second, *settings)
    assert read_checkpoint(second / "checkpoints/last.ckpt").step == stopped
    if numbered:
        number_layers(second / "checkpoints/last.ckpt")
    run(second, "resume=last", *settings)
    whole, parts = (read_checkpoint(out / "checkpoints/last.ckpt") for out in (first, second))
    assert whole.state_dict.keys() == parts.state_dict.keys()
    for name, value in whole.state_dict.items():
        assert torch.equal(value, parts.state_dict[name]), name
    for one, two in zip(whole.optimizer_states, parts.optimizer_states, strict=True):
        for key, state in one["state"].items():
            assert all(torch.equal(torch.as_tensor(v), torch.as_tensor(two["state"][key][k])) for k, v in state.items())
    first, second = losses(first), losses(second)
    assert second.keys() == first.keys()  # nothing that the first part logged is lost
    differ = [(step, key) for step, row in second.items() for key, value in row.items()
              if key in first[step] and first[step][key] != value]  # to stop may add a validation
    assert not differ
    assert all({"loss/linear", "loss/discriminator"} & second[step].keys() for step in range(1, 13))


def test_a_run_leaves_what_people_need(whole):
    folder = whole / "checkpoints"
    kept = {f"step-{n:07d}.ckpt" for n in (4, 8, 12)}
    assert {p.name for p in folder.iterdir()} == {"last.ckpt", "best.ckpt", "phase1.ckpt"} | kept
    assert [read_checkpoint(folder / name).step for name in sorted(kept)] == [4, 8, 12]
    steps = {p.stem: read_checkpoint(p).step for p in folder.iterdir()}
    assert steps["last"] == 12
    assert steps["phase1"] == 6
    assert steps["best"] in (4, 8, 12)
    checkpoint = read_checkpoint(folder / "last.ckpt")
    assert checkpoint.sample_rate == 44100
    assert checkpoint.settings["phase1"]["steps"] == 6
    model, raw = RAVE.from_checkpoint(folder / "last.ckpt"), RAVE.from_checkpoint(folder / "last.ckpt", ema=False)
    assert not torch.equal(model.decoder.waveform.weight, raw.decoder.waveform.weight)
    rows = losses(whole)
    assert {"loss/linear", "loss/mel", "loss/bands", "loss/penalty"} <= rows[3].keys()
    assert {"loss/adversarial", "loss/feature_matching"} <= rows[8].keys()
    assert "loss/discriminator" in rows[9]
    judged = {step: row for step, row in rows.items() if "held_out/distance" in row}
    assert judged.keys() == {4, 8, 12}
    for row in judged.values():
        held_out, train, gap = (float(row[name]) for name in ("held_out/distance", "train/distance", "gap"))
        assert gap == pytest.approx(held_out - train, abs=1e-4)
        assert held_out != train


def test_both_distances_are_of_the_averaged_weights_and_best_is_judged_by_the_held_out_one(settings, whole, tmp_path):
    """Measured again from the checkpoint of their step, piece by piece, on the recordings as they are."""
    steps = losses(whole)
    best = read_checkpoint(whole / "checkpoints/best.ckpt")
    assert best.step == min((4, 8, 12), key=lambda step: float(steps[step]["held_out/distance"]))
    module = build(configured("train", *settings))
    module.load_state_dict(read_checkpoint(whole / "checkpoints/last.ckpt").state_dict)
    recordings = catalogue(tmp_path / "audio", 44100, cache=tmp_path / "cache")
    for clips, name in ((recordings.held_out, "held_out/distance"), (recordings.train, "train/distance")):
        with torch.no_grad():
            distances = []
            for clip in clips:
                x = torch.from_numpy(clip.read())[None, None]
                torch.manual_seed(0)
                distances.append(float(module.distance(x, module.ema.reconstruct(x))["linear"]))
        logged = float(steps[12][name])
        assert min(abs(logged - distance) for distance in distances) < 1e-4 * logged  # so of one piece each


@pytest.mark.slow
def test_a_run_without_checkpoints_ends_well(settings, tmp_path):
    overrides = [setting for setting in settings if "callbacks.checkpoints" not in setting]
    config = configured("train", f"out={tmp_path / 'run'}", *overrides, "~callbacks.checkpoints")
    assert train(config, brief=True) == math.inf
    assert not (tmp_path / "run/checkpoints").exists()


def test_phase_2_leaves_the_encoder_as_it_was(whole):
    boundary, last = (read_checkpoint(whole / f"checkpoints/{n}.ckpt").state_dict for n in ("phase1", "last"))
    moved = {k.split(".")[1] for k in last if k.startswith("model.") and not torch.equal(boundary[k], last[k])}
    assert moved == {"decoder"}
    assert any(not torch.equal(boundary[k], last[k]) for k in last if k.startswith("discriminator."))


def test_a_second_run_does_not_overwrite_the_first(settings, whole, tmp_path):
    with pytest.raises(InputError, match=r"holds a run already: go on with resume=last"):
        run(whole, *settings)
    with pytest.raises(InputError, match=r"nowhere\.ckpt: no such checkpoint to resume"):
        run(tmp_path / "other", "resume=nowhere.ckpt", *settings)
    with pytest.raises(InputError, match=r"another model than this run's: model.capacity was 4, is now 6"):
        run(tmp_path / "other", f"resume={whole / 'checkpoints/last.ckpt'}", *settings, "model.capacity=6")


def test_a_full_disk_keeps_the_previous_checkpoint(settings, tmp_path, monkeypatch):
    """The system lets this process write no more than 100 kB to a file: its writes fail as on a full disk."""
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_at(5, patch)
        run(out, *settings)
    before = (out / "checkpoints/last.ckpt").read_bytes()
    assert len(before) > 200_000
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        done = rave_lite("train", f"out={out}", "resume=last", *settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert done.returncode == 2, done.stderr
    assert "phase1.ckpt: could not be written" in done.stderr
    assert "what it held before is untouched" in done.stderr
    assert "Traceback" not in done.stderr
    assert (out / "checkpoints/last.ckpt").read_bytes() == before
    assert {p.name for p in (out / "checkpoints").iterdir()} <= {"last.ckpt", "best.ckpt"}
    run(out, "resume=last", *settings)
    assert read_checkpoint(out / "checkpoints/last.ckpt").step == 12


@pytest.mark.slow
def test_signals_mean_afterwards_what_they_meant_before(settings, tmp_path, monkeypatch):
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    run(tmp_path / "run", *settings, "phase2.steps=0")
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    monkeypatch.setattr(ProgressLine, "on_train_batch_end", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "broken", *settings)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_or_a_termination_of_a_real_process_saves(settings, tmp_path, sent):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "rave_lite", "train", f"out={out}", *settings, "phase1.steps=100000",
               "callbacks.listen.every=null"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        deadline = time.monotonic() + 120
        while not (out / "checkpoints/last.ckpt").exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(sent)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "stopping after this step" in said
    step = read_checkpoint(out / "checkpoints/last.ckpt").step
    assert step >= 5
    assert f"step {step} of" in said


@pytest.mark.gpu
def test_a_run_on_cuda(settings, tmp_path):
    run(tmp_path / "run", *settings, "trainer.accelerator=gpu")
    model = RAVE.from_checkpoint(tmp_path / "run/checkpoints/last.ckpt")
    assert np.isfinite(model.reconstruct(torch.randn(1, 1, 5000)).detach().numpy()).all()
    assert json.dumps(model.config)


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_it_had_not_been(settings, tmp_path):
    """SIGKILL at random moments, twice in each phase, resume=last after each: it ends bit for bit as the whole run."""
    steps = ["phase1.steps=40", "phase2.steps=40", "callbacks.checkpoints.every=3", "callbacks.listen.every=null"]
    run(tmp_path / "whole", *settings, *steps)
    out, rng = tmp_path / "killed", np.random.default_rng(0)
    last = out / "checkpoints/last.ckpt"
    killed_in = []
    for target in (10, 22, 50, 62):
        command = ["train", f"out={out}", *settings, *steps, *(["resume=last"] if last.exists() else [])]
        process = subprocess.Popen([sys.executable, "-m", "rave_lite", *command], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        while process.poll() is None and saved_step(last) < target:
            time.sleep(0.002)
        time.sleep(float(rng.uniform(0, 0.1)))
        process.kill()
        process.wait()
        (out / "checkpoints/.last.ckpt.1").write_bytes(b"half")  # as a kill in the middle of writing leaves it
        assert last.exists(), process.stderr.read()
        killed_in.append(saved_step(last))
    assert max(killed_in[:2]) < 40 <= min(killed_in[2:]) <= max(killed_in) < 80, killed_in
    run(out, *settings, *steps, "resume=last")
    whole, resumed = (read_checkpoint(tmp_path / name / "checkpoints/last.ckpt") for name in ("whole", "killed"))
    assert whole.state_dict.keys() == resumed.state_dict.keys()
    for name, value in whole.state_dict.items():
        assert torch.equal(value, resumed.state_dict[name]), name
    expected, logged = losses(tmp_path / "whole"), losses(out)
    after = [step for step in range(killed_in[-1] + 1, 81) if step in logged]
    assert len(after) > 10
    assert [logged[step] for step in after] == [expected[step] for step in after]
    assert not list((out / "checkpoints").glob(".*"))  # what a kill cut short is gone


def saved_step(checkpoint: Path) -> int:
    """Where a checkpoint stands, 0 where there is none yet; a half-written one would raise."""
    return read_checkpoint(checkpoint).step if checkpoint.exists() else 0


@pytest.mark.slow
def test_v3_is_trained_as_published(settings, tmp_path):
    """By one word. The penalty's weights are those of the release's callback (2.3.1) at the steps 5000, 10000 and 20000."""
    own = [s for s in settings if not s.startswith(("model=", "discriminator."))]
    v3 = ["recipe=v3", *own, "model.ratios=[4,4,2,2]", "latent.size=8", "discriminator.parts.multi.capacity=2",
          "discriminator.parts.bands.channels=[2,2,2,2,2]", "data.window=22528", "phase1.steps=2", "phase2.steps=2"]
    run(tmp_path / "run", *v3)
    checkpoint = read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")
    assert checkpoint.architecture["adaptive_norm"]
    assert checkpoint.architecture["activation"] == "snake_between"
    assert all(v.isfinite().all() for v in checkpoint.state_dict.values())
    assert not any(v.any() for k, v in checkpoint.state_dict.items() if ".norm." in k)
    assert any(k.startswith("discriminator.parts.bands.") for k in checkpoint.state_dict)
    rows = losses(tmp_path / "run")
    assert {"loss/linear", "loss/bands", "loss/penalty", "loss/adversarial", "loss/feature_matching"} <= rows[4].keys()
    assert "loss/mel" not in rows[4]
    module = build(configured("train", *v3))
    for module.step, weight in ((0, 1e-6), (5000, 1.496e-5), (10000, 2.237e-4), (20000, 0.05), (30000, 0.05)):
        assert module.weight("penalty") == pytest.approx(weight, rel=1e-3)
