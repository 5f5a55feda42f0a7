"""Transforms one after the other, each a function of a generator of its own."""

import copy
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol
from zlib import crc32

import numpy as np

from rave_lite.errors import InputError


class Transform(Protocol):
    """Changes `samples`, float32 `(T,)`, to as many others, with probability `p`; what is random is drawn from `rng`."""

    p: float

    def __call__(self, samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray: ...


class Augmentation:
    """Changes whole windows, silences between the hits and tails of rooms included, by transforms that have names.

    The result depends on the samples and `key` (seed and number of the window) alone, so that a run can be resumed and
    shared among workers; each transform draws by `key` and its own name: one more or less leaves the others' draws as they
    were. A window louder than full scale is turned down to it, or to its peak before if that was higher. Takes our
    transforms and audiomentations'. Raises InputError for one that fails on a second of noise, or changes a length.
    """

    def __init__(self, transforms: Mapping[str, Any], *, sample_rate: int):
        self.sample_rate = sample_rate
        self.transforms: dict[str, Transform] = {}
        for name, transform in transforms.items():
            borrowed = hasattr(transform, "randomize_parameters")  # known by this, so that audiomentations is not imported
            self.transforms[name] = AudiomentationsAdapter(transform, name) if borrowed else transform
            self._try(name)

    def __call__(self, samples: np.ndarray, *key: int) -> np.ndarray:
        made = samples
        for name, transform in self.transforms.items():
            rng = np.random.default_rng([*key, crc32(name.encode())])
            if rng.random() < transform.p:
                made = same_length(name, made, transform(made, self.sample_rate, rng))
        peak, allowed = np.abs(made).max(initial=0), max(1.0, np.abs(samples).max(initial=0))
        return made if peak <= allowed else made * np.float32(allowed / peak)

    def _try(self, name: str) -> None:
        rng = np.random.default_rng(0)
        noise = rng.uniform(-0.5, 0.5, self.sample_rate).astype(np.float32)
        try:
            made = self.transforms[name](noise, self.sample_rate, rng)
        except Exception as error:
            raise InputError(f"augmentation.{name}: it fails on a second of noise: {error}") from error
        same_length(name, noise, made)
        if made.dtype != np.float32 or not np.isfinite(made).all():
            raise InputError(f"augmentation.{name}: of a second of noise it makes {made.dtype} samples, "
                             f"{(~np.isfinite(made)).sum()} of them not finite")


def same_length(name: str, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    if after.shape != before.shape:
        raise InputError(f"augmentation.{name}: it makes {after.shape} samples of {before.shape}; a transform must keep the "
                         f"length of the window: leave it out")
    return after


class AudiomentationsAdapter:
    """A transform of audiomentations, which draws from the global generators of Python and NumPy: they are lent ours."""

    def __init__(self, transform: Any, name: str):
        if getattr(transform, "min_rate", 1.0) < 0.51 and getattr(transform, "method", "") == "signalsmith_stretch":
            raise InputError(f"augmentation.{name}.min_rate: {transform.min_rate}; from 0.5 down signalsmith_stretch is "
                             f"never the same twice, and no run could be resumed: say 0.51, or method=librosa_phase_vocoder")
        self.p, self.transform = transform.p, copy.copy(transform)
        self.transform.p = 1.0  # whether it is applied is our draw

    def __call__(self, samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        with seeded_globals(rng):
            return self.transform(samples, sample_rate).astype(np.float32, copy=False)


@contextmanager
def seeded_globals(rng: np.random.Generator) -> Iterator[None]:
    """Python's and NumPy's global generators seeded from `rng`, and put back as they were."""
    before, numpy_before = random.getstate(), np.random.get_state()
    random.seed(int(rng.integers(2**32)))
    np.random.seed(int(rng.integers(2**32)))
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numpy_before)
