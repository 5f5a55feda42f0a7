"""A small run that the commands train and judge."""

from pathlib import Path

import pytest

from tests.commands import rave_lite
from tests.conftest import SETTINGS


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """The folder of a small run on the built-in drums, trained by the commands themselves."""
    folder = tmp_path_factory.mktemp("project")
    done = rave_lite("drums", "out=set", "hits=1", cwd=folder)
    assert done.returncode == 0, done.stderr
    done = rave_lite("train", "data.root=set/drums", "name=mine", f"data.cache={folder}/cache", *SETTINGS, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "min to train on" in done.stdout
    assert "phase 2" in done.stdout
    return folder
