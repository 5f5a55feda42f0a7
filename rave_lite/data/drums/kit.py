"""Writes the built-in set: strokes, rhythms of these strokes, and foreign inputs: bird calls, voices and beat-boxing."""

from pathlib import Path

import numpy as np

from rave_lite.data import audio
from rave_lite.data.drums.mouth import beatbox, voice
from rave_lite.data.drums.strokes import DRUMS, STROKES, hit, kingfisher
from rave_lite.errors import InputError

RHYTHMS = {  # eighths of two interlocking players: o open, s slap, m muted
    "rebana": ("o..mo.s.", "..o.m.os"),
    "kompang": ("o.oso.s.", ".s.o.o.o"),
    "gendang": ("o.mmo.ss", "m.o.s.o."),
    "hadrah": ("o.s.oss.", ".o.s.o.s"),
}
BARS = 4
FOREIGN = {"birds/kingfisher": (kingfisher, 99), "voices/voice": (voice, 98), "beatbox/beatbox": (beatbox, 97)}  # and a seed
CALLS = 6  # of each


def write(out: Path, *, seed: int = 0, sample_rate: int = 44100, hits: int = 12) -> list[Path]:
    """Writes the set under `out`: drums/DRUM/STROKE_NN.wav and drums/rhythms/DRUM.wav; to play through them
    birds/kingfisher_N.wav, voices/voice_N.wav and beatbox/beatbox_N.wav.

    `sample_rate`: Hz; `hits`: number per stroke. The same arguments give the same samples. Raises InputError when such a
    file exists already, or `hits` is not positive.
    """
    if hits < 1:
        raise InputError(f"{hits}; there must be one of each stroke at least", where="hits")
    names = [f"drums/{name}/{how}_{i + 1:02}" for name in DRUMS for how in STROKES for i in range(hits)]
    names += [f"drums/rhythms/{name}" for name in DRUMS] + [f"{name}_{i + 1}" for name in FOREIGN for i in range(CALLS)]
    existing = next((path for path in (out / f"{name}.wav" for name in names) if path.exists()), None)
    if existing:
        raise InputError(f"{existing} is there already; choose another out=")
    sounds: dict[str, np.ndarray] = {}
    for name in DRUMS:
        takes = takes_of(name, seed, hits, sample_rate)
        for how in STROKES:
            sounds |= {f"drums/{name}/{how}_{i + 1:02}": take for i, take in enumerate(takes[how[0]])}
        sounds[f"drums/rhythms/{name}"] = rhythm_of(name, takes, seed, sample_rate)
    for name, (call, number) in FOREIGN.items():
        for i in range(CALLS):
            sounds[f"{name}_{i + 1}"] = call(np.random.default_rng([seed, number, i]), sample_rate)
    paths = [out / f"{name}.wav" for name in sounds]
    for path, sound in zip(paths, sounds.values(), strict=True):
        audio.save(path, sound, sample_rate)
    return paths


def rhythms(seed: int, sample_rate: int, hits: int = 4) -> dict[str, np.ndarray]:
    """Each drum's rhythm, `(T,)`: as `write` writes them with the same arguments."""
    return {name: rhythm_of(name, takes_of(name, seed, hits, sample_rate), seed, sample_rate) for name in DRUMS}


def takes_of(name: str, seed: int, hits: int, sample_rate: int) -> dict[str, list[np.ndarray]]:
    """Hits of a drum, by the initial of the stroke."""
    takes, d = dict[str, list[np.ndarray]](), list(DRUMS).index(name)
    for s, (how, stroke) in enumerate(STROKES.items()):
        for i in range(hits):
            rng = np.random.default_rng([seed, d, s, i])
            takes.setdefault(how[0], []).append(hit(DRUMS[name], stroke, rng, sample_rate, rng.uniform(0.3, 0.95)))
    return takes


def rhythm_of(name: str, takes: dict[str, list[np.ndarray]], seed: int, sample_rate: int) -> np.ndarray:
    """The rhythm of a drum, of these takes of it."""
    return rhythm(RHYTHMS[name], takes, np.random.default_rng([seed, list(DRUMS).index(name)]), sample_rate)


def rhythm(parts: tuple[str, ...], takes: dict[str, list[np.ndarray]], rng: np.random.Generator,
           sample_rate: int) -> np.ndarray:
    """A few bars of interlocking parts, with a player's small deviations in time and loudness; peak 0.9."""
    eighth = 60 / rng.uniform(90, 125) / 2
    steps = [(i, c) for bar in range(BARS) for part in parts for i, c in enumerate(part, 8 * bar) if c != "."]
    longest = max(len(take) for kind in takes.values() for take in kind)
    mix = np.zeros(round(sample_rate * eighth * 8 * BARS) + longest + sample_rate // 10)
    for i, kind in steps:
        take = takes[kind][rng.integers(len(takes[kind]))]
        at = round(sample_rate * max(0.0, i * eighth + 0.006 * rng.standard_normal()))
        mix[at : at + len(take)] += rng.uniform(0.5, 1.0) * take
    return 0.9 * mix / np.abs(mix).max()
