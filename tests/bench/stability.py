"""Does a model begin to learn, whatever its width, latent, seed and learning rate? Its first steps on real strokes.

    python -m tests.bench.stability DATA [setting=value ...]
    python -m tests.bench.stability DATA models=v2 latents=wasserstein capacities=8,16,32,64,96 rates=0.5,1,2 steps=200

Settings, with their defaults: models=v2,v2_small,low_latency latents=wasserstein,variational seeds=0,1,2,3,4,5,6,7 rates=1,2
(times the default learning rate) capacities=own steps=60 batch=2 window=65536 precision=32-true device=cpu jobs=2
(processes, of one thread each) out=stability.jsonl (what it holds already is not run again).

Prints a table, a row per setting, over its seeds: `linear` (floor 1e-7), mean of the last ten steps, and in brackets the
worst seed; the latents' standard deviation at the end; and the output's level beside the input's, the least of every fifth
step from two thirds on, mean and worst. The last two are of four fixed windows that are not trained on.
"""

import json
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rave_lite.cli.build import build
from rave_lite.data import catalogue
from rave_lite.data.windows import Windows
from rave_lite.model import RAVE
from rave_lite.training.module import CALIBRATION_WINDOWS
from tests.conftest import configured

SETTINGS = {"models": "v2,v2_small,low_latency", "latents": "wasserstein,variational", "capacities": "own",
            "seeds": "0,1,2,3,4,5,6,7", "rates": "1,2", "steps": "60", "batch": "2", "window": "65536",
            "precision": "32-true", "device": "cpu", "jobs": "2", "out": "stability.jsonl"}
KEYS = ("model", "latent", "capacity", "rate")
FLOOR = 1e-7  # of the logarithm in `linear`
JUDGED, FIRST_JUDGED = 4, 10**6  # windows


def course(data: str, case: dict[str, Any]) -> dict[str, Any]:
    """The first steps of one model: `linear` of each, levels `{step: output / input}` and the latents' final deviation."""
    torch.manual_seed(case["seed"])
    capacity = [] if case["capacity"] == "own" else [f"model.capacity={case['capacity']}"]
    config = configured("train", f"data.root={data}", f"model={case['model']}", f"latent={case['latent']}",
                        f"seed={case['seed']}", f"runner.precision={case['precision']}", *capacity,
                        *case.get("overrides", []))
    config.training.lr = [case["rate"] * lr for lr in config.training.lr]
    module = build(config).to(case["device"]).train()
    module.distance.floor = FLOOR
    recordings = catalogue(data, module.model.sample_rate, held_out=0.1, seed=0)
    windows = Windows(recordings.train, length=case["window"], sample_rate=module.model.sample_rate, gap=config.data.gap,
                      seed=case["seed"])
    module.calibrate(torch.stack([windows[i] for i in range(CALIBRATION_WINDOWS)]).to(case["device"]))
    judged = torch.stack([windows[FIRST_JUDGED + i] for i in range(JUDGED)]).to(case["device"])
    optimizers, start = module.configure_optimizers(), time.monotonic()
    linear, levels, deviation = [], {}, 0.0
    for step in range(1, case["steps"] + 1):
        batch = [windows[(step - 1) * case["batch"] + i] for i in range(case["batch"])]
        linear.append(module.update_step(torch.stack(batch).to(case["device"]), *optimizers)["linear"])
        if step % 5 == 0 and step >= 2 * case["steps"] // 3:
            levels[step], deviation = state(module.model, judged)
    return case | {"linear": [round(float(v), 3) for v in linear], "levels": levels, "deviation": deviation,
                   "seconds": round(time.monotonic() - start, 1)}


@torch.no_grad()
def state(model: RAVE, x: Tensor) -> tuple[float, float]:
    """Level of the output's bands relative to the input's, and standard deviation of the latents."""
    bands = model.pqmf(x)
    z, _ = model.latent.sample(model.encoder(bands))
    output = model.decoder(model.latent.widen(z))
    return round(float((output.square().mean() / bands.square().mean()).sqrt()), 4), round(float(z.std()), 4)


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: a row per model, latent, capacity and rate."""
    lines = ["| model | latent | capacity | learning rate | seeds | linear | latent deviation | output / input |",
             "|---|---|---|---|---|---|---|---|"]
    cases = sorted({tuple(str(r[k]) for k in KEYS) for r in results})
    for case in cases:
        rows = [r for r in results if tuple(str(r[k]) for k in KEYS) == case]
        linear = [statistics.mean(r["linear"][-10:]) for r in rows]
        deviations, levels = [r["deviation"] for r in rows], [min(r["levels"].values()) for r in rows]
        model, latent, capacity, rate = case
        lines.append(f"| {model} | {latent} | {capacity} | {rate} of the default | {len(rows)} | "
                     f"{statistics.mean(linear):.1f} ({max(linear):.1f}) | {min(deviations):.2f} to {max(deviations):.2f} | "
                     f"{statistics.mean(levels):.2f} ({min(levels):.2f}) |")
    return "\n".join(lines)


def main() -> None:
    data, settings = sys.argv[1], SETTINGS | dict(a.split("=", 1) for a in sys.argv[2:])
    shared: dict[str, Any] = {k: int(settings[k]) for k in ("steps", "batch", "window")}
    shared |= {k: settings[k] for k in ("precision", "device")}
    cases = [{"model": m, "latent": n, "capacity": c, "rate": float(r), "seed": int(s), **shared}
             for s, m, n, c, r in product(*(settings[k].split(",") for k in
                                            ("seeds", "models", "latents", "capacities", "rates")))]
    out = Path(settings["out"])
    results = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    done = [{k: r[k] for k in cases[0]} for r in results]
    with ProcessPoolExecutor(int(settings["jobs"]), get_context("spawn")) as pool:
        for future in as_completed([pool.submit(course, data, case) for case in cases if case not in done]):
            results.append(future.result())
            with out.open("a") as file:
                file.write(json.dumps(results[-1]) + "\n")
            print({k: results[-1][k] for k in (*KEYS, "seed", "deviation", "seconds")},
                  f"linear {statistics.mean(results[-1]['linear'][-10:]):.2f}, levels {results[-1]['levels']}", flush=True)
    print(table([r for r in results if {k: r[k] for k in cases[0]} in cases]))


if __name__ == "__main__":
    main()
