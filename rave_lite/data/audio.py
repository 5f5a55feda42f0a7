"""Reading audio files: anything libsndfile opens, folded to mono and resampled, block by block."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from rave_lite.errors import InputError
from rave_lite.files import replacing

SUFFIXES = frozenset([".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64",
                      ".rf64"])
BLOCK = 1 << 18  # frames read at a time
SHORTEST = 0.02  # s
CUT_SHORT = re.compile(r"(data|SSND) : \d+ \(should be|lacks an end-of-stream")  # libsndfile's notes on wav, aiff, ogg
SILENCE = 1e-4  # peak: -80 dBFS


class UnreadableError(InputError):
    """A file that is not audio, or is broken; the message names it and the fault."""


def find(root: Path) -> list[Path]:
    """Audio files of a folder tree (or the one file), sorted. Raises InputError when there is no such place."""
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise InputError(f"{root}: no such file or folder")
    return sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file() and p.name[0] != ".")


def blocks(path: Path, sample_rate: int) -> Iterator[np.ndarray]:
    """Float32 blocks `(frames, channels)` of a file at `sample_rate` Hz. Raises UnreadableError."""
    try:
        with soundfile.SoundFile(path) as file:
            if file.frames == 0:
                raise UnreadableError(f"{path}: empty (0 samples)")
            if CUT_SHORT.search(file.extra_info):
                raise UnreadableError(f"{path}: truncated: it ends before its header says")
            resampler = soxr.ResampleStream(file.samplerate, sample_rate, file.channels, dtype="float32", quality="HQ")
            heard = 0
            while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
                bad = np.flatnonzero(~np.isfinite(block).all(1))
                if len(bad):
                    at = (heard + bad[0]) / file.samplerate
                    raise UnreadableError(f"{path}: NaN or infinite samples, the first at {at:.3f} s")
                heard += len(block)
                yield resampler.resample_chunk(block) if file.samplerate != sample_rate else block
            if heard < file.frames - file.samplerate // 10:  # mp3 headers may be off by a few packets
                raise UnreadableError(f"{path}: truncated: {heard} of {file.frames} samples")
            if file.samplerate != sample_rate:
                yield resampler.resample_chunk(np.zeros((0, file.channels), np.float32), last=True)
    except soundfile.SoundFileError as error:
        raise UnreadableError(f"{path}: not readable as audio ({str(error).split(': ')[-1].strip()})") from error
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from error


def load(path: Path, sample_rate: int) -> np.ndarray:
    """A whole file, `(channels, samples)` float32 at `sample_rate` Hz. Raises UnreadableError."""
    return np.concatenate(list(blocks(path, sample_rate))).T


def save(path: Path, audio: np.ndarray, sample_rate: int) -> None:
    """Write `(channels, samples)` or `(samples,)` as 24-bit wav; peaks above full scale are turned down, not clipped."""
    peak = float(np.abs(audio).max(initial=0))
    with replacing(path) as aside:
        soundfile.write(aside, (audio / max(1.0, peak)).T, sample_rate, format="WAV", subtype="PCM_24")
