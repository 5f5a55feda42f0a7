"""Sounds, clips of them and files that hold them."""

import os
import zlib
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console

from rave_lite.data import Catalogue, Clip
from rave_lite.data.local import Decoded

RATE = 44100
# names that a format or a page might break
NASTY = ['a, b.wav', 'so "quoted".wav', "two\nlines.wav", "cr\r\nlf.wav", "pukulan kompang é 🥁.wav",
         "'; <b>x</b> &amp;.wav", " spaces .wav", "tab\t;.wav", "\u2028line\x0bends.wav", "deep/er/x.wav"]


def drum(seed: int, seconds: float = 0.4) -> np.ndarray:
    """A falling tone with a noisy attack, a little different for each seed."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    tone = np.sin(2 * np.pi * rng.uniform(90, 110) * t * (1 + 0.3 * np.exp(-30 * t)))
    attack = 0.2 * rng.standard_normal(len(t)) * np.exp(-80 * t)
    return (tone + attack) * np.exp(-rng.uniform(9, 12) * t) * (1 - t / t[-1])


def bell(seed: int, seconds: float = 1.0) -> np.ndarray:
    """Inharmonic partials that ring."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    partials = [np.sin(2 * np.pi * rng.uniform(0.95, 1.05) * f * t) for f in (1200, 2750, 4100, 6700)]
    return np.sum(partials, 0) * np.exp(-3 * t)


class Memory:
    """Samples of a recording in memory, `(T,)` or `(2, T)`."""

    def __init__(self, samples: np.ndarray):
        self.samples = samples.astype(np.float32)
        self.channels = samples.ndim
        self.content = str(zlib.crc32(self.samples.tobytes()))

    def read(self, start: int, stop: int) -> np.ndarray:
        return self.samples[..., start:stop]


def clip(name: str, samples: np.ndarray) -> Clip:
    return Clip(name, Memory(samples), 0, samples.shape[-1])


def clip_file(folder: Path, name: str, samples: np.ndarray) -> Clip:
    """A clip whose samples are in a file, as `catalogue` caches them."""
    path = folder / f"{name}.f32"
    samples.astype(np.float32).tofile(path)
    return Clip(name, Decoded(path), 0, len(samples))


def broken(kind: str, write) -> Path:
    """A file, written with the fixture `write`, that is unusable for the reason `kind`."""
    path = write("broken.wav", 1.0)
    content = path.read_bytes()
    if kind == "text":
        path.write_text("this is not audio\n" * 100)
    elif kind == "zero bytes":
        path.write_bytes(b"")
    elif kind == "truncated header":
        path.write_bytes(content[:20])
    elif kind == "no samples":
        soundfile.write(path, np.zeros(0), 44100)
    elif kind == "NaN":
        samples = np.zeros(4410, np.float32)
        samples[441:443] = np.nan
        soundfile.write(path, samples, 44100, subtype="FLOAT")
    return path


def printed(recordings: Catalogue) -> str:
    """The table of a catalogue as the terminal shows it."""
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(recordings.table())
    return console.export_text()
