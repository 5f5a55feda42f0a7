"""A chain of transforms, each with its own random generator."""

import copy
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol
from zlib import crc32

import numpy as np

from rave_lite.errors import InputError


class Transform(Protocol):
    """Maps `samples`, float32, `(T,)` or a stereo image `(2, T)`, to as many others, drawing from `rng`.

    `p`: the probability that it is applied.
    """

    p: float

    def __call__(self, samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray: ...


class Augmentation:
    """Applies named transforms to whole windows, including the silence between hits.

    The result depends on the samples and `key` (seed and number of the window) alone, so that a run can be resumed and
    shared among workers. Each transform draws by `key` and its name, so adding or removing one leaves the others' draws as
    they were. A window louder than full scale is scaled down to it, or to its input's peak if higher. Takes our transforms
    and audiomentations'. Raises InputError for a transform that fails on a second of noise, or changes the length.
    """

    def __init__(self, transforms: Mapping[str, Any], *, sample_rate: int, channels: int = 1):
        self.sample_rate, self.channels = sample_rate, channels
        self.transforms: dict[str, Transform] = {}
        for name, transform in transforms.items():
            foreign = hasattr(transform, "randomize_parameters")  # tells audiomentations' without importing it
            self.transforms[name] = AudiomentationsAdapter(transform, name) if foreign else transform
            self._try(name)

    def __call__(self, samples: np.ndarray, *key: int) -> np.ndarray:
        output = samples
        for name, transform in self.transforms.items():
            rng = np.random.default_rng([*key, crc32(name.encode())])
            if rng.random() < transform.p:
                output = same_length(name, output, transform(output, self.sample_rate, rng))
        peak, allowed = np.abs(output).max(initial=0), max(1.0, np.abs(samples).max(initial=0))
        return output if peak <= allowed else output * np.float32(allowed / peak)

    def _try(self, name: str) -> None:
        rng = np.random.default_rng(0)
        shape = (self.sample_rate,) if self.channels == 1 else (self.channels, self.sample_rate)
        noise = rng.uniform(-0.5, 0.5, shape).astype(np.float32)
        try:
            output = self.transforms[name](noise, self.sample_rate, rng)
        except Exception as error:
            raise InputError(f"it fails on a second of noise: {error}", where=f"augmentation.{name}") from error
        same_length(name, noise, output)
        if output.dtype != np.float32 or not np.isfinite(output).all():
            raise InputError(f"of a second of noise it makes {output.dtype} samples, "
                             f"{(~np.isfinite(output)).sum()} of them not finite", where=f"augmentation.{name}")


def same_length(name: str, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    if after.shape != before.shape:
        raise InputError(f"it makes {after.shape} samples of {before.shape}; a transform must keep the "
                         f"length of the window: leave it out", where=f"augmentation.{name}")
    return after


class AudiomentationsAdapter:
    """Wraps a transform of audiomentations, which draws from Python's and NumPy's global generators: these are seeded."""

    def __init__(self, transform: Any, name: str):
        if getattr(transform, "min_rate", 1.0) < 0.51 and getattr(transform, "method", "") == "signalsmith_stretch":
            raise InputError(f"augmentation.{name}.min_rate: {transform.min_rate}; from 0.5 down signalsmith_stretch is "
                             f"never the same twice, and no run could be resumed: say 0.51, or method=librosa_phase_vocoder")
        self.p, self.transform = transform.p, copy.copy(transform)
        self.transform.p = 1.0  # Augmentation decides whether it is applied

    def __call__(self, samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        with seeded_globals(rng):
            return self.transform(samples, sample_rate).astype(np.float32, copy=False)


@contextmanager
def seeded_globals(rng: np.random.Generator) -> Iterator[None]:
    """Seeds Python's and NumPy's global generators from `rng`, and restores their state on exit."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(int(rng.integers(2**32)))
    np.random.seed(int(rng.integers(2**32)))
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
