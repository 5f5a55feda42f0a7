"""Sound that libsndfile does not read, such as of phones and videos, through PyAV (FFmpeg)."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

SHORTER = 0.1  # s by which lengths in headers may be off
GUESSED = ("aac", "ac3", "amr", "amrnb", "amrwb", "dts", "eac3", "mp2", "mp3")  # without a length, which FFmpeg guesses


class Movie:
    """The sound of an open container, read from start to end as a SoundFile is; what an encoder added is left out.

    `frames`: its length, known at the end; before, more than any file has. `notes`: what was wrong with the file.
    """

    def __init__(self, container: Any, stream: Any):
        lengths = [float(stream.duration * stream.time_base)] if stream.duration else []  # s
        lengths += [container.duration / 1e6] if container.duration else []
        self._stated = 0.0 if container.format.name in GUESSED else min(lengths, default=0.0)
        self._decoded, self._is_broken = self._decode(container, stream), False
        first = next(self._decoded, None)
        self.samplerate: int = first.sample_rate if first else 1
        self.channels: int = first.layout.nb_channels if first else 1
        self._rest = self._samples(first) if first else np.zeros((0, 1), np.float32)
        self._read, self.frames = 0, sys.maxsize if first else 0
        self.notes: tuple[str, ...] = ()

    def _decode(self, container: Any, stream: Any) -> Iterator[Any]:
        """Frames of float32 samples, up to the first that is broken."""
        import av

        converter, frame = av.AudioResampler(format="flt"), None
        try:
            for frame in container.decode(stream):
                yield from converter.resample(frame)
        except av.InvalidDataError:
            if frame is None:
                raise
            self._is_broken = True

    def _samples(self, frame: Any) -> np.ndarray:
        return frame.to_ndarray().reshape(-1, self.channels)

    def read(self, frames: int, dtype: str = "float32", always_2d: bool = True) -> np.ndarray:
        """The next samples, float32 `(frames, channels)`; fewer at the end."""
        parts, count = [self._rest], len(self._rest)
        while count < frames and (part := next(self._decoded, None)):
            parts.append(self._samples(part))
            count += len(parts[-1])
        block = np.concatenate(parts)
        block, self._rest = block[:frames], block[frames:]
        self._read += len(block)
        if count < frames:
            self.frames, seconds = self._read, self._read / self.samplerate
            if self._is_broken:
                self.notes = (f"broken at {seconds:.2f} s; what is before is read",)
            elif seconds < self._stated - SHORTER:
                self.notes = (f"cut short: it says {self._stated:.2f} s; the {seconds:.2f} s there are read",)
        return block


@contextmanager
def opened(path: Path) -> Iterator[Movie]:
    """Opens the sound of a file. Raises ValueError with the reason, also for errors in the block."""
    import av

    av.logging.set_level(av.logging.PANIC)
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = container.streams.best("audio")
            if stream is None:
                raise ValueError("it holds no sound")
            if stream.codec_context is None:
                raise ValueError("its sound is encrypted, or of an unknown kind")
            yield Movie(container, stream)
    except av.FFmpegError as error:
        raise ValueError(error.strerror) from error
