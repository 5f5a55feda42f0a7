"""Silent stretches: hits are never cut, dead time is cut out, quiet sound stays."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rave_lite import InputError
from rave_lite.data import Windows, catalogue
from rave_lite.data.module import Recordings
from rave_lite.data.silence import LevelMeter, sounding
from tests.sounds import printed

RATE = 8000
ROOM = 10 ** (-70 / 20)
hits = st.lists(st.tuples(st.floats(30, 300), st.floats(-20, 0), st.floats(2.0, 5.0)), min_size=3, max_size=8)  # dB/s, dB, s


def silent(samples: np.ndarray, rate: int = RATE, block: int = 10**9) -> list[list[int]]:
    meter = LevelMeter(rate)
    for start in range(0, len(samples), block):
        meter.add(samples[start : start + block].astype(np.float32))
    return meter.silent()


def session(drawn: list[tuple[float, float, float]], room: float, rate: int = RATE,
            seed: int = 0) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """A recording of hits (noise that falls by so many dB/s, its level in dB, the gap before), and per hit the times of its
    attack and of where it has fallen to the room's level, or 60 dB below full scale."""
    rng, parts, times, at = np.random.default_rng(seed), [], [], 0.0
    floor_db = 20 * np.log10(max(room, 1e-3))
    for rate_db, level, gap in drawn:
        length = (level - 12 - floor_db) / rate_db  # the noise is 12 dB below its peak
        t = np.arange(round((length + 10 / rate_db) * rate)) / rate  # the last 10 dB are below the floor
        hit = 10 ** ((level - rate_db * t) / 20) * np.clip(0.25 * rng.standard_normal(len(t)), -1, 1)
        hit[:8] = 10 ** (level / 20)
        parts += [np.zeros(round(gap * rate)), hit]
        times.append((at + len(parts[-2]) / rate, at + len(parts[-2]) / rate + length))
        at += (len(parts[-2]) + len(hit)) / rate
    samples = np.concatenate([*parts, np.zeros(3 * rate)])
    return samples + room * rng.standard_normal(len(samples)), times


@settings(max_examples=150)
@given(hits, st.sampled_from([0.0, ROOM]), st.sampled_from([1.0, 0.1, 0.005]), st.integers(0, 99))
def test_every_hit_is_whole_and_the_dead_time_left_out(drawn, room, level, seed):
    samples, times = session(drawn, room, seed=seed)
    stretches = np.array(silent(level * samples)) / RATE
    for attack, end in times:
        margin = 0.04 if room else 0
        assert not any(start < end and attack - margin < stop for start, stop in stretches), (attack, end, stretches)
    edges = [0.0, *(edge for pair in times for edge in pair), len(samples) / RATE]
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        left_out = sum(max(0.0, min(stop, b) - max(start, a)) for a, b in stretches)
        assert left_out > stop - start - 0.6  # margins, frames, and the hit's last dB, which are in the noise


@pytest.mark.slow
@given(st.integers(1, 3000), st.integers(0, 5000), st.sampled_from([0.0, ROOM]))
@settings(max_examples=40)
def test_any_blocks_give_the_same(block, cut, room):
    samples = session([(60, 0, 2.3), (100, -10, 2.1), (40, -3, 2.7)], room)[0]
    samples = samples[: len(samples) - cut]
    assert silent(samples, block=block) == silent(samples)
    assert silent(samples)


def drone(t: np.ndarray) -> np.ndarray:
    return np.sin(700 * t)


def rain(t: np.ndarray) -> np.ndarray:
    return 0.2 * np.random.default_rng(0).standard_normal(len(t))


def gusts(t: np.ndarray) -> np.ndarray:
    return rain(t) * 10 ** (-(1 + np.sin(0.3 * t)))  # over 40 dB


def bumped(t: np.ndarray) -> np.ndarray:
    return 0.005 * drone(t) + np.where(t > 3, 0.9 * rain(t) / 0.8 * np.exp(-20 * (t - 3)), 0)


def gong(t: np.ndarray) -> np.ndarray:
    return np.sin(700 * t) * 10 ** (-55 / 20 * t / t[-1])


def ride(t: np.ndarray) -> np.ndarray:
    """Fast at first, then slow: its end is as steady as a noise floor for seconds."""
    return rain(t) * 10 ** (-(28 * (1 - np.exp(-t)) + 12 * t / t[-1]) / 20)


@pytest.mark.parametrize("sound", [drone, rain, gusts, bumped, gong, ride])
@pytest.mark.parametrize("level", [1.0, 0.005, 3e-4])
@pytest.mark.parametrize("seconds", [10, 60])
def test_what_is_quiet_but_sounds_is_not_cut(sound, level, seconds):
    assert silent(level * sound(np.arange(seconds * RATE) / RATE)) == []


def test_little_silences_and_single_strokes_stay():
    stroke = session([(150, 0, 0.0)], 0.0)[0][: RATE // 2]
    for pause in (0.1, 0.3, 0.48):
        beats = np.concatenate([stroke[: RATE // 4], np.zeros(round(pause * RATE))] * 6)
        assert silent(beats) == []
    assert silent(np.concatenate([stroke, np.zeros(2 * RATE)])) != []


@given(st.lists(st.integers(0, 100), max_size=8, unique=True).map(sorted), st.integers(0, 50), st.integers(50, 100))
def test_what_sounds_is_what_is_not_silent(edges, start, stop):
    stretches = [list(pair) for pair in zip(edges[::2], edges[1::2], strict=False)]
    quiet = {at for a, b in stretches for at in range(a, b)}
    parts = sounding(stretches, start, stop)
    assert [at for a, b in parts for at in range(a, b)] == [at for at in range(start, stop) if at not in quiet]
    assert all(a < b for a, b in parts)


@pytest.fixture(params=[0.0, ROOM], ids=["gate", "room"])
def recorded(write, request):
    """Twelve hits with 4 s between, as one file and one by one."""
    drawn = [(100 + 20 * n, -n / 2, 4.0) for n in range(12)]
    samples, times = session(drawn, request.param, 44100)
    path = write("session/session.wav", samples=0.5 * samples, subtype="PCM_24")
    for n, (attack, end) in enumerate(times):
        write(f"strokes/{n:02}.wav", samples=0.5 * samples[round(attack * 44100) : round(end * 44100)], subtype="PCM_24")
    return path.parent, path.parents[1] / "strokes"


def loud(window: np.ndarray) -> bool:
    return np.abs(window).max() > 10 ** (-50 / 20)


def test_windows_of_a_session_sound_as_often_as_those_of_its_strokes(recorded, tmp_path):
    together, single = (catalogue(folder, 44100, cache=tmp_path / "cache") for folder in recorded)
    shares = []
    for recordings in (together, single):
        windows = Windows(recordings.train, length=16384, sample_rate=44100)
        blocks = np.concatenate([windows[n][0].numpy().reshape(-1, 2048) for n in range(150)])
        shares.append(np.mean([loud(block) for block in blocks]))
    assert shares[0] == pytest.approx(shares[1], rel=0.25)
    assert together.minutes(together.train + together.held_out) < 2 * single.minutes(single.train + single.held_out)


def test_of_a_lone_session_whole_hits_are_held_out(recorded, tmp_path):
    recordings = catalogue(recorded[0], 44100, cache=tmp_path / "cache")
    assert len(recordings.train) + len(recordings.held_out) == 12
    assert recordings.held_out[0].start - recordings.train[-1].stop > 44100
    assert all(loud(clip.read()) for clip in recordings.train + recordings.held_out)
    total = sum(map(len, recordings.train + recordings.held_out)) / 44100
    assert f"train, its end held out, {total:.2f} s of sound" in " ".join(printed(recordings).replace("│", " ").split())
    assert "min of silence left out" in recordings.summary()
    assert all(loud(piece[0].numpy()) for data in [Recordings(recordings, window=8192, batch_size=1, gap=0.1, seed=0)]
               for pieces in (data.held_out, data.training_pieces) for piece in pieces)


def test_the_silent_end_of_a_long_decay_is_not_judged_by(write, tmp_path):
    t = np.arange(30 * 44100) / 44100
    for name in ("a", "b"):
        path = write(f"gong/{name}.wav", samples=0.1 * np.sin(700 * t) * 10 ** (-59 / 20 * t / t[-1]), subtype="FLOAT")
        quiet = write(f"quiet/{name}.wav", samples=5e-4 * np.sin(700 * t[:44100]), subtype="FLOAT")
    for folder, count in ((path.parent, 2), (quiet.parent, 1)):
        recordings = catalogue(folder, 44100, held_out=["a"], cache=tmp_path / "cache")
        data = Recordings(recordings, window=8192, batch_size=1, gap=0.1, seed=0)
        assert 1 <= len(data.training_pieces) <= len(data.held_out) == count
        last = max(clip.stop for clip in data.held_out.clips)
        assert last == count * len(recordings.held_out[0]) // (3 if count == 2 else 1)


def test_a_manifest_keeps_sound(recorded, tmp_path):
    load = partial(catalogue, recorded[0], 44100, cache=tmp_path / "cache")
    plain = load()
    end = plain.entries["session.wav"].samples / 44100
    assert load(kept={"session.wav": [[0, end]]}) == plain
    first, second, third = plain.train[:3]
    silence_start = first.stop / 44100 + 0.1
    restricted = load(kept={"session.wav": [[silence_start, second.stop / 44100 + 1], [third.start / 44100, end]]})
    assert restricted.train + restricted.held_out == (plain.train + plain.held_out)[1:]
    with pytest.raises(InputError, match=r"data\.manifest: all that it keeps is silent"):
        load(kept={"session.wav": [[silence_start, silence_start + 2]]})


def test_a_remote_session_is_searched_where_it_is_read(recorded, write, tmp_path):
    write("session/other.wav", 1.0)
    near = catalogue(recorded[0], 44100, held_out=["session"], cache=tmp_path / "near")
    far = catalogue(f"file://{recorded[0]}", 44100, held_out=["session"], cache=tmp_path / "far")
    judged = [Recordings(place, window=8192, batch_size=1, gap=0.1, seed=0).held_out.clips for place in (near, far)]
    assert [(c.start, c.stop) for c in judged[0]] == [(c.start, c.stop) for c in judged[1]]
    turned = replace(far, train=far.held_out, held_out=far.train)
    data = Recordings(turned, window=32768, batch_size=1, gap=0.1, seed=0)
    windows = [data.windows[n][0].numpy() for n in range(60)]
    assert np.mean([loud(window) for window in windows]) > 0.95
    again = Recordings(turned, window=32768, batch_size=1, gap=0.1, seed=0).windows
    assert all(np.array_equal(again[n][0].numpy(), windows[n]) for n in reversed(range(60)))
    assert all(loud(piece[0].numpy()) for piece in data.training_pieces)
