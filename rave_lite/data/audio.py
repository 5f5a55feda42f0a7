"""Reading audio files: anything libsndfile opens, folded to mono and resampled, block by block."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from rave_lite.data import headers, movie
from rave_lite.data.scan import MOVIES, WITH_AV
from rave_lite.errors import InputError
from rave_lite.files import replacing

BLOCK = 1 << 18  # frames read at a time
SHORTEST = 0.02  # s
RATES = 1000, 2_000_000  # Hz
CUT_SHORT = "lacks an end-of-stream"  # libsndfile's note on ogg
SILENCE = 1e-4  # peak: -80 dBFS
MARGIN = 0.1  # s decoded beyond both ends of an excerpt: the resampler's filter is shorter at any audio rate


class SoundFile(soundfile.SoundFile):
    """An open audio file. `notes`: what was wrong with its header, for people."""

    notes: tuple[str, ...] = ()


class UnreadableError(InputError):
    """A file that is not audio, or is broken; the message names it and the fault."""


@dataclass(frozen=True)
class Entry:
    """The index entry of one file.

    `samples`: its length at the sample rate of the index; `source_rate`: Hz; `skipped`: the reason, None if it is usable;
    `silent`: start and stop, in samples, of each long silent stretch; empty where only the header was read. `notes`: what
    was wrong and is mended; `clipped`: samples, of all channels, before resampling.
    """

    samples: int
    source_rate: int
    channels: int
    skipped: str | None = None
    silent: list[list[int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    clipped: int = 0

    def remarks(self) -> list[str]:
        """What people should know of a usable file: the notes, its clipped samples, its share of silence."""
        silence = sum(stop - start for start, stop in self.silent) / max(1, self.samples)
        return [*self.notes, *([f"{self.clipped:,} clipped samples"] if self.clipped else []),
                *([f"{silence:.0%} silence"] if self.silent else [])]


def fault(seconds: float, peak: float = 1.0) -> str | None:
    """Why a recording cannot be used, or None. `peak`: largest absolute sample, 1 is full scale."""
    if seconds < SHORTEST:
        return f"shorter than {SHORTEST * 1000:.0f} ms"
    return f"silent (peak below {decibels(SILENCE):.0f} dBFS)" if peak < SILENCE else None


def peak(samples: np.ndarray) -> float:
    """Largest absolute sample, 1 is full scale; 0 if there is none."""
    return float(np.abs(samples).max(initial=0))


def decibels(amplitude: float, floor: float = -300.0) -> float:
    """dB of a ratio of amplitudes, or dBFS of a peak or RMS level; at least `floor`."""
    return 20 * math.log10(max(10 ** (floor / 20), amplitude))


@contextmanager
def opened(source: Any, name: str) -> Iterator[Any]:
    """Opens an audio file (a path or a file object) as a `SoundFile`, or as a `Movie`.

    Of a file whose header says a wrong length, all that is there is read, and `notes` say so. Raises UnreadableError
    `name: reason`, also for errors in the block.
    """
    if isinstance(source, Path) and source.suffix.lower() in MOVIES:
        with _opened_movie(source, name) as movie_file:
            yield movie_file
        return
    try:
        with ExitStack() as stack:
            raw = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
            mended = headers.mended(raw)
            raw.seek(0)
            file = stack.enter_context(SoundFile(mended or source))
            _check(file, name)
            if CUT_SHORT in file.extra_info:
                raise UnreadableError("truncated: it ends before its header says", where=name)
            file.notes = (mended.note(file.frames / file.samplerate),) if mended else ()
            yield file
    except soundfile.SoundFileError as error:
        raise UnreadableError(f"not readable as audio ({str(error).split(': ')[-1].strip()})", where=name) from error
    except OSError as error:
        raise UnreadableError(error.strerror or str(error), where=name) from error


@contextmanager
def _opened_movie(path: Path, name: str) -> Iterator[movie.Movie]:
    try:
        with movie.opened(path) as file:
            _check(file, name)
            yield file
    except ValueError as error:
        raise UnreadableError(f"not readable as audio ({error})", where=name) from error
    except ImportError as error:
        raise UnreadableError(f"not read here; {WITH_AV}", where=name) from error
    except OSError as error:
        raise UnreadableError(error.strerror or str(error), where=name) from error


def _check(file: SoundFile | movie.Movie, name: str) -> None:
    """Raises UnreadableError for a file without samples, or whose rate would make any number of samples from them."""
    if file.frames == 0:
        raise UnreadableError("empty (0 samples)", where=name)
    if not RATES[0] <= file.samplerate <= RATES[1]:
        raise UnreadableError(f"a sampling rate of {file.samplerate:,} Hz", where=name)


def decode(file: SoundFile | movie.Movie, sample_rate: int, name: str, start: int = 0, stop: int | None = None,
           watch: Callable[[np.ndarray], object] | None = None) -> Iterator[np.ndarray]:
    """Decodes frames `start` to `stop` of an open file: float32 blocks `(frames, channels)`, resampled to `sample_rate` Hz.

    `watch` is called with each block before it is resampled. Raises UnreadableError for missing, NaN or infinite samples.
    """
    frame_count = (file.frames if stop is None else stop) - start
    if start and isinstance(file, SoundFile):
        file.seek(start)
    resampler = soxr.ResampleStream(file.samplerate, sample_rate, file.channels, dtype="float32", quality="HQ")
    frames_read, most = 0, BLOCK * 8 // max(8, file.channels)
    while len(block := file.read(min(most, frame_count - frames_read), dtype="float32", always_2d=True)):
        bad = np.flatnonzero(~np.isfinite(block).all(1))
        if len(bad):
            seconds = (start + frames_read + bad[0]) / file.samplerate
            raise UnreadableError(f"NaN or infinite samples, the first at {seconds:.3f} s", where=name)
        frames_read += len(block)
        if watch:
            watch(block)
        yield resampler.resample_chunk(block) if file.samplerate != sample_rate else block
    frame_count = min(frame_count, file.frames - start)  # of a movie it is known now
    if frames_read < frame_count - file.samplerate // 10:  # mp3 headers may be off by a few packets
        raise UnreadableError(f"truncated: {start + frames_read} of {file.frames} samples", where=name)
    if file.samplerate != sample_rate:
        yield resampler.resample_chunk(np.zeros((0, file.channels), np.float32), last=True)


def blocks(path: Path, sample_rate: int) -> Iterator[np.ndarray]:
    """Float32 blocks `(frames, channels)` of a file at `sample_rate` Hz. Raises UnreadableError."""
    with opened(path, str(path)) as file:
        yield from decode(file, sample_rate, str(path))


def folded(block: np.ndarray, channels: int) -> np.ndarray:
    """`(frames, any) -> (frames, channels)`: the mean of a block's channels in each; of two and two, each in its own."""
    return block if block.shape[1] == channels else np.repeat(mono(block)[:, None], channels, 1)


def mono(block: np.ndarray) -> np.ndarray:
    """The mean of the channels: `(frames, channels) -> (frames,)`."""
    return block.mean(1, dtype=np.float32)


def mix(sound: np.ndarray) -> np.ndarray:
    """The mean of the channels of a sound `(2, T)`, `(T,)`; one channel, `(T,)`, stays as it is."""
    return sound if sound.ndim == 1 else sound.mean(0, dtype=np.float32)


def length(file: SoundFile, sample_rate: int) -> int:
    """The number of samples that decoding an open file at `sample_rate` Hz yields, rounded as soxr does."""
    return int(file.frames / (file.samplerate / sample_rate) + 0.5)


def excerpt(file: SoundFile, sample_rate: int, name: str, start: int, stop: int, channels: int = 1) -> np.ndarray:
    """Samples `start` to `stop` (counted at `sample_rate` Hz) of an open file, `(T, channels)`, as if all had been decoded.

    Exact where the file has that rate. Otherwise equal up to rounding (1e-6; 1e-4 for rates like 47999 Hz, which soxr
    interpolates): decoding begins where samples of both rates coincide. Raises UnreadableError.
    """
    common = math.gcd(file.samplerate, sample_rate)
    step, hop = file.samplerate // common, sample_rate // common  # `step` frames become exactly `hop` samples
    margin = round(MARGIN * sample_rate) if step != hop else 0
    first, last = max(0, start - margin) // hop, -(-(stop + margin) // hop)
    decoded = decode(file, sample_rate, name, first * step, min(last * step, file.frames))
    blocks = [np.zeros((0, channels), np.float32), *(folded(block, channels) for block in decoded)]
    samples = np.concatenate(blocks)[start - first * hop :][: stop - start]
    return np.pad(samples, ((0, stop - start - len(samples)), (0, 0)))


def load(path: Path, sample_rate: int) -> np.ndarray:
    """Reads a whole file: `(channels, samples)` float32 at `sample_rate` Hz. Raises UnreadableError."""
    return np.concatenate(list(blocks(path, sample_rate))).T


def as_wav(names: Sequence[str]) -> list[str]:
    """Names for wav versions of these files: `a.wav` for `a.flac`, or `a.flac.wav` for all if two names would collide."""
    wav_names = [str(Path(name).with_suffix(".wav")) for name in names]
    unique = len({name.casefold() for name in wav_names}) == len(wav_names)
    return wav_names if unique else [f"{name}.wav" for name in names]


def save(path: Path, audio: np.ndarray, sample_rate: int) -> None:
    """Writes `(channels, samples)` or `(samples,)` as 24-bit wav; audio above full scale is scaled down, not clipped."""
    with replacing(path) as aside:
        soundfile.write(aside, (audio / max(1.0, peak(audio))).T, sample_rate, format="WAV", subtype="PCM_24")
