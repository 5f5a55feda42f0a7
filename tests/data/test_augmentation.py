"""Each transform changes only what its parameters say; windows stay a function of seed and number."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from torch.utils.data import DataLoader

from rave_lite import InputError
from rave_lite.cli.job import CONF
from rave_lite.data import Catalogue, Windows
from rave_lite.data.augmentation import Augmentation
from rave_lite.data.augmentation.lookup import build_augmentation
from rave_lite.data.augmentation.rhythm import onsets
from rave_lite.data.module import Recordings
from tests.commands import fails, rave_lite
from tests.conftest import SETTINGS, configured
from tests.sounds import clip_file

RATE, LENGTH = 44100, 32768
NAMES = list(configured("train").augmentation)


def chain(*overrides: str) -> Augmentation | None:
    settings = OmegaConf.to_container(configured("train", "data.root=x", *overrides).augmentation, resolve=True)
    return build_augmentation(settings, RATE)


def only(name: str, **settings: object) -> Augmentation:
    """One transform, always applied."""
    changed = chain(f"augmentation.{name}.p=1", *(f"augmentation.{name}.{k}={v}" for k, v in settings.items()))
    assert changed is not None
    return changed


def hits(starts: Sequence[int] = (4000, 12000, 23000), length: int = LENGTH) -> np.ndarray:
    """Decaying sines of 500, 1000, 1500 Hz ... with a click of noise, ending in silence."""
    rng, signal = np.random.default_rng(5), np.zeros(length)
    for i, start in enumerate(starts):
        t = np.arange(min(6000, length - start)) / RATE
        tone = np.sin(2 * np.pi * 500 * (i + 1) * t) * np.exp(-30 * t)
        signal[start : start + len(t)] += 0.5 * tone + 0.1 * rng.standard_normal(len(t)) * np.exp(-800 * t)
    return signal.astype(np.float32)


def noise(length: int = LENGTH) -> np.ndarray:
    return (0.1 * np.random.default_rng(2).standard_normal(length)).astype(np.float32)


def sine(frequency: float, length: int = LENGTH) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(length) / RATE)).astype(np.float32)


def db(ratio: float) -> float:
    return 20 * np.log10(ratio)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x.astype(np.float64)))))


def frequency(x: np.ndarray) -> float:
    """Hz of the strongest line, to a thousandth."""
    n = 1 << 20
    return np.abs(np.fft.rfft(x * np.hanning(len(x)), n)).argmax() * RATE / n


def response(change: Augmentation, key: int) -> tuple[np.ndarray, np.ndarray]:
    """Hz, and dB there, of a linear transform, from its impulse response."""
    impulse = np.zeros(LENGTH, np.float32)
    impulse[100] = 0.25
    return np.fft.rfftfreq(LENGTH, 1 / RATE), db(4 * np.abs(np.fft.rfft(change(impulse, key))) + 1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_each_transform_changes_the_sound_and_keeps_length_type_and_range(name):
    for set_name in ("none", "strong"):  # the two ranges of parameters that the sets have
        change = chain(f"augmentation={set_name}", *(f"augmentation.{n}.p={int(n == name)}" for n in NAMES))
        for x in (hits(), noise(), np.clip(3 * hits(), -0.999, 0.999), hits(length=LENGTH + 777), noise(700)):
            before = x.copy()
            outputs = [change(x, 0, key) for key in range(4)]
            assert np.array_equal(x, before)  # the input is unchanged: others may use it too
            assert all(y.shape == x.shape and y.dtype == np.float32 and np.isfinite(y).all() for y in outputs)
            assert max(np.abs(y).max() for y in outputs) <= 1 + 1e-6
            if len(x) >= LENGTH and not (name == "resequence" and not len(onsets(x, RATE))):
                assert all(np.abs(y - x).max() > 1e-6 for y in outputs)
        silence = np.zeros(LENGTH, np.float32)
        output = change(silence, 0, 0)
        assert np.abs(output).max() <= (2**-16 if name == "dequantise" else 0)


@pytest.mark.parametrize("name", ["polarity", "all_pass", "compression"])
def test_those_that_should_keep_the_loudness(name):
    """RMS over the window, to 0.1 dB."""
    change = only(name)
    for key in range(8):
        assert db(rms(change(hits(), key)) / rms(hits())) == pytest.approx(0, abs=0.1)


def test_gain_moves_the_level_within_its_range_and_by_all_of_it():
    change = only("gain", min_gain_db=-8, max_gain_db=2)
    gains = []
    for key in range(60):
        output = change(hits(), key)
        factor = rms(output) / rms(hits())
        assert np.abs(output - hits() * factor).max() < 1e-5
        gains.append(db(factor))
    assert -8 <= min(gains) < -7
    assert 1 < max(gains) <= 2


def test_too_loud_is_turned_down_and_what_was_louder_than_full_scale_stays():
    change = only("gain", min_gain_db=6, max_gain_db=6)
    x = 0.8 * noise() / np.abs(noise()).max()
    assert change(x, 0) == pytest.approx(x / 0.8, abs=1e-6)
    assert np.abs(change(2 * x, 0)).max() == pytest.approx(1.6)


@pytest.mark.parametrize("name", ["pitch", "speed"])
@pytest.mark.parametrize("semitones", [-2.0, 0.5, 3.0])
def test_pitch_moves_by_the_semitones_said(name, semitones):
    named = {"semitones": f"[{semitones},{semitones}]"} if name == "speed" else {
        "min_semitones": semitones, "max_semitones": semitones}
    output = only(name, **named)(sine(440), 0)
    assert 12 * np.log2(frequency(output[8000:24000]) / 440) == pytest.approx(semitones, abs=0.05)


@pytest.mark.parametrize(("name", "ratio"), [("stretch", 0.8), ("stretch", 1.25), ("speed", 2 ** (2 / 12)), ("speed", 0.8)])
def test_time_between_two_clicks_changes_by_the_ratio(name, ratio):
    semitones = 12 * np.log2(ratio)
    named = {"semitones": f"[{semitones},{semitones}]"} if name == "speed" else {"min_rate": ratio, "max_rate": ratio}
    x = np.zeros(LENGTH, np.float32)
    x[[8000, 20000]] = 0.9
    output = np.abs(only(name, **named)(x, 0))
    between = round(14000 / ratio)
    first, second = output[:between].argmax(), between + output[between:].argmax()
    assert second - first == pytest.approx(12000 / ratio, abs=200 if name == "stretch" else 1)
    pitch = frequency(only(name, **named)(sine(440), 0)[8000:22000]) / 440
    assert pitch == pytest.approx(ratio if name == "speed" else 1, abs=5e-3)


def test_speed_keeps_attacks_and_puts_nothing_before_them():
    x = hits([20000])
    output = only("speed", semitones="[1,1]")(x, 0)
    start = round(20000 / 2 ** (1 / 12))
    assert rms(output[: start - 50]) < 1e-4 * rms(x)
    assert np.abs(output[start : start + 200]).max() > 0.7 * np.abs(x).max()


def test_eq_changes_bands_within_its_range():
    change = only("eq", min_gain_db=-6, max_gain_db=-6)
    f, level = response(change, 0)
    assert level[f < 20].max() < -5
    assert level[f > 20000].max() < -5
    shapes = []
    change = only("eq", min_gain_db=-3, max_gain_db=3)
    for key in range(10):
        f, level = response(change, key)
        assert np.abs(level[1:]).max() < 7 * 3
        shapes.append(level[(f > 30) & (f < 16000)])
    assert np.median([np.ptp(shape) for shape in shapes]) > 2
    assert np.std(shapes, axis=0).mean() > 1


def test_a_band_of_another_eq_changes_and_the_others_do_not():
    """Any transform of audiomentations can be added."""
    band = ("{_target_:audiomentations.PeakingFilter,p:1,min_center_freq:1000,max_center_freq:1000,min_gain_db:6,"
            "max_gain_db:6,min_q:2,max_q:2}")
    change = chain(f"+augmentation.band={band}")
    f, level = response(change, 3)
    assert level[np.abs(f - 1000).argmin()] == pytest.approx(6, abs=0.05)
    assert np.abs(level[(f < 100) | (f > 10000)]).max() < 0.15


def test_polarity_flips_the_sign_half_of_the_time():
    change = chain("augmentation.polarity.p=0.5")
    flipped = [np.array_equal(change(hits(), key), -hits()) for key in range(200)]
    assert all(f or np.array_equal(change(hits(), key), hits()) for key, f in enumerate(flipped))
    assert 70 < sum(flipped) < 130


def test_room_adds_a_tail_that_falls_by_60_db_in_its_time():
    x = np.zeros(LENGTH, np.float32)
    x[1000] = 0.5
    output = only("room", rt60="[0.3,0.3]", level_db="[-12,-12]", delay="[0.01,0.01]")(x, 0)
    assert output[: 1000 + 441] == pytest.approx(x[: 1000 + 441], abs=1e-6)
    tail = output[1000 + 441 :].astype(np.float64)
    assert db(np.sqrt(np.sum(tail**2)) / 0.5) == pytest.approx(-12, abs=0.1)
    decay = 10 * np.log10(np.cumsum(tail[::-1] ** 2)[::-1][: round(0.2 * RATE)])  # Schroeder, 1965
    slope = np.polyfit(np.arange(len(decay)) / RATE, decay, 1)[0]
    assert slope == pytest.approx(-60 / 0.3, rel=0.05)


def test_noise_lies_at_its_ratio_below():
    for ratio in (20, 40):
        output = only("noise", min_snr_db=ratio, max_snr_db=ratio)(hits(), 0)
        assert db(rms(hits()) / rms(output - hits())) == pytest.approx(ratio, abs=0.1)


def test_all_pass_keeps_magnitudes_changes_the_waveform_and_delays_within_its_bound():
    radius, stages = 0.95, 3
    change = only("all_pass", stages=f"[{stages},{stages}]", radius=f"[{radius},{radius}]")
    for key in range(5):
        _, level = response(change, key)
        assert np.abs(level).max() < 1e-3
        output = change(hits(), key)
        assert rms(output - hits()) > 0.1 * rms(hits())
        impulse = np.zeros(8192, np.float32)
        impulse[0] = 0.25
        h = 4.0 * change(impulse, key).astype(np.float64)
        delay = np.real(np.fft.fft(h * np.arange(len(h))) / np.fft.fft(h))
        assert delay.max() <= stages * 2 * (1 + radius) / (1 - radius)
        assert delay.max() > 10
        assert delay.min() > -1e-2


def test_dequantisation_fills_the_least_bit():
    steps = np.round(hits() * 2**15)
    quantised = (steps / 2**15).astype(np.float32)
    output = only("dequantise")(quantised, 0).astype(np.float64) * 2**15
    added = output - steps
    assert np.abs(added).max() <= 0.5 + 1e-2  # peak: half a step, -96 dBFS; float32 has 2**-9 of a step at full scale
    counts = np.histogram(added, 10, (-0.5, 0.5))[0]
    assert np.abs(counts / len(added) - 0.1).max() < 0.01
    assert db(rms(added / 2**15)) == pytest.approx(db(2**-15 / np.sqrt(12)), abs=0.1)  # -101 dBFS
    assert db(2**-16) == pytest.approx(-96.3, abs=0.1)
    assert abs(np.corrcoef(added[1:], added[:-1])[0, 1]) < 0.02


def test_mute_silences_one_span_and_nothing_else():
    x = noise() + np.float32(2)
    lengths = []
    change = only("mute", seconds="[0.02,0.1]")
    for key in range(30):
        output = change(0.2 * x, key)
        silent = np.flatnonzero(output == 0)
        assert np.array_equal(silent, np.arange(silent[0], silent[-1] + 1))
        changed = np.flatnonzero(output != np.float32(0.2) * x)
        assert len(changed) - len(silent) == 2 * 21
        lengths.append(len(changed) / RATE)
    assert 0.0195 <= min(lengths) < 0.03
    assert 0.09 < max(lengths) <= 0.1005


def test_compression_lowers_the_crest_and_keeps_the_order_of_levels():
    x = hits() + 0.05 * hits([8000, 18000, 29000])
    change = only("compression", threshold_db="[-25,-15]", ratio="[2,4]")
    for key in range(10):
        output = change(x, key)
        assert db(np.abs(output).max() / rms(output)) < db(np.abs(x).max() / rms(x)) - 1
        loud, quiet = slice(4000, 7900), slice(8000, 9000)
        louder = db(rms(output[loud]) / rms(output[quiet]))
        assert 0 < louder < db(rms(x[loud]) / rms(x[quiet])) - 3
    even = only("compression", ratio="[1,1]")(x, 0)
    assert even == pytest.approx(x, abs=1e-6)


def test_onsets_are_detected_where_hits_begin_and_only_there():
    starts = [3000, 9000, 15000, 26000]
    quiet = np.float32([1, 0.1, 1, 0.05])
    x = sum(g * hits([s]) for g, s in zip(quiet, starts, strict=True))
    detected = onsets(x + 1e-5 * noise(), RATE)
    assert len(detected) == 4
    assert (0 <= starts - detected).all()
    assert (starts - detected <= 0.005 * RATE).all()
    low = sine(55) * np.linspace(1, 0.1, LENGTH, dtype=np.float32)
    # periods are no hits, nor is a sound that a window begins amid
    assert len(onsets(low, RATE)) == len(onsets(noise(), RATE)) == len(onsets(np.zeros(999, np.float32), RATE)) == 0


def test_resequencing_deals_the_same_hits_in_a_new_rhythm():
    """At each onset of the new rhythm one of the old hits plays, at a level within the range; all of them are used."""
    x = hits((4000, 14000, 24000))
    change = only("resequence", tempo="[60,60]", density="[0.4,0.4]", level_db="[-6,0]", jitter=0.004)
    cut = np.split(x, onsets(x, RATE))[1:]
    rhythms, used = set(), set()
    for key in range(20):
        output = change(x, key)
        starts = onsets(output, RATE)
        rhythms.add(tuple(starts))
        grid = np.diff(starts) / (RATE / 4)
        assert np.abs(grid - np.round(grid)).max(initial=0) * 0.25 < 6 * 0.004
        for start in starts:
            played = output[start : start + 4000].astype(np.float64)
            fits = []
            for i, hit in enumerate(cut):
                old = hit[: len(played)]
                matches = np.correlate(np.pad(played, 300), old, "valid")
                level = matches.max() / np.sum(old.astype(np.float64) ** 2)
                fits.append((matches.max() / np.sqrt(np.sum(old.astype(np.float64) ** 2) * np.sum(played**2)), level, i))
            likeness, level, which = max(fits)
            assert likeness > 0.95 or start + 4000 > LENGTH
            assert -6.3 < db(level) < 0.3 or start + 4000 > LENGTH
            used.add(which)
    assert len(rhythms) == 20
    assert used == {0, 1, 2}


def test_each_set_is_what_it_says(tmp_path):
    assert {path.stem for path in (CONF / "augmentation").iterdir()} == {"none", "light", "strong"}
    assert chain() is None
    assert chain("augmentation=none") is None
    light, strong = chain("augmentation=light"), chain("augmentation=strong")
    assert set(light.transforms) == {"speed", "polarity", "all_pass", "eq", "gain"}
    assert list(strong.transforms) == NAMES
    assert "pitch" not in chain("augmentation=strong", "augmentation.pitch=null").transforms
    assert "pitch" not in chain("augmentation=strong", "~augmentation.pitch").transforms
    assert list(chain("augmentation.pitch.p=0.3").transforms) == ["pitch"]


def test_one_transform_less_leaves_the_others_as_they_were():
    settings = ["augmentation=light", *(f"augmentation.{n}.p=1" for n in ("gain", "eq", "polarity"))]
    base = chain(*settings, "augmentation.all_pass.p=0", "augmentation.speed.p=0")
    less = chain(*settings, "augmentation.all_pass.p=0", "augmentation.speed.p=0", "augmentation.polarity=null")
    assert less(hits(), 3, 4) == pytest.approx(-base(hits(), 3, 4), abs=1e-6)


def test_each_transform_is_drawn_on_its_own():
    """Of two transforms with a probability of a half, all four outcomes are equally frequent."""
    change = chain("augmentation.gain.p=0.5", "augmentation.gain.min_gain_db=-6", "augmentation.gain.max_gain_db=-6",
                   "augmentation.mute.p=0.5", "augmentation.mute.seconds=[0.1,0.1]")
    x = noise() + np.float32(0.5)
    drawn = [(output.max() < 0.6 * x.max(), (output == 0).any()) for output in (change(x, 0, key) for key in range(200))]
    assert all(30 < drawn.count((a, b)) < 70 for a in (True, False) for b in (True, False))


def test_others_generators_are_left_as_they_were_and_do_not_matter():
    change = chain("augmentation=strong")
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist()
    first = [change(hits(), 0, i) for i in range(10)]
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    random.seed(2)
    np.random.seed(2)
    assert all(np.array_equal(change(hits(), 0, i), first[i]) for i in reversed(range(10)))


@pytest.fixture
def clips(tmp_path):
    rng = np.random.default_rng(0)
    return [clip_file(tmp_path, str(i), 0.2 * rng.standard_normal(n) * np.exp(-np.arange(n) / 2000))
            for i, n in enumerate([900, 3000, 50000])]


def test_windows_depend_on_seed_and_number_alone_with_workers_and_in_any_order(clips):
    first, second, other = (
        Windows(clips, length=16384, sample_rate=RATE, seed=seed, augmentation=chain("augmentation=strong"))
        for seed in (3, 3, 4))
    order = torch.randperm(12).tolist()
    drawn = {i: second[i] for i in order}
    alone = [first[i] for i in range(12)]
    assert all(torch.equal(alone[i], drawn[i]) for i in order)
    assert not any(torch.equal(other[i], alone[i]) for i in range(12))
    for workers in (0, 2):
        loaded = torch.cat(list(DataLoader(first, 4, sampler=range(12), num_workers=workers)))
        assert torch.equal(loaded, torch.stack(alone))


def test_without_augmentation_windows_are_as_recorded_and_with_it_the_clips_are_the_same(clips):
    plain = Windows(clips, length=16384, sample_rate=RATE, seed=3)
    strong = Windows(clips, length=16384, sample_rate=RATE, seed=3, augmentation=chain("augmentation=strong"))
    assert all(torch.equal(plain[i], strong.recorded(i)) and torch.equal(plain[i], plain.recorded(i)) for i in range(10))
    assert not any(torch.equal(plain[i], strong[i]) for i in range(10))
    assert all(plain.sources(i) == strong.sources(i) for i in range(10))
    windows = Windows(clips, length=64, sample_rate=RATE, seed=3, augmentation=lambda _, *key: np.tile(np.float32(key), 32))
    assert windows[5][0].tolist() == [3, 5] * 32


def test_training_batches_are_changed_and_pieces_to_judge_by_are_not(clips):
    recordings = Catalogue("x", RATE, {}, clips[1:], clips[:1])
    plain, changed = (Recordings(recordings, window=16384, batch_size=4, gap=0.25, seed=0, augmentation=change)
                      for change in (None, chain("augmentation=strong")))
    assert not torch.equal(*(next(iter(data.train_dataloader())) for data in (plain, changed)))
    assert torch.equal(next(iter(changed.train_dataloader()))[3], changed.windows[3])
    for loader, (start, *others) in zip(changed.val_dataloader(), (clips[:1], clips[1:]), strict=True):
        (piece, (name,)), = loader
        whole = next(c for c in (start, *others) if c.source == name).read()
        assert np.array_equal(piece[0, 0].numpy(), whole[: piece.shape[-1]])


@pytest.mark.parametrize(("overrides", "message"), [
    (["+augmentation.pich.p=0.3"], "augmentation.pich: no such transform.*AllPass.*audiomentations:.*PitchShift"),
    (["augmentation.pitch.p=1", "augmentation.pitch._target_=audiomentations.PichShift"],
     "audiomentations.PichShift does not exist.*PitchShift"),
    (["augmentation.mute.p=1", "augmentation.mute._target_=rave_lite.data.augmentation.Mut"], "Mut does not exist.*Mute"),
    *(([f"+augmentation.it={{_target_: {target}, p: {p}}}"], f"{target} does not exist.*Speed.*audiomentations:.*PitchShift")
      for p in (0, 1) for target in ("PitchShift", "audiomentation.PitchShift", "rave_lite.augmentation.Speed", "math.pi",
                                     "rave_lite.data.augmentation.Sped", "audiomentations.core.PitchShift", "a..b")),
    (["augmentation.mute.p=often"], "augmentation.mute.p: often is no probability"),
    (["augmentation.mute.p=1.5"], "augmentation.mute.p: 1.5 is no probability"),
    (["augmentation.mute.p=1", "augmentation.mute.seconds=[3,1]"], r"augmentation.mute: seconds: \[3, 1\] is no range"),
    (["augmentation.mute.p=1", "augmentation.mute.seconds=3"], "augmentation.mute: seconds: 3 is no range"),
    (["augmentation.pitch.p=1", "augmentation.pitch.max_semitones=99"], "augmentation.pitch: max_semitones must be <= 24"),
    (["augmentation.stretch.p=1", "+augmentation.stretch.leave_length_unchanged=false"],
     "augmentation.stretch: it makes .* must keep the length"),
    (["augmentation.stretch.p=1", "augmentation.stretch.min_rate=0.5"], "never the same twice.*say 0.51"),
    (["+augmentation.dull={_target_: audiomentations.RoomSimulator, p: 1}"], "augmentation.dull: it fails.*pyroomacoustics"),
])
def test_what_cannot_be_had(overrides, message):
    with pytest.raises(InputError, match=f"(?s){message}"):
        chain(*overrides)


def test_ones_own_transforms_may_be_of_any_module_and_a_broken_one_says_why(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_effects.py").write_text(
        "class Half:\n    p = 1\n    def __init__(self, p): pass\n    def __call__(self, x, rate, rng): return x / 2\n")
    change = chain("+augmentation.half={_target_: my_effects.Half, p: 1}")
    assert np.array_equal(change(noise(), 0), noise() / 2)
    (tmp_path / "my_broken_effects.py").write_text("import nowhere_to_be_found\n")
    (tmp_path / "my_outer_effects.py").write_text(
        "class Twice:\n    def __init__(self, p, inner): self.p, self.inner = p, inner\n"
        "    def __call__(self, *args): return self.inner[0](self.inner[0](*args), *args[1:])\n")
    change = chain("+augmentation.two={_target_: my_outer_effects.Twice, p: 1, inner: [{_target_: my_effects.Half, p: 1}]}")
    assert np.array_equal(change(noise(), 0), noise() / 4)
    with pytest.raises(InputError, match=r"my_broken_effects.Half cannot be imported: .*nowhere_to_be_found"):
        chain("+augmentation.half={_target_: my_broken_effects.Half, p: 1}")


def test_a_transform_that_changes_the_length_of_some_windows_only_is_named():
    """Trim does not change the second of noise on which transforms are tried."""
    change = chain("+augmentation.trim={_target_: audiomentations.Trim, p: 1}")
    assert np.array_equal(change(noise(), 0), noise())
    with pytest.raises(InputError, match=r"augmentation.trim: it makes .* must keep the length of the window"):
        change(np.concatenate([np.zeros(20000, np.float32), noise()]), 0)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_ends_with_that_alone(tmp_path, write, workers):
    for i in range(2):
        write(f"{i}.wav", samples=np.concatenate([np.zeros(15000), 0.1 * noise(8000)[:: 1 - 2 * i]]))
    said = fails("augmentation.trim: it makes", "train", "data.root=audio", "data.cache=cache", *SETTINGS,
                 f"data.workers={workers}", "+augmentation.trim={_target_: audiomentations.Trim, p: 1}", cwd=tmp_path)
    assert len(said.splitlines()) < 5


def test_all_settings_are_shown(tmp_path):
    done = rave_lite("train", "--cfg", "job", "augmentation=strong", cwd=tmp_path)
    shown = yaml.safe_load(done.stdout)["augmentation"]
    assert list(shown) == NAMES
    assert all(shown[name]["_target_"] and shown[name]["p"] > 0 for name in NAMES)
    assert shown["pitch"]["max_semitones"] == 2


def test_commands_list_the_transforms_that_exist(tmp_path, write):
    write("x.wav")
    for override in ("augmentation.pich.p=0.3", "augmentation.pich=null"):
        said = fails("Could not override", "train", "data.root=x", override, cwd=tmp_path)
        assert all(name in said.split("There are:")[1] for name in NAMES)
    assert "strong" in fails("Could not find 'augmentation/storng'", "train", "augmentation=storng", cwd=tmp_path)
    fails("augmentation.pich: no such transform", "train", "data.root=audio", "+augmentation.pich.p=0.3", cwd=tmp_path)
