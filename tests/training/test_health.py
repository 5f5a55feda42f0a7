"""Knowing where a run is: its plan, the end of a phase on a plateau, warnings, a loss not finite, too little memory."""

import contextlib
import io
import math
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rave_lite.cli.build import build
from rave_lite.errors import InputError, TrainingError
from rave_lite.model import read_checkpoint
from rave_lite.training import bench
from rave_lite.training.callbacks import Plateau
from rave_lite.training.health import HealthMonitor, refuse_broken
from rave_lite.training.metric_logging import MetricLogging
from rave_lite.training.resume import keep_precision
from rave_lite.training.runner import NetworkRunner
from tests.commands import rave_lite
from tests.conftest import configured, small_run
from tests.memory import LiveBytes, Reads
from tests.runs import audio, losses, run, stop_at, training
from tests.sounds import clip

PLATEAU = ["phase1.steps=100", "phase2.steps=100", "phase1.until=plateau", "phase2.until=plateau",
           "callbacks.plateau.patience=2", "+callbacks.plateau.least=0.9", "trainer.val_check_interval=3",
           "callbacks.checkpoints.every=3"]


@pytest.fixture(scope="module")
def plateau(tmp_path_factory) -> tuple[Path, str]:
    """A run whose phases end on a plateau, and what it printed. Nothing falls by nine tenths in three steps."""
    folder, printed = tmp_path_factory.mktemp("plateau"), io.StringIO()
    with contextlib.redirect_stdout(printed):
        run(folder / "run", *small_run(folder), *PLATEAU)
    return folder / "run", printed.getvalue()


def test_each_phase_ends_with_its_third_validation(plateau):
    out, said = plateau
    assert "step 9: the held-out distance has not fallen below" in said
    assert "in 2 validations: phase 1 ends" in said
    assert "step 9: phase 2 begins" in said
    assert "phase 2 ends" in said
    assert read_checkpoint(out / "checkpoints/last.ckpt").step == 18
    assert read_checkpoint(out / "checkpoints/phase1.ckpt").step == 9
    rows = losses(out)
    assert "loss/adversarial" not in rows[9]
    assert "loss/adversarial" in rows[10]


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [8, 9, 11])
def test_phases_end_on_a_plateau_also_after_a_stop(settings, plateau, tmp_path, monkeypatch, stopped):
    with monkeypatch.context() as patch:
        stop_at(stopped, patch)
        run(tmp_path / "parts", *settings, *PLATEAU)
    run(tmp_path / "parts", *settings, *PLATEAU, "resume=last")
    whole, parts = (read_checkpoint(out / "checkpoints/last.ckpt") for out in (plateau[0], tmp_path / "parts"))
    assert parts.step == 18
    for name, value in whole.state_dict.items():
        assert torch.equal(value, parts.state_dict[name]), name


def test_a_phase_that_still_learns_is_not_ended():
    plateau, ended = Plateau("plateau", "steps", patience=2, least=0.1), []
    module = SimpleNamespace(phase=1, step=0, phase2_steps=5, end_phase1=ended.append)
    trainer = SimpleNamespace(callback_metrics={}, is_global_zero=True, should_stop=False, val_check_batch=1)
    for step, distance in enumerate([10, 9.5, 8.9, 8.5, 7.9, 7.8]):
        module.step, trainer.callback_metrics["held_out/distance"] = step, distance
        plateau.on_validation_end(trainer, module)
        assert ended == []
    module.step, trainer.callback_metrics["held_out/distance"] = 6, float("nan")
    plateau.on_validation_end(trainer, module)
    assert ended == [6]
    with pytest.raises(InputError, match=r"phase1\.until: 'never' is neither steps nor plateau"):
        Plateau("never", "steps", patience=2)


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_good_state(settings, tmp_path):
    out = tmp_path / "run"
    run(out, *settings, "phase1.steps=4", "phase2.steps=0")
    kept = (out / "checkpoints/last.ckpt").read_bytes()
    done = rave_lite("train", f"out={out}", *settings, "phase1.steps=40", "phase2.steps=0", "trainer.log_every_n_steps=5",
                     "training.lr=[1e18,1e18]", "callbacks.checkpoints.every=50", "resume=last")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "the loss is not finite" in done.stderr
    assert f"the last good state is {out / 'checkpoints/last.ckpt'}, step 4" in done.stderr
    assert any(f"{i}.wav" in done.stderr for i in range(4))
    assert (out / "checkpoints/last.ckpt").read_bytes() == kept
    run(out, *settings, "phase1.steps=6", "phase2.steps=0", "resume=last")
    assert read_checkpoint(out / "checkpoints/last.ckpt").step == 6


def test_the_first_broken_step_is_remembered():
    module = training()
    optimizers = module.configure_optimizers()
    module.update_step(audio(), *optimizers)
    assert module.first_nonfinite_step == -1
    for _ in range(3):
        module.update_step(audio() * float("nan"), *optimizers)
    assert module.first_nonfinite_step == 1


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    module, trainer = training(), SimpleNamespace(datamodule=SimpleNamespace(sources=lambda step: [f"{step}.wav"]))
    module.step = 3
    refuse_broken(trainer, module, tmp_path / "last.ckpt")
    next(module.model.decoder.parameters()).data[0] = float("inf")
    with pytest.raises(TrainingError, match=r"step 2: .*2\.wav\n.*1\.wav\n.*start again with a lower"):
        refuse_broken(trainer, module, tmp_path / "last.ckpt")


def test_nothing_waits_for_the_gpu_between_two_entries_of_the_journal():
    module, logging, alarms, written = training(), MetricLogging(), HealthMonitor("nowhere"), []
    logger = SimpleNamespace(log_metrics=lambda entry, step: written.append((step, entry)), save=lambda: None)
    trainer = SimpleNamespace(log_every_n_steps=5, loggers=[logger], is_global_zero=True)
    optimizers = module.configure_optimizers()
    reads, losses = [], []
    for module.step in range(8, 15):  # across the boundary
        with Reads() as mode:
            outputs = module.update_step(audio(), *optimizers)
            for callback in (logging, alarms):
                callback.on_train_batch_end(trainer, module, outputs)
        reads.append(mode.count)
        losses.append(outputs)
    assert reads[:1] + reads[2:6] == [0] * 5  # steps 9 and 11 to 14
    assert reads[1] > 0
    assert reads[6] > 0
    assert [step for step, _ in written] == [10, 15]
    entry = written[1][1]
    mel = [terms["mel"].item() for terms in losses[2:] if "mel" in terms]
    assert entry["loss/mel"] == pytest.approx(sum(mel) / 4, rel=1e-5)
    assert entry["loss/discriminator"] == pytest.approx(losses[4]["discriminator"].item(), rel=1e-5)
    assert "loss/discriminator" not in written[0][1]


def test_discriminators_that_win_are_told_of_once(capsys):
    alarms, module = HealthMonitor("nowhere", patience=3), training()
    trainer = SimpleNamespace(log_every_n_steps=4, is_global_zero=True)

    def train_steps(loss: float, times: int) -> str:
        for _ in range(times):
            module.step += 4
            alarms.on_train_batch_end(trainer, module, {"discriminator": torch.tensor(loss * 2 * 8)})
        return capsys.readouterr().out

    assert train_steps(0.9, 10) + train_steps(0.01, 2) + train_steps(0.1, 5) + train_steps(0.04, 2) == ""
    assert "the discriminators win outright (loss 0.040, 1 by chance)" in train_steps(0.04, 1)
    assert train_steps(0.0, 10) == ""


@pytest.mark.parametrize(("latent", "idle", "warned"), [("wasserstein", [], False), ("wasserstein", [3, 7], True),
                                                        ("variational", [3, 7], False), ("variational", range(128), True)])
def test_idle_latents_are_told_of(capsys, latent, idle, warned):
    module, alarms, trainer = training(f"latent={latent}"), HealthMonitor("nowhere"), SimpleNamespace(is_global_zero=True)
    last = module.ema.encoder.last
    with torch.no_grad():
        weight = last.weight.clone()
        weight[list(idle)] *= 1e-6
        last.weight = weight
    module.ema.fit_principal(audio(2, 65536))
    printed = []
    for _ in range(4):
        alarms.on_save_checkpoint(trainer, module, {})
        printed.append(capsys.readouterr().out)
    assert [bool(text) for text in printed] == [False, False, warned, False]
    if warned:
        assert f"{len(idle)} of {module.model.latent_size} latent dimensions are idle" in printed[2]
        assert ("(3, 7)" in printed[2]) == (len(idle) == 2)


def test_the_probe_leaves_the_run_as_it_was_and_the_plan_adds_up():
    module = training()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    phases = bench.probe(module, window=8192, batch_size=2, device=torch.device("cpu"))
    assert module.step == 0
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert [p.phase for p in phases] == [1, 2]
    phases[0].seconds, phases[1].seconds, module.phase1_steps, module.phase2_steps = 0.5, 2.0, 7200, 1800
    columns = bench.plan(module, phases).columns
    assert list(columns[1].cells) == ["7,200", "1,800", "9,000"]
    assert list(columns[3].cells) == ["1 h 00 min", "1 h 00 min", "2 h 00 min"]
    module.step = 8100
    assert list(bench.plan(module, phases).columns[1].cells) == ["0", "900", "900"]
    validations = bench.Validations(every=1000, seconds=300.0)
    columns = bench.plan(module, phases, validations).columns  # at 9000
    assert list(columns[1].cells) == ["0", "900", "1", "900"]
    assert list(columns[3].cells) == ["0 s", "30 min", "5 min", "35 min"]
    assert [bench.duration(s) for s in (89, 600, 3 * 3600 + 59, 100 * 3600)] == ["89 s", "10 min", "3 h 01 min", "4 d 4 h"]


def test_a_validation_is_reckoned_from_one_sound(monkeypatch):
    """Times it takes, and, by a clock of the test's own, the second of two sounds, times the clips."""
    module, clips = training(), [clip(str(n), np.zeros(4410 * (1 + n % 2))) for n in range(30)]
    measure = lambda count: bench.measure_validation(module, clips[:count], 7, torch.device("cpu"))
    start = time.perf_counter()
    few = measure(2)
    assert few.every == 7
    assert 0 < few.seconds < 2 * (time.perf_counter() - start)
    for count in (2, 30):
        ticks = iter([0.0, 5.0, 5.0, 5.5])
        monkeypatch.setattr(bench, "now", lambda device, ticks=ticks: next(ticks))
        assert measure(count).seconds == pytest.approx(0.5 * count)


@pytest.mark.slow
def test_too_little_memory_is_found_before_the_first_step_with_what_would_fit():
    """On a device of so many bytes, and what is freed by one attempt is there for the next."""
    def peak(limit: float = math.inf, **options) -> float:
        with LiveBytes(limit) as device:
            bench.probe(training("model.capacity=16", *(f"runner.{k}={v}" for k, v in options.items())), window=8192,
                        batch_size=8, device=torch.device("cpu"))
        return device.peak

    whole, halves = peak(), peak(micro_batch=4)
    assert halves < 0.8 * whole
    with pytest.raises(InputError, match=r"phase [12] does not fit .*data\.batch_size=8 .* runner\.micro_batch=4 fits"):
        peak(limit=(whole + halves) / 2)
    with pytest.raises(InputError, match=r"phase 1 does not fit .* No runner\.micro_batch fits\. .*model=v2_small"):
        peak(limit=halves / 3)


@pytest.mark.parametrize(("seconds", "chosen"), [({"bf16-mixed": [1, 4], "32-true": [2, 1]}, "32-true"),
                                                 ({"bf16-mixed": [1, 4], "32-true": [2, 4]}, "bf16-mixed"),
                                                 ({"bf16-mixed": [9, 9], "32-true": None}, "bf16-mixed")])
def test_precision_auto_is_what_takes_less_time_and_fits(seconds, chosen, monkeypatch):
    """Seconds a step in each phase; None: no memory. A resumed run keeps what was chosen."""
    def measure(trial, **_):
        if seconds[trial.run.precision] is None:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [bench.Phase(i + 1, s, s, 0, 0, 1) for i, s in enumerate(seconds[trial.run.precision])]

    monkeypatch.setattr(bench, "measure", measure)
    monkeypatch.setattr(NetworkRunner, "mixed", lambda *_: True)
    module = training("runner.precision=auto", "phase1.steps=2", "phase2.steps=1")
    phases = bench.probe(module, window=8192, batch_size=2, device=torch.device("cpu"))
    assert module.run.precision == chosen
    assert [p.seconds for p in phases] == seconds[chosen]
    assert bench.plan(module, phases).title == f"plan, {chosen}"
    resumed = training("runner.precision=auto")
    keep_precision(resumed, SimpleNamespace(settings={"runner": {"precision": chosen}}))
    assert resumed.run.precision == chosen


def test_configured():
    assert build(configured("train", "trainer=rtx3070")).run.precision == "bf16-mixed"
