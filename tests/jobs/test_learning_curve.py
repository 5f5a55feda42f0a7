"""`rave-lite learning-curve` as a person types it, on five small files."""

import csv
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from rave_lite import run
from rave_lite.model import read_checkpoint
from rave_lite.training.callbacks import ProgressLine
from rave_lite.training.module import RAVETraining
from tests.commands import fails, rave_lite

SETTINGS = ["model=tiny", "model.capacity=4", "discriminator.capacity=2", "data.window=8192", "data.batch_size=2",
            "data.workers=0", "phase1.steps=2", "phase2.steps=0", "trainer.val_check_interval=1000",
            "trainer.accelerator=cpu", "+callbacks.checkpoints.principal_seconds=1", "data.root=audio", "data.cache=cache",
            "logger=csv", "callbacks.listen.count=1", "callbacks.listen.judged=0"]
CURVE = ["learning-curve", *SETTINGS, "fractions=[0.5,1]", "seeds=[0,1]", "data.held_out=['[b] 1.wav']"]
FOLDERS = {f"fraction-{f}+seed-{s}" for f in ("0.5", "1") for s in (0, 1)}


@pytest.fixture
def project(write, tmp_path) -> Path:
    for name in ("a's 0.wav", "[b] 1.wav", "2.wav", "3.wav", "4.wav"):
        write(name, 0.4)
    return tmp_path


@pytest.fixture
def steps(monkeypatch) -> list[tuple[str, int]]:
    """Run folder and number of each trained step; the timed steps on a copy do not count."""
    trained: list[tuple[str, int]] = []
    inner = RAVETraining.training_step

    def spy(self, *arguments):
        trained.append((Path(self.config["out"]).name, self.step))
        return inner(self, *arguments)

    monkeypatch.setattr(RAVETraining, "training_step", spy)
    return trained


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open()))


@pytest.mark.slow
def test_a_curve_stopped_in_the_middle_and_gone_on_with(project, steps, monkeypatch, capsys):
    plan = rave_lite(*CURVE, "influence=true", "plan_only=true", cwd=project)
    assert plan.returncode == 0, plan.stderr
    for line in ("fraction 0.5: 2 files, 0.8 s to train on", "fraction 1: 4 files, 1.6 s to train on",
                 "without each of 4 training files, 1 step each", "same 1 held-out file, 0.4 s",
                 "14 runs; of the curve each takes 2 + 0 steps", "training takes about"):
        assert line in plan.stdout
    assert not steps
    assert not (project / "curves").exists()

    inner = ProgressLine.on_train_batch_end

    def stop(self, trainer, pl_module, *arguments):
        if len(steps) == 5:  # after the first step of the third run
            os.kill(os.getpid(), signal.SIGINT)
        inner(self, trainer, pl_module, *arguments)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(ProgressLine, "on_train_batch_end", stop)
            done = rave_lite(*CURVE, cwd=project)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.returncode == 130, done.stderr
    assert "the same command goes on from here" in done.stdout
    assert len(steps) == 5
    out = project / "curves/curve"
    assert not (out / "curve.csv").exists()

    done = rave_lite(*CURVE, cwd=project)
    assert done.returncode == 0, done.stderr
    assert "4 runs, 2 of them finished" in done.stdout
    assert len(steps) == len(set(steps)) == 8  # each step of each run once
    assert {name for name, _ in steps} == FOLDERS
    points = rows(out / "curve.csv")
    assert {f"fraction-{row['fraction']}+seed-{row['seed']}" for row in points} == FOLDERS
    assert [float(row["minutes"]) * 60 for row in points] == pytest.approx([0.8, 0.8, 1.6, 1.6], abs=0.01)
    assert all(float(row["held_out_distance"]) > 0 < float(row["train_distance"]) for row in points)
    assert min(Image.open(out / "curve.png").size) > 400
    assert "held-out distance" in done.stdout

    first_table = (out / "curve.csv").read_text()
    done = rave_lite(*CURVE, "influence=true", "influence_steps=2", cwd=project)
    assert done.returncode == 0, done.stderr
    assert (out / "curve.csv").read_text() == first_table
    assert len(steps) == 8 + 4 * 2 * 2
    influence = rows(out / "influence.csv")
    assert {row["file"] for row in influence} == {"a's 0.wav", "2.wav", "3.wav", "4.wav"}
    for row in influence:
        assert float(row["change"]) == pytest.approx((float(row["seed_0"]) + float(row["seed_1"])) / 2, abs=1e-4)
    assert "a's 0.wav" in done.stdout
    monkeypatch.chdir(project)
    report = run(*CURVE, "influence=true", "influence_steps=2")
    assert len(steps) == 24  # nothing is repeated
    assert "12 runs, 12 of them finished" in capsys.readouterr().out
    assert [f"{point.held_out:.5f}" for point in report["curve"]] == [row["held_out_distance"] for row in points]
    assert str(report["gain"]) in done.stdout
    assert [row.source for row in report["influence"]] == [row["file"] for row in influence]


@pytest.mark.slow
def test_runs_differ_by_what_they_are_said_to(project):
    assert rave_lite(*CURVE, "influence=true", "influence_steps=1", "seeds=[3]", cwd=project).returncode == 0
    out = project / "curves/curve"
    half, whole = (read_checkpoint(out / f"fraction-{f}+seed-3/checkpoints/last.ckpt").settings for f in (0.5, 1))
    assert (half["seed"], half["data"]["subset_seed"], half["data"]["split_seed"]) == (3, 3, 0)
    assert (half["data"]["fraction"], whole["data"]["fraction"]) == (0.5, 1)
    assert half["minutes"] == pytest.approx(whole["minutes"] / 2, rel=0.01)
    assert not {"fractions", "seeds", "influence"} & half.keys()
    influence_run = out / "influence-1-steps/without-2.wav+seed-3/checkpoints/last.ckpt"
    assert read_checkpoint(influence_run).settings["data"]["without"] == ["2.wav"]
    assert read_checkpoint(influence_run).step == 1
    assert len(list((out / "influence-1-steps").iterdir())) == 5  # without each of four, and with all
    done = rave_lite("evaluate", f"ckpt={influence_run}", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "[b] 1.wav" in done.stdout


@pytest.mark.slow
def test_the_distance_is_that_of_training(project, monkeypatch):
    """The distance computed from the checkpoint equals that of the run's last validation."""
    assert rave_lite(*CURVE, "data.held_out=0.5", "seeds=[0]", cwd=project).returncode == 0
    for row in rows(project / "curves/curve/curve.csv"):
        log = next((project / f"curves/curve/fraction-{row['fraction']}+seed-0/logs/csv").glob("*/metrics.csv"))
        logged = [line["held_out/distance"] for line in rows(log) if line.get("held_out/distance")]
        assert float(row["held_out_distance"]) == pytest.approx(float(logged[-1]), rel=1e-4)


@pytest.mark.parametrize(("arguments", "message"), [
    (["fractions=[0.01,1]"], "fractions: 0.01 of 4 training files is none; say 0.25 or more"),
    (["fractions=[0.2,0.25,1]"], "fractions: 0.2 and 0.25 of the training files are the same 1; say fractions=[0.25,1]"),
    (["fractions=[0,1]"], "fractions: 0 is no share above 0"), (["fractions=0.5"], "fractions: 0.5 is no list of different"),
    (["fractions=[1]"], "fractions: [1]: a curve needs two at least"), (["seeds=[1,1]"], "seeds: [1, 1] is no list of diff"),
    (["seeds=[]"], "seeds: [] is no list"), (["seeds=[0.5]"], "seeds: [0.5] is no list"),
    (["data.fraction=0.5"], "a curve has fractions="), (["phase1.until=plateau"], "the same number of steps"),
    (["data.without=[22]"], "data.without: no training file is named 22; near it: 2.wav"),
    (["data.without=['*']"], "nothing is left to train on"), (["influence_steps=0"], "influence_steps: 0 is no whole"),
    (["data.without=[2,3,4]", "influence=true", "fractions=[1]"], "influence: there is one file to train on"),
    (["data.root=gone"], "gone: no such file or folder"), (["phase1.steps=0"], "no step to train")])
def test_bad_input(arguments, message, project):
    fails(message, *CURVE, *arguments, cwd=project)
    assert not (project / "curves").exists()


@pytest.mark.slow
def test_other_settings_or_recordings_are_not_mixed(project, write):
    assert rave_lite(*CURVE, "seeds=[0]", "fractions=[0.5,1]", cwd=project).returncode == 0
    before = (project / "curves/curve/curve.csv").read_bytes()
    fails("phase1.steps was 2, is now 3; say another name=", *CURVE, "phase1.steps=3", cwd=project)
    write("new.wav", 0.4)
    fails("recordings.train.new.wav was none, is now 0.4; say another name=", *CURVE, cwd=project)
    assert (project / "curves/curve/curve.csv").read_bytes() == before


@pytest.mark.slow
def test_a_lone_file_and_a_manifest(write, tmp_path):
    write("roll.wav", 8.0)
    (tmp_path / "m.csv").write_text("file,start,end,keep\nroll.wav,0,3,yes\nroll.wav,3,5,no\nroll.wav,5,8,yes\n")
    done = rave_lite("learning-curve", *SETTINGS, "data.manifest=m.csv", "fractions=[0.25,1]", "seeds=[0]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    quarter, whole = (float(row["minutes"]) for row in rows(tmp_path / "curves/curve/curve.csv"))
    assert quarter == pytest.approx(whole / 4, rel=0.01)
    assert whole * 60 == pytest.approx(4, abs=0.1)  # 6 s are kept, of which 1 s is held out behind 1 s


@pytest.mark.slow
def test_through_a_launcher(project, monkeypatch):
    """The launcher trains the runs in the same folders as this process would; the next command judges them."""
    launched: list[list[str]] = []

    def run(command, check):
        launched.append(command[3:])
        return SimpleNamespace(returncode=1)

    arguments = [*CURVE, "influence=true", "influence_steps=2", "seeds=[0]", "hydra/launcher=slurm",
                 "hydra.launcher.partition=gpu"]
    with monkeypatch.context() as patch:
        patch.setattr("subprocess.run", run)
        done = rave_lite(*arguments, cwd=project)
    assert done.returncode == 1
    assert "not all runs have ended well" in done.stderr
    assert len(launched) == 2
    launcher = ["hydra/launcher=slurm", "hydra.launcher.partition=gpu"]
    for command in launched:
        assert set(launcher) <= set(command)
        done = rave_lite(*(word for word in command if word not in launcher), cwd=project)
        assert done.returncode == 0, done.stdout + done.stderr
    done = rave_lite(*arguments, cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 runs, 6 of them finished" in done.stdout
    assert {row["file"] for row in rows(project / "curves/curve/influence.csv")} == {"a's 0.wav", "2.wav", "3.wav", "4.wav"}
    assert len(rows(project / "curves/curve/curve.csv")) == 2
