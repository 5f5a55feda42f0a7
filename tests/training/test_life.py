"""Runs whose model is dead end, and leave the good states that were saved; living ones go on."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rave_lite.data import Clip, Pieces
from rave_lite.errors import InputError, TrainingError
from rave_lite.model import read_checkpoint
from rave_lite.training.health import HealthMonitor
from rave_lite.training.life import Life
from rave_lite.training.module import RAVETraining
from tests.commands import rave_lite
from tests.memory import Reads
from tests.models import killed
from tests.runs import audio, run, training

LONG = ["phase1.steps=60", "phase2.steps=0", "callbacks.alarms.dead_after=10", "trainer.log_every_n_steps=2"]


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def dies_at(step: int, monkeypatch) -> None:
    """The decoder is silent after each step from this one on."""
    inner = RAVETraining.update_step

    def update_step(self, *arguments, **options):
        losses = inner(self, *arguments, **options)
        if self.step >= step:
            killed(self.model, "quiet")
        return losses

    monkeypatch.setattr(RAVETraining, "update_step", update_step)


def test_a_learning_rate_that_kills_ends_the_run_and_keeps_the_good_states(settings, tmp_path):
    out = tmp_path / "run"
    run(out, *settings, "phase1.steps=4", "phase2.steps=0")
    before = kept(out / "checkpoints")
    done = rave_lite("train", f"out={out}", *settings, *LONG, "resume=last", "training.lr=[0.5,0.5]", "training.warmup=0")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "the model is dead, for" in done.stderr
    assert f"the last good state is {out / 'checkpoints/last.ckpt'}, step 4" in done.stderr
    assert "a lower training.lr" in done.stderr
    assert "last.ckpt is not written" in done.stdout
    assert kept(out / "checkpoints") == before


@pytest.mark.slow
def test_a_silent_decoder_ends_the_run_unless_told_otherwise(settings, tmp_path, monkeypatch, capsys):
    dies_at(8, monkeypatch)
    with pytest.raises(TrainingError, match=r"step 16: the model is dead, for 10 steps: it is silent"):
        run(tmp_path / "stop", *settings, *LONG)
    steps = {path.name: read_checkpoint(path).step for path in (tmp_path / "stop/checkpoints").iterdir()}
    assert steps == {"best.ckpt": 4, "last.ckpt": 5}
    capsys.readouterr()
    run(tmp_path / "warn", *settings, *LONG, "phase1.steps=20", "callbacks.alarms.dead=warn")
    assert capsys.readouterr().out.count("the model is dead") == 1
    run(tmp_path / "off", *settings, *LONG, "phase1.steps=20", "callbacks.alarms.dead=off")
    assert "dead" not in capsys.readouterr().out
    for name in ("warn", "off"):
        assert read_checkpoint(tmp_path / name / "checkpoints/last.ckpt").step == 20


@pytest.mark.slow
def test_a_short_run_that_ends_dead_says_so_and_can_go_on(settings, tmp_path, monkeypatch, capsys):
    dies_at(1, monkeypatch)
    run(tmp_path, *settings)
    said = capsys.readouterr().out
    assert "step 12: the model looks dead: it is silent" in said
    assert "last.ckpt is written, since there is none" in said
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"last.ckpt"}
    assert read_checkpoint(tmp_path / "checkpoints/last.ckpt").step == 12


def looks(module, life: Life, distances: list[float], monkeypatch) -> list[tuple[bool, bool]]:
    """Whether there is trouble, and whether something is lost, after looks ten steps apart that find such distances."""
    results = []
    for distance in distances:
        module.step += 10
        monkeypatch.setattr("rave_lite.training.life.reconstruction_distance", lambda *_, d=distance: torch.tensor(d))
        life.look(module)
        results.append((life.trouble is not None, life.lost is not None))
    return results


def held(*levels: float) -> Pieces:
    """Pieces of noise of these levels."""
    noise = torch.randn(1, 44100, generator=torch.Generator().manual_seed(0)).numpy()
    samples = [SimpleNamespace(read=lambda start, stop, level=level: level * noise[0, start:stop]) for level in levels]
    return Pieces([Clip("x.wav", each, 0, 44100) for each in samples])


def test_a_distance_must_fall_or_be_below_that_of_silence(monkeypatch):
    module = training()
    life = Life(held(0.1, 0.0, 0.2, 1e-4, 0.3), module)
    assert [round(float(x.std()), 1) for x in life.pieces] == [0.1, 0.2, 0.3]
    third, life.lowest = life.silence / 3, math.inf
    for distance in (third * (3 - 0.02 * i) for i in range(20)):  # by less than a hundredth from look to look
        looks(module, life, [distance], monkeypatch)
        assert module.step - life.alive <= 10
    module = training()
    life = Life(held(0.1, 0.2, 0.3), module)
    life.lowest = math.inf
    assert looks(module, life, [2 * third, 2 * third, 1.99 * third, 1.9 * third], monkeypatch) == [
        (False, False), (True, False), (True, False), (False, False)]
    assert life.alive == module.step
    assert looks(module, life, [0.8 * third, 0.9 * third, 1.01 * third, 0.9 * third], monkeypatch) == [
        (False, False), (False, False), (True, True), (False, False)]


def test_looking_waits_for_the_gpu_at_entries_of_the_journal_only():
    module, alarms = training(), HealthMonitor("nowhere", dead_after=20)
    data = SimpleNamespace(training_pieces=held(0.1))
    trainer = SimpleNamespace(log_every_n_steps=5, is_global_zero=True, datamodule=data)
    optimizers = module.configure_optimizers()
    alarms.on_train_start(trainer, module)
    reads = []
    for _ in range(10):
        with Reads() as mode:
            alarms.on_train_batch_end(trainer, module, module.update_step(audio(), *optimizers))
        reads.append(mode.count > 0)
    assert reads == 2 * [False, False, False, False, True]
    assert alarms.life.step == 10


def test_a_setting_that_is_none():
    with pytest.raises(InputError, match=r"callbacks\.alarms\.dead: 'die' is none of stop, warn, off"):
        HealthMonitor("nowhere", dead="die")
