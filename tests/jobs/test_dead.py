"""What each command says of a dead model."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from rave_lite.export.torchscript import Live, export
from rave_lite.model import RAVE
from tests.commands import fails, rave_lite
from tests.conftest import small_run
from tests.models import killed
from tests.runs import run


@pytest.fixture(scope="module")
def alive(tmp_path_factory) -> Path:
    """The folder of a run of two steps, and of its recordings."""
    folder = tmp_path_factory.mktemp("alive")
    run(folder / "run", *small_run(folder), "phase1.steps=2", "phase2.steps=0")
    return folder


@pytest.fixture
def dead(alive, tmp_path):
    """A copy of the run's checkpoint, its weights killed."""
    shutil.copytree(alive, tmp_path, dirs_exist_ok=True)

    def kill(how: str) -> Path:
        path = tmp_path / "run/checkpoints/best.ckpt"
        saved = torch.load(path, weights_only=True)
        for part, ema in (("model.", False), ("ema.", True)):
            model = killed(RAVE.from_checkpoint(path, ema=ema), how)
            saved["state_dict"] |= {part + name: value for name, value in model.state_dict().items()}
        torch.save(saved, path)
        return path

    return kill


@pytest.mark.slow
@pytest.mark.parametrize(("how", "why"), [
    ("quiet", "is silent"), ("zeroed", "plays no numbers"), ("exploded", "has latents of")])
def test_export_keeps_no_file(dead, how, why, tmp_path):
    checkpoint = dead(how)
    for precision in ("float32", "int8"):
        fault = "cannot play" if (how, precision) == ("zeroed", "int8") else why
        stderr = fails(f"this model {fault}", "export", f"ckpt={checkpoint}", f"precision={precision}", "blocks=20")
        assert "answers to sound" in stderr
        assert "a lower training.lr" in stderr
    assert list(tmp_path.rglob("*.ts*")) == []
    model, file = RAVE.from_checkpoint(checkpoint), tmp_path / "x.ts"
    export(Live(model, batch_size=1), file, {})
    assert f"failed: this model {why}" in fails("train anew", "verify", str(file), "blocks=20")


def test_those_that_play_it_warn(dead, tmp_path):
    checkpoint = dead("quiet")
    shutil.copy(checkpoint, checkpoint.with_name("step-0000002.ckpt"))  # otherwise the gallery shows logged sounds
    shared = ["data.cache=null", f"out={tmp_path / 'out'}"]
    for job, options in (("evaluate", [f"ckpt={checkpoint}", *shared]), ("listen", [f"ckpt={checkpoint}", *shared]),
                         ("gallery", [f"run={tmp_path / 'run'}", f"out={tmp_path / 'x.html'}"]),
                         ("reconstruct", [f"ckpt={checkpoint}", f"input={tmp_path / 'audio'}", f"out={tmp_path / 'out'}"])):
        done = rave_lite(job, *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "warning:" in done.stdout
        assert "is silent: what it plays is" in done.stdout
    (warning,) = json.loads((tmp_path / "out/figures.json").read_text())["warnings"]
    assert "this model is silent" in warning
    fails("this model plays no numbers", "evaluate", f"ckpt={dead('zeroed')}", *shared)


def test_a_living_one_is_not_warned_of(dead, tmp_path):
    done = rave_lite("evaluate", f"ckpt={dead('')}", f"out={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stdout
    assert "warnings" not in json.loads((tmp_path / "out/figures.json").read_text())
