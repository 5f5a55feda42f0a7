"""Players in a notebook."""

import base64
import io

import numpy as np
import pytest
import soundfile

from rave_lite import AudioPlayers
from rave_lite.evaluation.metrics import level_db
from tests.pages.browser import Parsed
from tests.sounds import RATE, bell


@pytest.mark.parametrize("peak", [0.9, 3.0])
def test_each_sound_is_played_under_its_name_as_loud_compared_with_the_others(peak):
    sounds = {"<b>'loud'</b>": peak * bell(0) / np.abs(bell(0)).max(), "soft": 0.1 * bell(0)}
    parsed = Parsed(AudioPlayers(sounds, RATE)._repr_html_())
    assert not parsed.all("b")
    assert len(parsed.all("figcaption")) == 2
    decoded = [soundfile.read(io.BytesIO(base64.b64decode(audio["src"].partition(",")[2]))) for audio in parsed.all("audio")]
    assert all(rate == RATE and abs(len(sound) / RATE - len(bell(0)) / RATE) < 0.06 for sound, rate in decoded)
    loud, soft = (level_db(sound) for sound, _ in decoded)
    assert loud - soft == pytest.approx(level_db(sounds["<b>'loud'</b>"]) - level_db(sounds["soft"]), abs=0.5)
    assert max(np.abs(sound).max() for sound, _ in decoded) < 1.05
