"""What all pages share: templates, frame, style and script, and the encoding of embedded sounds and pictures."""

import io
from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from rave_lite.data import audio
from rave_lite.evaluation import pictures
from rave_lite.files import replacing

MP3 = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz, the sample rates of MP3
FADE = 0.005  # s; fade-out of sounds that were cut
HEIGHT = 72  # pixels of a picture that plays

loader = PackageLoader("rave_lite", "pages")
templates = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                        finalize=lambda value: escape(value).replace("\r", Markup("&#13;")))  # else read as a line feed
templates.filters["base64"] = lambda data: b64encode(data).decode()
templates.globals["source"] = lambda name: Markup(loader.get_source(templates, name)[0])


def write(path: Path, title: str, body: Iterable[str], *parts: str) -> None:
    """Writes one file: `body`, HTML, in the frame, with the shared style and script and those of each of its `parts`."""
    with replacing(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(render("page.html", title=title, body=body, parts=("page", *parts)))


def render(template: str, /, **values: Any) -> Iterator[str]:
    """HTML of a `template` of this folder, piece by piece; values are escaped, generators read as they are needed."""
    return templates.get_template(template).generate(**values)


def playable(sound: np.ndarray, sample_rate: int, width: int, *, top: float | None = None,
             gain: float = 1.0) -> dict[str, Any]:
    """A sound `(T,)` or `(2, T)` for the macro `play`: its picture `width` pixels wide, and its MP3, played with `gain`.

    `top`: dB of the picture at full brightness; by default of the loudest bin.
    """
    picture = pictures.thumbnail(audio.mix(sound), sample_rate, width, height=HEIGHT, top=top)
    return {"picture": picture, "mp3": mp3(gain * sound, sample_rate), "width": width, "height": HEIGHT}


def mp3(sound: np.ndarray, sample_rate: int) -> bytes:
    """MP3 of `(T,)` or `(2, T)`, about 10 kB a second: divided by its peak if above 1, faded out; at 48 kHz if MP3 lacks the
    rate."""
    if sample_rate not in MP3:
        sound, sample_rate = soxr.resample(sound.T, sample_rate, MP3[-1]).T, MP3[-1]
    return _encoded(sound, sample_rate, format="MP3")


def flac(sound: np.ndarray, sample_rate: int) -> bytes:
    """FLAC of `(T,)` or `(2, T)`, 16 bits, about 50 kB a second and channel, which browsers decode sample by sample.

    Scaled and faded as `mp3`.
    """
    return _encoded(sound, sample_rate, format="FLAC", subtype="PCM_16")


def _encoded(sound: np.ndarray, sample_rate: int, **options: str) -> bytes:
    faded = sound / max(1.0, audio.peak(sound))
    count = min(sound.shape[-1], round(FADE * sample_rate))
    faded[..., sound.shape[-1] - count :] *= np.linspace(1, 0, count, dtype=np.float32)
    out = io.BytesIO()
    soundfile.write(out, faded.T, sample_rate, **options)
    return out.getvalue()
