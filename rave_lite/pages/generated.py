"""The page of what a model played by itself."""

from pathlib import Path

import numpy as np

from rave_lite.pages import page

WIDTH = 480  # pixels of a picture


def write(path: Path, model: str, how: str, sounds: dict[str, np.ndarray], figures: dict[str, dict[str, float]],
          sample_rate: int) -> None:
    """Writes the page: each take as a picture that plays, with its figures. `how`: a sentence about the settings."""
    takes = [{"name": name, "cell": page.playable(sound, sample_rate, WIDTH), "figures": figures[name]}
             for name, sound in sounds.items()]
    columns = list(next(iter(figures.values())))
    page.write(path, f"{model} plays by itself", page.render("generated.html", model=model, how=how, columns=columns,
                                                             takes=takes))
