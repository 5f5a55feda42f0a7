"""What all pages share: frame, style and script, and the encoding of embedded sounds."""

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

MP3 = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz, the sample rates of MP3
FADE = 0.005  # s; fade-out of sounds that were cut


def write(path: Path, title: str, body: Iterable[str], *parts: str) -> None:
    """Writes one file: `body` in the frame, with the shared style and script and those of each of its `parts`."""
    style, script = ("".join(text(f"{part}.{kind}") for part in ("page", *parts)) for kind in ("css", "js"))
    frame = Template(text("page.html")).substitute(title=escaped(title), style=style, body="\0",
                                                   script=f'"use strict";\n{script}')
    head, _, tail = frame.partition("\0")
    with replacing(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        file.write(head)
        file.writelines(body)
        file.write(tail)


def text(name: str) -> str:
    """The text of a file in rave_lite/pages."""
    return files("rave_lite.pages").joinpath(name).read_text(encoding="utf-8")


def escaped(value: str) -> str:
    """`value` escaped for HTML text and attributes, line ends included."""
    return html.escape(value).replace("\r", "&#13;").replace("\n", "&#10;")


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def mp3(sound: np.ndarray, sample_rate: int) -> bytes:
    """Mono MP3, about 10 kB a second: divided by its peak if above 1, faded out; at 48 kHz if MP3 lacks the rate."""
    if sample_rate not in MP3:
        sound, sample_rate = soxr.resample(sound, sample_rate, MP3[-1]), MP3[-1]
    return _encoded(sound, sample_rate, format="MP3")


def flac(sound: np.ndarray, sample_rate: int) -> bytes:
    """Mono FLAC, 16 bits, about 50 kB a second, which browsers decode sample by sample; scaled and faded as `mp3`."""
    return _encoded(sound, sample_rate, format="FLAC", subtype="PCM_16")


def _encoded(sound: np.ndarray, sample_rate: int, **options: str) -> bytes:
    faded = sound / max(1.0, float(np.abs(sound).max(initial=0)))
    count = min(len(sound), round(FADE * sample_rate))
    faded[len(sound) - count :] *= np.linspace(1, 0, count, dtype=np.float32)
    out = io.BytesIO()
    soundfile.write(out, faded, sample_rate, **options)
    return out.getvalue()
