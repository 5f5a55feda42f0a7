import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy starts its threads: two test processes share two cores
os.environ["WANDB_MODE"] = "offline"

import zlib
from collections.abc import Generator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import soundfile
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from rave_lite.jobs.common import CONF
from rave_lite.model import RAVE

hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)  # the same examples at any load
hypothesis.settings.load_profile("steady")
torch.set_num_threads(1)

SETTINGS = ["model=tiny", "model.capacity=4", "discriminator.capacity=2", "data.window=8192", "data.batch_size=2",
            "data.workers=0", "phase1.steps=6", "phase2.steps=6", "trainer.val_check_interval=4",
            "trainer.log_every_n_steps=1", "callbacks.checkpoints.every=5"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fail-skipped", action="store_true", help="a skipped test fails, unless it needs a GPU")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.config.getoption("fail_skipped") and "CUDA" not in str(report.longrepr):
        report.outcome, report.longrepr = "failed", f"skipped although --fail-skipped: {report.longrepr}"
    return report


def configured(job: str, *overrides: str) -> DictConfig:
    """A job's configuration as the command line composes it."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(job, list(overrides))


def build(*overrides: str) -> RAVE:
    torch.manual_seed(0)
    return instantiate(configured("train", *overrides).model)


@pytest.fixture
def write(tmp_path: Path):
    """Write a wav (or other) file under tmp_path/audio: the samples, or `seconds` of noise that decays anew each second."""

    def write_file(name: str, seconds: float = 0.5, *, rate: int = 44100, channels: int = 1, samples=None,
                   **options) -> Path:
        path = tmp_path / "audio" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if samples is None:
            rng = np.random.default_rng(zlib.crc32(name.encode()))
            t = np.arange(round(seconds * rate)) / rate
            samples = 0.3 * rng.standard_normal((len(t), channels)) * np.exp(-4 * (t % 1))[:, None]
        soundfile.write(path, samples, rate, format={"AIF": "AIFF"}.get(path.suffix[1:].upper()), **options)
        return path

    return write_file


@pytest.fixture
def settings(write, tmp_path) -> list[str]:
    """Overrides for a run of 12 small steps on four short files."""
    for i in range(4):
        write(f"{i}.wav", 0.4)
    return [f"data.root={tmp_path / 'audio'}", f"data.cache={tmp_path / 'cache'}", *SETTINGS]
