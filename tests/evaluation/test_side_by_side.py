"""Marks depend on file and region, not on the root of the run; models of different sample rates stay in sync."""

from dataclasses import replace

import numpy as np
import pytest

from rave_lite.data import Catalogue
from rave_lite.data.audio import Entry
from rave_lite.evaluation import side_by_side
from rave_lite.evaluation.reconstruct import Reconstruction
from rave_lite.evaluation.side_by_side import ELSEWHERE, HELD_OUT, TRAINED_ON, UNKNOWN, ModelOutput, SideBySide, location
from tests.conftest import build
from tests.sounds import RATE, clip, drum


def parts(name: str, start: int, stop: int):
    return replace(clip(name, np.ones(1000)), start=start, stop=stop)


def catalogue(root: str, train: list, held_out: list, left_out: tuple[str, ...] = ()) -> Catalogue:
    names = {c.source for c in train + held_out} | set(left_out)
    return Catalogue(root, RATE, {name: Entry(1000, RATE, 1) for name in names}, train, held_out)


@pytest.mark.parametrize(("place", "region", "expected"), [
    ("/a/drums/t.wav", (0, 1000), TRAINED_ON), ("/a/drums/h.wav", (0, 1000), HELD_OUT),
    ("/a/drums/unused.wav", (0, 1000), HELD_OUT), ("/a/drums/lone.wav", (0, 500), TRAINED_ON),
    ("/a/drums/lone.wav", (399, 500), TRAINED_ON), ("/a/drums/lone.wav", (400, 500), HELD_OUT),
    ("/a/drums/lone.wav", (500, 1000), HELD_OUT), ("/a/drums/deep/t.wav", (0, 9), ELSEWHERE),
    ("/b/t.wav", (0, 9), ELSEWHERE)])
def test_marks(place, region, expected):
    train = [parts("t.wav", 0, 1000), parts("lone.wav", 0, 400)]
    held_out = [parts("h.wav", 0, 1000), parts("lone.wav", 500, 1000)]
    inside = catalogue("/a/drums", train, held_out, ("unused.wav",))
    whole = catalogue("/a", [replace(c, source=f"drums/{c.source}") for c in train],
                      [replace(c, source=f"drums/{c.source}") for c in held_out], ("drums/unused.wav",))
    shown = parts("any.wav", *region)
    assert side_by_side.mark(place, shown, inside) == side_by_side.mark(place, shown, whole) == expected
    assert side_by_side.mark(place, shown, None) == UNKNOWN


def test_a_copy_elsewhere_is_known_by_its_samples():
    trained, hidden = parts("t.wav", 0, 400), parts("h.wav", 0, 1000)
    known = catalogue("/a", [trained], [hidden])
    for copy, expected in ((trained, TRAINED_ON), (replace(trained, start=400, stop=500), HELD_OUT), (hidden, HELD_OUT),
                           (parts("t.wav", 0, 400), ELSEWHERE)):
        assert side_by_side.mark("/b/copy.wav", copy, known) == expected


def test_locations():
    assert location("/a/b", "c.wav") == location("/a/b/", "c.wav") == location("/a", "b/c.wav") == "/a/b/c.wav"
    assert location("/a/b/c.wav", "c.wav") == "/a/b/c.wav"  # a root that is the file
    assert location("s3://bucket/set", "c.wav") == "s3://bucket/set/c.wav"


def test_means_by_mark():
    shown = [SideBySide(str(n), np.ones(9), [ModelOutput(np.ones(9), {"x": float(n)}, HELD_OUT if n % 2 else TRAINED_ON)])
             for n in range(5)]
    assert side_by_side.means(shown, 0) == {HELD_OUT: ([1, 3], {"x": 2.0}), TRAINED_ON: ([0, 2, 4], {"x": 2.0})}


def test_models_of_two_rates_stay_in_sync(monkeypatch):
    """A model that returns its input gives the recording itself at any rate: not delayed, not shortened."""
    model = build("model=tiny")
    low = build("model=tiny", "model.sample_rate=32000")
    rates = []

    def returned(self, signal, *, seed):
        rates.append((self.sample_rate, signal.shape[1]))
        return signal

    monkeypatch.setattr(Reconstruction, "__call__", returned)
    sound = np.convolve(drum(0), np.hanning(9) / 4, "same").astype(np.float32)[:17001]
    known = catalogue("/a", [clip("t.wav", drum(1))], [clip("h.wav", sound)])
    (recording,) = side_by_side.recordings([model, low], [("/a/h.wav", clip("h.wav", sound))], [known, None], RATE)
    assert rates == [(44100, 17001), (32000, round(17001 * 32000 / 44100))]
    assert np.array_equal(recording.outputs[0].sound, sound)
    assert len(recording.outputs[1].sound) == 17001
    lags = np.correlate(recording.outputs[1].sound[:4000], sound[:4000], "full")
    assert lags.argmax() == 3999
    assert [output.mark for output in recording.outputs] == [HELD_OUT, UNKNOWN]
    assert recording.outputs[0].figures["spectral"] == 0 < recording.outputs[1].figures["spectral"]
    shown, together = side_by_side.foreign([model, low], [clip("k.wav", sound)], [known, None], RATE)
    assert np.array_equal(shown[0].outputs[0].sound, sound)
    assert "out_to_target" in shown[0].outputs[0].figures
    assert "out_to_target" not in shown[0].outputs[1].figures
    assert together[0]["inputs"] == pytest.approx(together[0]["outputs"])
    assert together[1] == {}
