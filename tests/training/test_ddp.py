"""Two processes over gloo, started by torchrun: they end with the same weights, and learn what one process learns."""

import copy
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch

from rave_lite import InputError
from rave_lite.data import catalogue
from rave_lite.data.module import Recordings
from tests.conftest import small_run
from tests.runs import run

MEANS = [f"loss.weights.{name}=0" for name in ("linear", "bands", "penalty", "feature_matching")]  # the others are means
SETTINGS = ["training.warmup=30", "data.batch_size=4", "latent.noise_channels=0", "phase1.steps=5", "phase2.steps=5",
            "callbacks.checkpoints.every=4", "trainer.val_check_interval=3", "callbacks.listen.every=null"]


class Dump(L.Callback):
    """Saves the weights of each process at start and end, and its batches."""

    def __init__(self, folder: str):
        self.folder, self.batches = Path(folder), []

    def on_train_batch_start(self, trainer, pl_module, batch, *_):
        self.batches.append(batch.clone())

    def on_train_start(self, trainer, pl_module):
        self.start = copy.deepcopy(pl_module.state_dict())

    def on_train_end(self, trainer, pl_module):
        ends = {"start": self.start, "weights": pl_module.state_dict(), "batches": self.batches}
        torch.save(ends, self.folder / f"{trainer.global_rank}.pt")


def parameters(weights: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([value.flatten() for name, value in weights.items() if ".original" in name])


def torchrun(count: int, out: Path, *overrides: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count), "--standalone",
               "-m", "rave_lite", "train", "trainer=ddp", "trainer.accelerator=cpu", f"out={out}", *overrides,
               "+callbacks.dump._target_=tests.training.test_ddp.Dump", f"+callbacks.dump.folder={out.parent}"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300,
                          cwd=Path(__file__).parents[2], env={**os.environ, "OMP_NUM_THREADS": "1"})


def ended(folder: Path) -> list[dict]:
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> tuple[Path, list[str], str, list[dict]]:
    """A run of two processes: its folder, settings, output, and how each process ended."""
    folder = tmp_path_factory.mktemp("together")
    settings = [s for s in small_run(folder) if s != "~logger.tensorboard"]
    done = torchrun(2, folder / "two", *settings, *SETTINGS, *MEANS)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "two", settings, done.stdout, ended(folder)


@pytest.mark.slow
def test_two_processes_end_alike_and_learn_what_one_learns(together, tmp_path):
    two, settings, said, (first, second) = together
    assert said.count("phase 2 begins") == 1  # one of them speaks
    assert said.count("both") == 1
    assert [len(list((two / "logs" / kind).iterdir())) for kind in ("csv", "tensorboard")] == [1, 1]  # one writes
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name]), name
    run(tmp_path / "one", *settings, *SETTINGS, *MEANS, "+callbacks.dump._target_=tests.training.test_ddp.Dump",
        f"+callbacks.dump.folder={tmp_path}")
    single = torch.load(tmp_path / "0.pt")
    for whole, *halves in zip(single["batches"], first["batches"], second["batches"], strict=True):
        assert torch.equal(whole, torch.cat(halves))
    start, alone, both = (parameters(weights) for weights in (single["start"], single["weights"], first["weights"]))
    assert (alone - start).norm() > 0.1
    assert (both - alone).norm() < 0.01 * (alone - start).norm()


@pytest.mark.slow
def test_two_processes_go_on_as_if_they_had_not_stopped(together, tmp_path):
    _, settings, _, whole_run = together
    for more in (["phase2.steps=2"], ["resume=last"]):
        done = torchrun(2, tmp_path / "parts", *settings, *SETTINGS, *MEANS, *more)
        assert done.returncode == 0, done.stdout + done.stderr
    for whole, parts in zip(whole_run, ended(tmp_path), strict=True):
        for name, value in whole["weights"].items():
            assert torch.equal(value, parts["weights"][name]), name


def test_a_batch_that_cannot_be_shared(settings):
    root, cache = (o.split("=")[1] for o in settings[:2])
    data = Recordings(catalogue(root, 44100, cache=cache), window=8192, batch_size=3, gap=0.1, seed=0)
    data.trainer = SimpleNamespace(lightning_module=SimpleNamespace(step=0), global_rank=0, world_size=2)
    with pytest.raises(InputError, match="3 windows cannot be shared equally by 2 processes; say 4"):
        data.train_dataloader()
