"""The recipes side by side on tabla strokes: each with several seeds, the same steps, scored on held-out files.

    python tests/bench/recipes.py TABLA PERCUSSION SCORER OUT [jobs=2] [seeds=0,1,2] [steps=2000] [recipes=NAMES] [try=...]

TABLA, PERCUSSION: folders of recordings, to learn and to start from; SCORER: a program called with reference and
reconstruction folders, whose last line begins with "mean". OUT keeps finished runs for the next call. Prints the table of
recipes/README.md: mean and, in brackets, standard deviation over seeds; `25 %`: after a quarter of the steps. `try`,
NAME:SETTING: the same with one more, as in recipes=transfer seeds=0 try=slow:training.lr=[3e-4,1e-4], kept under that name.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from rave_lite.data import manifest
from tests.bench.tabla import HELD_OUT

STARTED = ["transfer", "malay_drums"]  # from the model that was trained on PERCUSSION
SCRATCH = "scratch"  # no recipe: what the others are compared with
RECIPES = [SCRATCH, "augmented", "curated", *STARTED]
STEPS = 2000
SOURCE_STEPS = ["phase1.steps=6000", "phase2.steps=1000"]
FIGURES = ["spectral", "mel_db", "loud_db", "onset_f1"]


def rave_lite(*arguments: str, log: Path) -> None:
    with log.open("a") as file:
        subprocess.run([sys.executable, "-m", "rave_lite", *arguments], stdout=file, stderr=file, check=True,
                       env={**os.environ, "OMP_NUM_THREADS": "1"})


def prepare(tabla: Path, percussion: Path, out: Path) -> None:
    """Prepares the pretrained model, the manifest of usual hits, and the references."""
    out.mkdir(parents=True, exist_ok=True)
    log, source = out / "prepare.log", out / "source"
    if not source.is_dir():
        rave_lite("drums", f"out={out / 'drums'}", log=log)
        shutil.copytree(percussion, out / "source.part/percussion", dirs_exist_ok=True)
        shutil.copytree(out / "drums/drums", out / "source.part/drums", dirs_exist_ok=True)
        (out / "source.part").rename(source)
    if not (out / "pretrained.ckpt").exists():
        rave_lite("train", "recipe=minute_cpu", "transfer.from=null", f"data.root={source}",
                  f"out={out / 'pretraining'}", "threads=1", "resume=auto", *SOURCE_STEPS, log=log)
        shutil.copy(out / "pretraining/checkpoints/last.ckpt", out / "pretrained.ckpt")
    if not (out / "curated.csv").exists():
        rave_lite("curate", f"data.root={tabla}", f"out={out / 'curated'}", "keep_below=2.0", "overwrite=true", log=log)
        hits = manifest.read(out / "curated/manifest.csv")  # held-out hits stay, even unusual ones
        manifest.write(out / "curated.csv", [replace(h, keep=h.keep or Path(h.file).stem in HELD_OUT) for h in hits])
    (out / "references").mkdir(exist_ok=True)
    for stem in HELD_OUT:
        shutil.copy(next(tabla.glob(f"{stem}.*")), out / "references")


def run(recipe: str, seed: int, steps: int, tabla: Path, scorer: Path, out: Path, trial: str = "") -> dict:
    """Trains, evaluates after a quarter and at the end; returns the scorer's means and the gap."""
    label, _, override = trial.partition(":")
    name = "-".join(filter(None, (recipe, label, str(seed), "" if steps == STEPS else f"{steps}-steps")))
    folder, log = out / name, out / f"{name}.log"
    result = folder / "result.json"
    if result.exists():
        return json.loads(result.read_text())
    overrides = [f"transfer.from={out / 'pretrained.ckpt' if recipe in STARTED else 'null'}"]
    overrides += [f"data.manifest={out / 'curated.csv'}"] if recipe == "curated" else []
    overrides += [override] if override else []
    chosen = "recipe=minute_cpu" if recipe == SCRATCH else f"recipe=[minute_cpu,{recipe}]"
    rave_lite("train", chosen, f"data.root={tabla}", f"data.held_out=[{','.join(HELD_OUT)}]", f"seed={seed}",
              f"out={folder}", "threads=1", "resume=auto", f"phase1.steps={steps * 3 // 4}",
              f"phase2.steps={steps // 4}", f"callbacks.checkpoints.keep={steps // 4}", *overrides, log=log)
    figures = {}
    for name, step in (("quarter", steps // 4), ("end", steps)):
        evaluation = folder / name
        rave_lite("evaluate", f"ckpt={folder}/checkpoints/step-{step:07d}.ckpt", f"out={evaluation}", log=log)
        scores = subprocess.run([sys.executable, str(scorer), str(out / "references"), str(evaluation / "wav")],
                                capture_output=True, text=True, check=True).stdout
        mean = scores.strip().splitlines()[-1].split()
        report = json.loads((evaluation / "figures.json").read_text())
        figures[name] = dict(zip(FIGURES, map(float, mean[1:5]), strict=True)) | {"gap": report["gap"]["spectral"]}
    result.write_text(json.dumps(figures))
    return figures


def table(results: dict[str, list[dict]]) -> str:
    """Markdown: a row per recipe."""
    lines = ["| recipe | spectral, 25 % | spectral | mel_db | loud_db | onset_f1 | gap |", "|---|---|---|---|---|---|---|"]
    for recipe, runs in results.items():
        cells = [spread([r["quarter"]["spectral"] for r in runs])]
        cells += [spread([r["end"][name] for r in runs]) for name in (*FIGURES, "gap")]
        lines.append(f"| `{recipe}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f} ({statistics.stdev(values) if len(values) > 1 else 0:.2f})"


def main() -> None:
    tabla, percussion, scorer, out = map(Path, sys.argv[1:5])
    options = {"jobs": "2", "seeds": "0,1,2", "steps": str(STEPS), "recipes": ",".join(RECIPES), "try": ""}
    options |= dict(a.split("=", 1) for a in sys.argv[5:])
    recipes, seeds, steps = options["recipes"].split(","), list(map(int, options["seeds"].split(","))), int(options["steps"])
    prepare(tabla, percussion, out)
    with ThreadPoolExecutor(int(options["jobs"])) as pool:
        runs = {(r, s): pool.submit(run, r, s, steps, tabla, scorer, out, options["try"])
                for s in seeds for r in recipes}
        print(table({r: [runs[r, s].result() for s in seeds] for r in recipes}))


if __name__ == "__main__":
    main()
