"""Two channels: from the file to the window each where it is, and one image through every augmentation."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from rave_lite.data import Windows, catalogue
from rave_lite.data.augmentation import Augmentation, Swap
from rave_lite.data.augmentation.lookup import build_augmentation
from tests.conftest import configured
from tests.sounds import Memory, clip

RATE = 44100
NAMES = list(configured("train").augmentation)
OWN_NOISE = {"noise": 0.06, "dequantise": 0.01}  # of each channel, as of two microphones: the share of the level


def recordings(folder, write, rate: int = RATE):
    """A panned file, a file of one channel and one of three, with the sounds that they should be, `(2, T)`."""
    rng = np.random.default_rng(0)
    rows = {"three.wav": 0.1 * rng.standard_normal((9000, 3)), "mono.wav": 0.1 * rng.standard_normal((9000, 1)),
            "panned.wav": 0.1 * rng.standard_normal((9000, 1)) * [1.0, 0.25]}
    for name, samples in rows.items():
        write(name, samples=samples, rate=rate, subtype="FLOAT")
    return {name: (x if x.shape[1] == 2 else np.repeat(x.mean(1, keepdims=True), 2, 1)).T for name, x in rows.items()}


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_each_channel_of_a_file_is_read_where_it_is(tmp_path, write, scheme):
    expected = recordings(tmp_path, write)
    for _ in range(2):  # decoded, and from the cache
        clips = catalogue(f"{scheme}{tmp_path / 'audio'}", RATE, cache=tmp_path / "cache", channels=2, chunk=4096)
        for part in clips.train + clips.held_out:
            whole = expected[part.source][:, part.start : part.stop]
            assert np.allclose(part.sound(), whole, atol=1e-6)
            assert np.allclose(part.read(5, 7000), whole.mean(0)[5:7000], atol=1e-6)


def test_a_cache_serves_models_of_one_and_of_two_channels(tmp_path, write):
    expected = recordings(tmp_path, write)
    for channels in (1, 2, 1, 2):
        clips = catalogue(tmp_path / "audio", RATE, cache=tmp_path / "cache", channels=channels)
        for part in clips.train + clips.held_out:
            whole = expected[part.source]
            assert np.allclose(part.sound(), whole if channels == 2 else whole.mean(0), atol=1e-6)


def test_levels_are_mended_in_both_channels(tmp_path, write):
    write("a.wav", 2.0)
    sound = 0.1 * np.random.default_rng(1).standard_normal((2 * RATE, 2)) * [1, 0.5]
    write("int.wav", samples=sound * 2**15, subtype="FLOAT")
    clips = catalogue(tmp_path / "audio", RATE, cache=tmp_path / "cache", channels=2)
    part = next(part for part in clips.train + clips.held_out if part.source == "int.wav")
    assert np.allclose(part.sound(), sound.T, atol=1e-6)


def test_windows_and_pieces_have_two_channels():
    sounds = [np.stack([x, 0.5 * x]) for x in np.random.default_rng(0).standard_normal((3, 5000))]
    windows = Windows([clip(f"{n}.wav", sound) for n, sound in enumerate(sounds)], length=4096, sample_rate=RATE, gap=0.01)
    mono = Windows([clip(f"{n}.wav", sound[0]) for n, sound in enumerate(sounds)], length=4096, sample_rate=RATE, gap=0.01)
    for i in range(4):
        assert windows[i].shape == (2, 4096)
        assert np.allclose(windows[i][0], mono[i][0])
        assert np.allclose(windows[i][1], 0.5 * windows[i][0], atol=1e-6)
    assert Memory(sounds[0]).channels == 2


@pytest.mark.parametrize("name", NAMES)
def test_no_augmentation_moves_the_image(name):
    """One sound, panned, stays one sound at the same place; noise of its own may be added to each channel."""
    composed = configured("train", "data.root=x", "augmentation=strong", f"augmentation.{name}.p=1").augmentation
    settings = {name: OmegaConf.to_container(composed, resolve=True)[name]}
    augment = build_augmentation(settings, RATE, 2)
    rng = np.random.default_rng(0)
    x = np.zeros(16384, np.float32)
    for start in (2000, 9000):
        x[start : start + 4000] = 0.2 * rng.standard_normal(4000) * np.exp(-np.arange(4000) / 800)
    for key in range(3):
        y = augment(np.stack([x, 0.25 * x]), 0, key)
        assert y.shape == (2, len(x))
        assert y.dtype == np.float32
        level = np.sqrt(np.mean(y[0] ** 2))
        error = np.sqrt(np.mean((y[1] - 0.25 * y[0]) ** 2))
        assert error <= OWN_NOISE.get(name, 1e-3) * max(level, 1e-3)


def test_swap_turns_the_image_around_and_leaves_one_channel():
    x = np.arange(6.0).reshape(2, 3)
    assert Swap(1.0)(x, RATE, np.random.default_rng(0)).tolist() == [[3, 4, 5], [0, 1, 2]]
    assert Swap(1.0)(x[0], RATE, np.random.default_rng(0)).tolist() == [0, 1, 2]


def test_swapped_windows_are_trained_on():
    sound = np.random.default_rng(0).standard_normal((2, 3000)).astype(np.float32)
    swap = Augmentation({"swap": Swap(1.0)}, sample_rate=RATE, channels=2)
    windows = Windows([clip("x.wav", sound)], length=4096, sample_rate=RATE, gap=0.01,
                      augmentation=swap)
    assert windows[0].any()
    assert torch.equal(windows[0], windows.recorded(0).flip(0))
