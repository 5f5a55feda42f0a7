"""Does a session with long silences train the same model as its strokes in single files?

    python tests/bench/session.py STROKES SCORER OUT [steps=600] [training overrides ...]

STROKES: a folder of recordings, of which 20 shorter than 2 s are taken; SCORER: a program called with reference and
reconstruction folders, whose last line begins with "mean". In OUT: `strokes`, one file a stroke; `gate`, the same as one
recording, a stroke every 12 s and digital silence between; `noisy` and `room`, the same over noise at -70 dBFS; a run of
each, with the same last strokes held out. Each run reconstructs the strokes without noise: compare `gate` with `strokes` and
`room` with `noisy`, which learn the noise. Prints the scores, and the first and the largest loss `linear` of each run.
"""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr

RATE, EVERY, FIRST, LEVEL = 44100, 12.0, 0.1, 0.8  # Hz; s; s before the first stroke; of the strokes
NAMES = ("strokes", "gate", "noisy", "room")
ROOM = 10 ** (-70 / 20)
HELD_OUT = 5  # strokes


def rave_lite(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "rave_lite", *arguments], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def strokes_of(folder: Path) -> dict[str, np.ndarray]:
    strokes = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".flac", ".wav")):
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        if len(samples) < 2 * rate and len(strokes) < 20:
            strokes[path.stem] = LEVEL * soxr.resample(samples.mean(1), rate, RATE)
    return strokes


def write(strokes: dict[str, np.ndarray], out: Path) -> None:
    rng = np.random.default_rng(1)
    for folder, level in (("gate", 0.0), ("room", ROOM)):
        session = level * rng.standard_normal(round(len(strokes) * EVERY * RATE))
        for number, stroke in enumerate(strokes.values()):
            session[round((number * EVERY + FIRST) * RATE) :][: len(stroke)] += stroke
        (out / folder).mkdir(parents=True, exist_ok=True)
        soundfile.write(out / folder / "session.wav", session, RATE, subtype="PCM_24")
    for folder, level in (("strokes", 0.0), ("noisy", ROOM)):
        (out / folder).mkdir(exist_ok=True)
        for name, stroke in strokes.items():
            noise = level * rng.standard_normal(len(stroke))
            soundfile.write(out / folder / f"{name}.wav", stroke + noise, RATE, subtype="PCM_24")


def losses(run: Path) -> list[float]:
    """`linear` of each entry in the run's tables."""
    rows = [row for path in sorted(run.glob("logs/**/*.csv")) for row in csv.DictReader(path.open())]
    return [float(row["loss/linear"]) for row in rows if row.get("loss/linear")]


def main() -> None:
    source, scorer, out = map(Path, sys.argv[1:4])
    steps = next((a.split("=")[1] for a in sys.argv[4:] if a.startswith("steps=")), "600")
    overrides = [a for a in sys.argv[4:] if not a.startswith("steps=")]
    strokes = strokes_of(source)
    write(strokes, out)
    lengths = [len(stroke) for stroke in strokes.values()]
    share = (sum(lengths[-HELD_OUT:]) - lengths[-HELD_OUT] / 2) / sum(lengths)  # of a session: ends within the first of them
    held_out = ",".join(list(strokes)[-HELD_OUT:])
    for name in NAMES:
        run = out / "runs" / name
        rave_lite("train", "recipe=minute_cpu", "transfer.from=null", "threads=1", f"data.root={out / name}",
                  f"out={run}", "data.workers=0", f"data.held_out={share if name in ('gate', 'room') else f'[{held_out}]'}",
                  f"phase1.steps={steps}", "phase2.steps=0", "trainer.log_every_n_steps=1", *overrides)
        rave_lite("reconstruct", f"ckpt={run}/checkpoints/last.ckpt", f"input={out / 'strokes'}", f"out={run / 'wav'}")
    for name in NAMES:
        scores = subprocess.run([sys.executable, scorer, out / "strokes", out / "runs" / name / "wav"], check=True,
                                capture_output=True, text=True).stdout
        linear = losses(out / "runs" / name)
        print(f"{name:8s}{scores.strip().splitlines()[-1]}   linear: first {linear[0]:.1f}, largest {max(linear):.1f}")


if __name__ == "__main__":
    main()
