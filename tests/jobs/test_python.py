"""The commands from Python: the same outcome, and messages for people as exceptions."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback

import rave_lite
from rave_lite import RAVE, InputError, augmentation, run
from rave_lite.model import read_checkpoint
from tests.commands import rave_lite as command


@pytest.mark.slow
def test_a_run_is_that_of_the_command(settings, tmp_path):
    """The typed settings are known, so a transfer respects them. Hydra's state is restored."""
    before = HydraConfig.instance().cfg
    run("train", *settings, f"out={tmp_path / 'one'}")
    done = command("train", *settings, f"out={tmp_path / 'two'}")
    assert done.returncode == 0, done.stderr
    from_python, from_command = (read_checkpoint(tmp_path / name / "checkpoints/last.ckpt") for name in ("one", "two"))
    assert all(torch.equal(v, from_command.state_dict[k]) for k, v in from_python.state_dict.items())
    assert from_python.step == 12
    run("train", *settings, "model.capacity=6", f"transfer.from={tmp_path / 'one/checkpoints/last.ckpt'}",
        f"out={tmp_path / 'wider'}")
    assert RAVE.from_checkpoint(tmp_path / "wider/checkpoints/last.ckpt").config["capacity"] == 6
    assert HydraConfig.instance().cfg is before


@pytest.mark.slow
def test_results_are_returned(settings, tmp_path, capsys):
    files = run("drums", f"out={tmp_path}", "hits=1")
    assert "synthetic files" in capsys.readouterr().out
    assert tmp_path / "drums/rhythms/hadrah.wav" in files
    assert soundfile.info(tmp_path / "drums/rhythms/hadrah.wav").duration > 1
    run("train", *settings, f"out={tmp_path / 'run'}")
    checkpoint = f"ckpt={tmp_path / 'run/checkpoints/last.ckpt'}"
    report = run("evaluate", checkpoint)
    assert report["mean"]["spectral"] > 0
    assert report == json.loads((tmp_path / "run/evaluation/figures.json").read_text())
    (output,) = run("reconstruct", checkpoint, f"input={tmp_path / 'audio/0.wav'}", f"out={tmp_path / 'out'}")
    assert soundfile.info(output).duration == pytest.approx(0.4)
    card = run("export", checkpoint, f"out={tmp_path / 'x.ts'}", "blocks=20")
    assert (card["file"], card["latency"]) == (str(tmp_path / "x.ts"), torch.jit.load(card["file"]).latency)
    history = run("gallery", f"run={tmp_path / 'run'}")
    assert [moment.step for moment in history.moments] == [0, 4, 8, 12]


class Results(Callback):
    """Keeps what the jobs of a sweep return, as optimisers read it."""

    values: list[object] = []

    def on_job_end(self, config, job_return, **_) -> None:
        self.values.append(job_return.return_value)


def test_a_sweep_gets_the_results(tmp_path):
    done = command("drums", "--multirun", "out=set_${hits}", "hits=1,2", f"hydra.sweep.dir={tmp_path}",
                   "+hydra.callbacks.results._target_=tests.jobs.test_python.Results", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    few, more = Results.values[-2:]
    assert Path("set_1/drums/rhythms/hadrah.wav") in few
    assert len(few) < len(more)


@pytest.mark.parametrize(("arguments", "message"), [
    (("trian",), "there is no job 'trian'"), (("common",), "there is no job 'common'"),
    (("train", "data.rot=x"), "data.rot"), (("train", "model=huge"), "huge"), (("train",), "data.root"),
    (("evaluate", "ckpt=nowhere.ckpt"), "nowhere.ckpt: no such checkpoint"),
    (("listen", "ckpt=it's (1),b"), r"it's \(1\): no such checkpoint"),
    (("gallery",), "run: needs a value, as in run=...; see rave-lite gallery")])
def test_what_is_wrong_is_said(arguments, message):
    before = HydraConfig.instance().cfg
    with pytest.raises(InputError, match=message):
        run(*arguments)
    assert HydraConfig.instance().cfg is before


def test_augmentation_by_name():
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 20_000).astype(np.float32)
    light = augmentation("light")
    takes = [light(sound, 0, n) for n in range(4)]
    assert all(take.shape == sound.shape for take in takes)
    assert np.array_equal(takes[1], light(sound, 0, 1))
    assert any(not np.array_equal(take, sound) for take in takes)
    with pytest.raises(InputError, match="none has no transforms"):
        augmentation("none")


def test_every_public_name_is_there_and_players_need_none_of_the_heavy_ones():
    assert all(hasattr(rave_lite, name) for name in rave_lite.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rave_lite.nothing
    script = """
import sys
import rave_lite.__main__
assert "torch" not in sys.modules  # so that the list of jobs is there at once
from rave_lite import RAVE, stream
print(*{"hydra", "lightning", "librosa", "matplotlib"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
