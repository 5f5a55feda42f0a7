"""The listening page of a few sounds and three models."""

from pathlib import Path

import numpy as np
import pytest

from rave_lite.evaluation.side_by_side import HELD_OUT, TRAINED_ON, ModelOutput, SideBySide
from rave_lite.pages import listen
from tests.pages.browser import BROWSER
from tests.sounds import NASTY, RATE, bell, drum

MODELS = ["a <i>model</i>", "b's \"last\" </script>&amp;", "c 🥁"]
FIGURES = {"spectral": 7.25, "mel_db": 5.5, "loud_db": 3.0, "onset_f1": 1.0}
SECONDS = 1.5


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("browser") and BROWSER is None:
        pytest.skip("no Chromium here")


def ramp() -> np.ndarray:
    """A ramp: each sample has another value, which tells its position."""
    return np.linspace(0.02, 0.5, round(SECONDS * RATE), dtype=np.float32)


@pytest.fixture(scope="module")
def shown() -> list[SideBySide]:
    sound = ramp()
    first = SideBySide("ramp & <b>co</b>.wav", sound, [ModelOutput(output, FIGURES | {"mel_db": n}, HELD_OUT)
                                                       for n, output in enumerate((-sound, 0.5 * sound, 3 * sound))])
    others = [SideBySide(name, drum(n), [ModelOutput(scale * drum(n + 1), FIGURES, HELD_OUT if n % 2 else TRAINED_ON)
                                         for scale in (0.1, 1, 4)], 1.5)
              for n, name in enumerate([*NASTY, "x</script>.wav"])]
    short = SideBySide("click.wav", drum(0)[:882], [ModelOutput(0 * drum(0)[:882], FIGURES, mark)
                                                    for mark in (HELD_OUT, TRAINED_ON, HELD_OUT)])
    return [first, *others, short]


@pytest.fixture(scope="module")
def page(shown, tmp_path_factory) -> Path:
    outputs = [ModelOutput(drum(0), {"onset_f1": 0.5, "out_to_target": 0.25}) for _ in MODELS]
    foreign = [SideBySide("burung.wav", bell(0), outputs)]
    path = tmp_path_factory.mktemp("page") / "sub folder" / "index.html"
    listen.write(path, MODELS, shown, foreign, [{"inputs": 1.25, "outputs": 0.5, "held_out": 0.1}, {}, {}], RATE)
    return path
