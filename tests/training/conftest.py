"""A small run that several tests look at."""

from pathlib import Path

import pytest

from tests.conftest import small_run
from tests.runs import run


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Path:
    """The folder of a finished run with `small_run`, which keeps a checkpoint of every four steps: at validations."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder / "run", *small_run(folder), "callbacks.checkpoints.keep=4")
    return folder / "run"
