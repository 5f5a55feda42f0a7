"""What all pages share: the frame, the look, the players, and how sounds and pictures come to be inside."""

import html
import io
from base64 import b64encode
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
import soundfile
import soxr

from rave_lite.files import replacing

MP3 = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz, the rates it has
FADE = 0.005  # s at the end of what was cut for a page


def write(path: Path, title: str, body: Iterable[str], *parts: str) -> None:
    """One file: `body`, piece by piece, in the frame with the shared style and script and those of each of its `parts`."""
    style, script = ("".join(text(f"{part}.{kind}") for part in ("page", *parts)) for kind in ("css", "js"))
    frame = Template(text("page.html")).substitute(title=escaped(title), style=style, body="\0",
                                                   script=f'"use strict";\n{script}')
    head, _, tail = frame.partition("\0")
    with replacing(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        file.write(head)
        file.writelines(body)
        file.write(tail)


def text(name: str) -> str:
    """A file beside this one."""
    return files("rave_lite.pages").joinpath(name).read_text(encoding="utf-8")


def escaped(value: str) -> str:
    """For HTML text and attributes, line ends included."""
    return html.escape(value).replace("\r", "&#13;").replace("\n", "&#10;")


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def mp3(sound: np.ndarray, sample_rate: int) -> bytes:
    """Mono, about 10 kB a second, its end faded, divided by a peak above 1; at 48 kHz where MP3 lacks the rate."""
    if sample_rate not in MP3:
        sound, sample_rate = soxr.resample(sound, sample_rate, MP3[-1]), MP3[-1]
    return _encoded(sound, sample_rate, format="MP3")


def flac(sound: np.ndarray, sample_rate: int) -> bytes:
    """Mono, 16 bits, about 50 kB a second, decoded by browsers to the very sample; otherwise as `mp3`."""
    return _encoded(sound, sample_rate, format="FLAC", subtype="PCM_16")


def _encoded(sound: np.ndarray, sample_rate: int, **options: str) -> bytes:
    faded = sound / max(1.0, float(np.abs(sound).max(initial=0)))
    count = min(len(sound), round(FADE * sample_rate))
    faded[len(sound) - count :] *= np.linspace(1, 0, count, dtype=np.float32)
    out = io.BytesIO()
    soundfile.write(out, faded, sample_rate, **options)
    return out.getvalue()
