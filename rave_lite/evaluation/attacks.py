"""Figures of attacks: how hard, how sudden and how dry a sound begins, and how it dies away. No model trains on them."""

from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rave_lite.data import audio
from rave_lite.data.audio import decibels
from rave_lite.evaluation.metrics import level_db, onsets, rise

FLOOR = -60.0  # dBFS
BEFORE, TRANSIENT, BODY, TAIL = 0.002, 0.01, 0.1, 0.5  # s: from so long before an attack on; ends of its parts
LEAST_RISE = 6.0  # dB from before to after: an onset of less is no attack
DEPTH = 40.0  # dB below the highest level: until then a sound's decay is measured
STEP = 0.005  # s: between the levels whose fall is the decay


def attack_figures(reference: np.ndarray, output: np.ndarray, sample_rate: int) -> dict[str, float]:
    """Mean absolute differences of `attack` at the reference's onsets, each named as there; 0 where there is none.

    The output's attack is looked for within 30 ms, so that a shift costs nothing here: `onset_f1` tells it.
    """
    begins = [round(onset * sample_rate) for onset in onsets(reference, sample_rate)]
    rows = []
    for begin, end in pairwise([*begins, len(reference)]):
        lead = round(BEFORE * sample_rate)
        strokes = [np.pad(s, (lead, 0))[rise(s, begin, sample_rate) : end + lead] for s in (reference, output)]
        if len(strokes[0]) > 2 * lead and rises(strokes[0], lead):
            first, second = (np.array(attack(stroke, lead, sample_rate)) for stroke in strokes)
            rows.append(np.abs(first - second))
    means = np.mean(rows or np.zeros((1, 4)), 0).tolist()
    return dict(zip(("attack_db", "slope_db", "body_db", "decay_db_s"), means, strict=True))


def sharpness(sound: np.ndarray, sample_rate: int) -> float:
    """Mean over the attacks of a sound: the steepest rise within 1 ms against the highest sample, dB; -60 without any.

    0 is a click. It does not depend on the level.
    """
    lead, begins = round(BEFORE * sample_rate), [round(onset * sample_rate) for onset in onsets(sound, sample_rate)]
    strokes = [np.pad(sound, (lead, 0))[rise(sound, begin, sample_rate) : end + lead]
               for begin, end in pairwise([*begins, len(sound)])]
    heads = [attack(stroke / max(audio.peak(stroke), 1e-9), lead, sample_rate) for stroke in strokes
             if len(stroke) > 2 * lead and rises(stroke, lead)]
    return float(np.mean([slope - peak for peak, slope, *_ in heads])) if heads else FLOOR


def attack(stroke: np.ndarray, lead: int, sample_rate: int) -> tuple[float, float, float, float]:
    """Of a stroke after `lead` samples: `attack_db`, `slope_db`, `body_db`, `decay_db_s`.

    The highest sample of the first 10 ms, dBFS; the steepest rise of the envelope there, full scales per ms, dB; the level
    of these 10 ms minus that of the next 90, dB; the slope of the level, dB per s, fitted until it has fallen by 40 dB or to
    -60 dBFS, over half a second at most.
    """
    frame, sound = sample_rate // 1000, stroke[lead:]
    split = round(TRANSIENT * sample_rate)
    head = np.pad(np.abs(stroke[: lead + split]), (0, max(0, 2 * frame - len(stroke))))
    envelope = sliding_window_view(head, frame).max(1)
    curve = levels(sound[: round(TAIL * sample_rate)], sample_rate)
    steps = max(4, 1 + int(np.flatnonzero(curve > max(FLOOR, curve.max() - DEPTH)).max(initial=0)))
    curve = np.append(curve, [FLOOR] * 4)[:steps]
    return (db(head[lead:].max(initial=0)), db((envelope[frame:] - envelope[:-frame]).max(initial=0)),
            level(sound[:split]) - level(sound[split : round(BODY * sample_rate)]),
            float(np.polyfit(np.arange(steps) * STEP, curve, 1)[0]))


def rises(stroke: np.ndarray, lead: int) -> bool:
    """Whether a stroke is louder after its first `lead` samples than in them."""
    before, after = (np.abs(part).max() for part in (stroke[:lead], stroke[lead:]))
    return db(after) - db(before) >= LEAST_RISE


def levels(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """RMS level of each 5 ms, dBFS, at least -60."""
    frame = round(STEP * sample_rate)
    return np.array([level(row) for row in np.pad(sound, (0, -len(sound) % frame)).reshape(-1, frame)])


def level(sound: np.ndarray) -> float:
    return max(FLOOR, level_db(sound)) if len(sound) else FLOOR


def db(amplitude: float) -> float:
    return decibels(amplitude, FLOOR)
