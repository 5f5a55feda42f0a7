"""The built-in set: seeded, bounded, and each drum and stroke what its name says."""

import numpy as np
import pytest
import soundfile

from rave_lite import InputError
from rave_lite.data.augmentation.rhythm import onsets
from rave_lite.data.drums import rhythms
from rave_lite.data.drums import write as write_drums
from rave_lite.data.drums.mouth import beatbox, voice
from rave_lite.data.drums.strokes import DRUMS, STROKES, hit, kingfisher

RATE = 44100


def strokes(drum: str, stroke: str, count: int = 6) -> list[np.ndarray]:
    return [hit(DRUMS[drum], STROKES[stroke], np.random.default_rng(i), RATE) for i in range(count)]


def spectrum(sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.fft.rfftfreq(len(sound), 1 / RATE), np.abs(np.fft.rfft(sound)) ** 2


def share_above(sound: np.ndarray, hertz: float) -> float:
    frequency, power = spectrum(sound)
    return float(power[frequency > hertz].sum() / power.sum())


def ring(sound: np.ndarray) -> float:
    """Seconds until 99 % of the energy is out."""
    return float(np.searchsorted(np.cumsum(sound**2), 0.99 * np.sum(sound**2))) / RATE


def test_the_set_is_written_and_seeded(tmp_path):
    first = write_drums(tmp_path / "a", hits=2)
    second = write_drums(tmp_path / "b", hits=2)
    other = write_drums(tmp_path / "c", hits=2, seed=1)
    assert len(first) == len(DRUMS) * (len(STROKES) * 2 + 1) + 3 * 6
    for a, b, c in zip(first, second, other, strict=True):
        assert a.read_bytes() == b.read_bytes() != c.read_bytes()
    for name, sound in rhythms(1, RATE, hits=2).items():
        assert soundfile.read(tmp_path / f"c/drums/rhythms/{name}.wav")[0] == pytest.approx(sound, abs=1e-4)
        sound, rate = soundfile.read(a)
        assert rate == RATE
        assert 0.02 < len(sound) / rate < 15
        assert 0.2 < np.abs(sound).max() <= 1
    with pytest.raises(InputError, match="there already"):
        write_drums(tmp_path / "a", hits=2)
    with pytest.raises(InputError, match="one of each"):
        write_drums(tmp_path / "d", hits=0)


def test_hits_differ_like_a_players():
    first, second = strokes("kompang", "open", 2)
    n = min(len(first), len(second))
    assert np.abs(first[:n] - second[:n]).max() > 0.05


@pytest.mark.parametrize("drum", DRUMS)
def test_strokes_sound_like_their_names(drum):
    opened, slapped, muted = (strokes(drum, s) for s in ("open", "slap", "muted"))
    if not DRUMS[drum].jingles:
        assert np.median([ring(x) for x in muted]) < 0.6 * np.median([ring(x) for x in opened])
        assert np.median([share_above(x, 1500) for x in slapped]) > 3 * np.median([share_above(x, 1500) for x in opened])


def test_the_fundamental_is_the_drums_and_jingles_are_bright():
    for name in ("rebana", "kompang"):
        frequency, power = spectrum(strokes(name, "muted", 1)[0])
        assert frequency[power.argmax()] == pytest.approx(DRUMS[name].fundamental, rel=0.15)
    bright = np.median([share_above(x, 2500) for x in strokes("hadrah", "open")])
    assert bright > 10 * np.median([share_above(x, 2500) for x in strokes("kompang", "open")])


def test_the_kingfisher_whistles_high():
    assert share_above(kingfisher(np.random.default_rng(0), RATE), 2000) > 0.95


@pytest.mark.parametrize("mouth", [voice, beatbox])
def test_what_a_mouth_makes_has_strokes_of_different_loudness(mouth):
    sound = mouth(np.random.default_rng(0), RATE)
    assert 1 < len(sound) / RATE < 5
    starts = onsets(sound, RATE)
    assert 5 <= len(starts) <= 16
    peaks = [np.abs(stroke[: RATE // 10]).max() for stroke in np.split(sound, starts)[1:]]
    assert max(peaks) > 3 * min(peaks)


def test_a_voice_has_a_pitch_and_vowels_and_a_beat_box_has_none():
    """The pitch: the highest autocorrelation of 40 ms between 80 and 400 Hz."""
    def pitched(sound: np.ndarray) -> float:
        frames = sound[: len(sound) // 1764 * 1764].reshape(-1, 1764)
        shares = [np.correlate(f, f, "full")[1763:] / (f @ f) for f in frames if f @ f > 1]
        return float(np.mean([share[110:551].max() > 0.5 for share in shares]))

    sung, beaten = (np.mean([pitched(mouth(np.random.default_rng(i), RATE)) for i in range(3)])
                    for mouth in (voice, beatbox))
    assert sung > 0.8
    assert beaten < 0.5
    assert share_above(voice(np.random.default_rng(0), RATE), 4000) < 0.1
    assert share_above(beatbox(np.random.default_rng(0), RATE), 4000) > 0.1
