"""How do bells among the drums change what a model makes of birds? Trains on the mix, and on its curated part.

    python tests/bench/bells.py DRUMS BELLS BIRDS OUT [jobs=2] [seeds=0,1,2] [steps=2000]

DRUMS: tabla strokes; BELLS: to be mixed with them and curated away again, by unticking the groups that hold no drum, as a
listener would; BIRDS: sounds to feed both models, beside the built-in kingfishers. OUT keeps finished work, which is not
repeated. Prints, mean and in brackets standard deviation over seeds: the share of the output's energy above 4 kHz, the
kernel distance of the output to the bells and to the drums, and the held-out spectral figure.
"""

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from rave_lite.data import manifest
from rave_lite.data.scan import find
from tests.bench.recipes import rave_lite, spread
from tests.bench.tabla import HELD_OUT


def prepare(drums: Path, bells: Path, birds: Path, out: Path) -> None:
    """The mix, its manifest without the groups that hold no drum, and the birds."""
    mix, log = out / "mix", out / "prepare.log"
    if (out / "manifest.csv").exists():
        return
    for folder in (drums, bells):
        shutil.copytree(folder, mix, dirs_exist_ok=True)
    rave_lite("drums", f"out={out / 'built_in'}", log=log)
    shutil.copytree(birds, out / "birds", dirs_exist_ok=True)
    shutil.copytree(out / "built_in/birds", out / "birds", dirs_exist_ok=True)
    rave_lite("curate", f"data.root={mix}", f"out={out / 'curation'}", "overwrite=true", log=log)
    hits = manifest.read(out / "curation/manifest.csv")
    odd = {path.name for path in find(bells)[0]}
    shared = {hit.group for hit in hits if hit.file not in odd}
    manifest.write(out / "manifest.csv", [replace(hit, keep=hit.group in shared) for hit in hits])


def run(training_set: str, seed: int, steps: int, out: Path, others: dict[str, Path]) -> dict:
    """Trains on the mix or the curated set, evaluates with the birds, and compares with each of `others`."""
    folder, log = out / f"{training_set}-{seed}", out / f"{training_set}-{seed}.log"
    result, data = folder / "result.json", [f"data.manifest={out / 'manifest.csv'}"] if training_set == "curated" else []
    if result.exists():
        return json.loads(result.read_text())
    rave_lite("train", "recipe=minute_cpu", "transfer.from=null", f"data.root={out / 'mix'}",
              f"data.held_out=[{','.join(HELD_OUT)}]", f"seed={seed}", f"out={folder}", "threads=1",
              "resume=auto", f"phase1.steps={steps * 3 // 4}", f"phase2.steps={steps // 4}", *data, log=log)
    figures = {}
    for name, place in others.items():
        evaluation = folder / name
        rave_lite("evaluate", f"ckpt={folder}/checkpoints/last.ckpt", f"inputs={out / 'birds'}", f"reference_set={place}",
                  f"out={evaluation}", "max_train_clips=0", log=log)
        report = json.loads((evaluation / "figures.json").read_text())
        mean, distances = report["transfer"]["mean"], report["transfer"]["together"]["others"]
        figures |= {"above 4 kHz": mean["high_out"], "of the birds": mean["high_in"], f"to {name}": distances["outputs"],
                    f"birds to {name}": distances["inputs"], "held-out spectral": report["mean"]["spectral"]}
    result.write_text(json.dumps(figures))
    return figures


def main() -> None:
    drums, bells, birds, out = map(Path, sys.argv[1:5])
    options = {"jobs": "2", "seeds": "0,1,2", "steps": "2000"} | dict(a.split("=") for a in sys.argv[5:])
    seeds, steps = list(map(int, options["seeds"].split(","))), int(options["steps"])
    out.mkdir(parents=True, exist_ok=True)
    prepare(drums, bells, birds, out)
    others = {"bells": bells, "drums": drums}
    with ThreadPoolExecutor(int(options["jobs"])) as pool:
        runs = {(kept, seed): pool.submit(run, kept, seed, steps, out, others)
                for seed in seeds for kept in ("mix", "curated")}
        results = {kept: [runs[kept, seed].result() for seed in seeds] for kept in ("mix", "curated")}
    names = list(results["mix"][0])
    print("\n".join(["| trained on | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"] +
                    [f"| {kept} | " + " | ".join(spread([r[name] for r in each]) for name in names) + " |"
                     for kept, each in results.items()]))


if __name__ == "__main__":
    main()
