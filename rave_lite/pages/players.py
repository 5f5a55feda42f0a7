"""Audio players for notebooks."""

from collections.abc import Mapping

import numpy as np

from rave_lite.data import audio
from rave_lite.pages import page


class AudioPlayers:
    """A named player for each sound `(T,)` or `(2, T)`; all play at one gain, so their relative loudness is kept."""

    def __init__(self, sounds: Mapping[str, np.ndarray], sample_rate: int):
        self.sounds, self.sample_rate = sounds, sample_rate

    def _repr_html_(self) -> str:
        peak = max(1.0, *map(audio.peak, self.sounds.values()))
        mp3s = {name: page.mp3(sound / peak, self.sample_rate) for name, sound in self.sounds.items()}
        return "".join(page.render("players.html", mp3s=mp3s))
