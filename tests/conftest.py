import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy starts its threads: two test processes share two cores
os.environ["WANDB_MODE"] = "offline"

import copy
import functools
import zlib
from collections.abc import Callable, Generator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import soundfile
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from rave_lite.cli.job import CONF
from rave_lite.model import RAVE

hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)  # the same examples at any load
hypothesis.settings.load_profile("steady")
torch.set_num_threads(1)

SETTINGS = ["model=tiny", "model.capacity=4", "discriminator.capacity=2", "data.window=8192", "data.batch_size=2",
            "data.workers=0", "phase1.steps=6", "phase2.steps=6", "trainer.val_check_interval=4",
            "trainer.log_every_n_steps=1", "callbacks.checkpoints.every=5", "+callbacks.checkpoints.principal_seconds=1"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fail-skipped", action="store_true", help="a skipped test fails, unless it needs a GPU")


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is marked
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the cases of a `sampled(n)` test as slow, but for n of them, spread evenly."""
    cases: dict[tuple[Path, str], list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("sampled") and not item.get_closest_marker("slow"):
            cases.setdefault((item.path, item.name.partition("[")[0]), []).append(item)
    for group in cases.values():
        count = group[0].get_closest_marker("sampled").args[0]  # type: ignore[union-attr]
        kept = {round((i + 0.5) * len(group) / count - 0.5) for i in range(count)}
        for number, item in enumerate(group):
            if number not in kept:
                item.add_marker("slow")


@pytest.hookimpl(tryfirst=True)  # before the fixtures, which may draw, too
def pytest_runtest_setup(item: pytest.Item) -> None:
    torch.manual_seed(0)
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("no CUDA device")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.config.getoption("fail_skipped") and not item.get_closest_marker("gpu"):
        report.outcome, report.longrepr = "failed", f"skipped although --fail-skipped: {report.longrepr}"
    return report


@functools.cache
def composed(job: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(job, list(overrides))


def configured(job: str, *overrides: str) -> DictConfig:
    """A job's configuration as the command line composes it."""
    return copy.deepcopy(composed(job, *overrides))


def build(*overrides: str) -> RAVE:
    torch.manual_seed(0)
    return instantiate(configured("train", *overrides).model)


def write_audio(folder: Path, name: str, seconds: float = 0.5, *, rate: int = 44100, channels: int = 1, samples=None,
                **options) -> Path:
    """Write a wav (or other) file: the samples, or `seconds` of noise that decays anew each second."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if samples is None:
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        t = np.arange(round(seconds * rate)) / rate
        samples = 0.3 * rng.standard_normal((len(t), channels)) * np.exp(-4 * (t % 1))[:, None]
    soundfile.write(path, samples, rate, format={"AIF": "AIFF"}.get(path.suffix[1:].upper()), **options)
    return path


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """`write_audio` under tmp_path/audio."""
    return functools.partial(write_audio, tmp_path / "audio")


def small_run(folder: Path) -> list[str]:
    """Overrides for a run of 12 small steps on four short files, which listens to little."""
    for i in range(4):
        write_audio(folder / "audio", f"{i}.wav", 0.4)
    return [f"data.root={folder / 'audio'}", f"data.cache={folder / 'cache'}", *SETTINGS, "~logger.tensorboard",
            "callbacks.listen.count=1", "callbacks.listen.judged=0"]


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    """`small_run` in tmp_path."""
    return small_run(tmp_path)
