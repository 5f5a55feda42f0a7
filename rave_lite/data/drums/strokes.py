"""Synthesis of drum strokes (modes of an ideal membrane), jingles and a bird's call. All mono, float64.

Sources. Modes of a circular membrane: f(m, n) / f(0, 1) = j(m, n) / j(0, 1), zeros of the Bessel functions J_m, excited by
a stroke at radius r in proportion to J_m(j(m, n) r) (Fletcher and Rossing, The Physics of Musical Instruments, 2nd ed.,
sections 3.4 and 18.1). Losses that grow with frequency, and pitch that falls as a hard stroke's tension relaxes: same
book, sections 18.2 to 18.4. A hand or stick in contact for a time t excites little above 1 / t: section 2.9. Jingles as
random collisions with a resonator bank: Cook, Physically Informed Sonic Modeling (PhISM), Computer Music Journal 21(3),
1997. Pitches, decays and the calls' contours are plausible values chosen by the authors, not measurements.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfilt
from scipy.special import jn_zeros, jv

ORDERS, RADIALS = 8, 5  # modes m < 8, n <= 5: up to 9 times the fundamental


@dataclass(frozen=True)
class Drum:
    """`fundamental`: Hz; `decay`: s to fall by 60 dB at the fundamental; `heads`: pitch ratios of the coupled heads;
    `jingles`: pairs of brass plates in the frame."""

    fundamental: float
    decay: float
    heads: tuple[float, ...] = (1.0,)
    jingles: int = 0


@dataclass(frozen=True)
class Stroke:
    """`position`: 0 centre to 1 rim; `contact`: ms; `damping`: factor on the drum's; `noise`: skin noise level."""

    position: float
    contact: float
    damping: float
    noise: float


DRUMS = {
    "rebana": Drum(fundamental=95, decay=0.9),
    "kompang": Drum(fundamental=230, decay=0.35),
    "gendang": Drum(fundamental=150, decay=0.5, heads=(1.0, 1.48)),
    "hadrah": Drum(fundamental=260, decay=0.3, jingles=3),
}
STROKES = {
    "open": Stroke(position=0.65, contact=2.5, damping=1.0, noise=0.05),
    "slap": Stroke(position=0.9, contact=0.5, damping=2.5, noise=0.5),
    "muted": Stroke(position=0.25, contact=3.5, damping=6.0, noise=0.15),
}


def hit(drum: Drum, stroke: Stroke, rng: np.random.Generator, sample_rate: int, level: float = 1.0) -> np.ndarray:
    """One hit, peak `level`; strike position, hardness, damping and tuning vary with `rng`."""
    position = np.clip(stroke.position + 0.06 * rng.standard_normal(), 0.02, 0.97)
    contact = stroke.contact / 1000 * np.exp(0.2 * rng.standard_normal())
    decay = drum.decay / stroke.damping * np.exp(0.15 * rng.standard_normal())
    t = np.arange(round(sample_rate * min(2.0, max(0.7 * (drum.jingles > 0), 0.08 + 1.3 * decay)))) / sample_rate
    tuning = np.exp(0.012 * rng.standard_normal())
    body = sum(_membrane(t, drum.fundamental * head * tuning, decay, position, contact, level, rng) / (1 + i)
               for i, head in enumerate(drum.heads))
    skin = _noise_burst(t, rng, sample_rate, 1 / contact)
    sound = body / np.abs(body).max() + stroke.noise * skin
    if drum.jingles:
        ringing = _jingles(t, drum.jingles, 0.6 if stroke.damping < 5 else 0.25, rng, sample_rate)
        sound = sound + 0.5 * ringing
    sound *= np.minimum(1, (len(t) - np.arange(len(t))) / (0.01 * sample_rate))  # a recording faded at its end
    return level * sound / np.abs(sound).max()


def _membrane(t, fundamental, decay, position, contact, level, rng) -> np.ndarray:
    """Sum of decaying modes; the pitch starts up to 4 % high on a loud stroke and settles within about 40 ms."""
    angle = rng.uniform(0, 2 * np.pi)
    glide = t + 0.04 * level * 0.04 * (1 - np.exp(-t / 0.04))
    sound = np.zeros_like(t)
    for m in range(ORDERS):
        for zero in jn_zeros(m, RADIALS):
            ratio = zero / jn_zeros(0, 1)[0]
            frequency = fundamental * ratio * (1 + 0.003 * rng.standard_normal())
            push = np.exp(-((np.pi * frequency * contact / 2) ** 2) / 4)  # spectrum of a smooth contact force
            strength = jv(m, zero * position) * np.cos(m * angle) ** (m > 0) * push / ratio**0.5
            rate = 6.9 / decay * (0.5 + 0.5 * ratio**1.2)
            sound += strength * np.exp(-rate * t) * np.sin(2 * np.pi * frequency * glide)
    return sound


def _noise_burst(t, rng, sample_rate, corner) -> np.ndarray:
    """The hand on the skin: noise in a band around the contact's corner frequency, gone in about 15 ms; peak 1."""
    band = np.clip([0.3 * corner, 3 * corner], 80, 0.45 * sample_rate)
    noise = sosfilt(butter(2, band, "bandpass", fs=sample_rate, output="sos"), rng.standard_normal(len(t)))
    burst = noise * np.exp(-t / 0.006) * np.minimum(1, t / 0.0005)
    return burst / np.abs(burst).max()


def _jingles(t, count, decay, rng, sample_rate) -> np.ndarray:
    """Brass plates that rattle: random collisions, dying out, each exciting inharmonic partials at 2.5 to 14 kHz; peak 1.

    The plates are the same at every hit; when they touch is not.
    """
    brass = np.random.default_rng(count)
    rate = 400 * count * np.exp(-t / (0.35 * decay))
    force = (rng.random(len(t)) < rate / sample_rate) * rng.exponential(1.0, len(t)) * np.exp(-t / (0.4 * decay))
    ring = np.arange(round(0.15 * sample_rate)) / sample_rate
    sound = np.zeros_like(t)
    for _ in range(count):
        partials, lengths = brass.uniform(2500, 14000, 9), brass.uniform(0.01, 0.04, 9)
        phases = brass.uniform(0, 2 * np.pi, 9)
        plate = (np.exp(-ring / lengths[:, None]) * np.sin(2 * np.pi * partials[:, None] * ring + phases[:, None])).sum(0)
        size = len(t) + len(ring)
        sound += np.fft.irfft(np.fft.rfft(force, size) * np.fft.rfft(plate, size), size)[: len(t)]
    return sound / max(1e-9, np.abs(sound).max())


def kingfisher(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """A call of 3 to 7 short falling whistles with a second harmonic and a little breath, peak 0.7."""
    notes = []
    top = rng.uniform(3500, 6000)
    for _ in range(rng.integers(3, 8)):
        t = np.arange(round(sample_rate * rng.uniform(0.06, 0.14))) / sample_rate
        frequency = top * (1 - 0.35 * (t / t[-1]) ** 1.5) * (1 + 0.01 * np.sin(2 * np.pi * 60 * t))
        phase = 2 * np.pi * np.cumsum(frequency) / sample_rate
        envelope = np.sin(np.pi * np.minimum(1, t / t[-1])) ** 0.6
        breath = 0.01 * rng.standard_normal(len(t))
        pause = np.zeros(round(sample_rate * rng.uniform(0.05, 0.12)))
        notes += [envelope * (np.sin(phase) + 0.15 * np.sin(2 * phase) + breath), pause]
        top *= rng.uniform(0.94, 1.0)
    call = np.concatenate(notes)
    return 0.7 * call / np.abs(call).max()
