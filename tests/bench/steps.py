"""Seconds a training step takes, ours and the public release's: v2, Wasserstein, causal, the same batch and threads.

    python tests/bench/steps.py ours [steps=24 capacity=16 batch=4 window=32768 threads=1 device=cpu precision=32-true]
    release/bin/python tests/bench/steps.py release [the same]

On a GPU: device=cuda, capacity=96 batch=8 window=131072, ours with precision=bf16-mixed; memory_limit=8 for a card of 8 GB.

The release is a black box in a venv of its own: python3 -m venv release
release/bin/pip install acids-rave==2.3.1 torch==2.11.0 torchaudio==2.11.0. Run them in turn; each prints, per phase, the
mean (its discriminator takes every fourth step) and median seconds a step, by the clock and of CPU, the first four (on a
GPU 16) left out. record=false: without CUDA graphs.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

OPTIONS = {"steps": 24, "capacity": 16, "batch": 4, "window": 32768, "threads": 1, "device": "cpu", "precision": "32-true",
           "memory_limit": 0, "record": "true"}
OPTIONS |= {name: int(value) if value.isdigit() else value for name, value in (a.split("=") for a in sys.argv[2:])}
os.environ["OMP_NUM_THREADS"] = str(OPTIONS["threads"])
import torch  # noqa: E402

SKIPPED = 4 if OPTIONS["device"] == "cpu" else 16  # on a GPU the first are recorded


def report(phase: int, step_times: list[tuple[float, float]]) -> None:
    if OPTIONS["device"] == "cuda":
        print(f"phase {phase}: {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB allocated at most so far")
    for name, times in zip(("clock", "CPU"), zip(*step_times[SKIPPED:], strict=True), strict=True):
        print(f"phase {phase}, {name}: mean {statistics.mean(times):.3f} s, median {statistics.median(times):.3f} s "
              f"of {len(times)} steps")


def now() -> tuple[float, float]:
    if OPTIONS["device"] == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    wall, cpu = now()
    return wall - start[0], cpu - start[1]


def timed(step: Callable[[], None], steps: int) -> list[tuple[float, float]]:
    step_times = []
    for _ in range(steps):
        start = now()
        step()
        step_times.append(since(start))
    return step_times


def ours() -> None:
    from hydra import compose, initialize_config_dir

    from rave_lite.cli.build import build
    from rave_lite.cli.job import CONF

    with initialize_config_dir(str(CONF), version_base="1.3"):
        module = build(compose("train", ["recipe=minute_cpu", f"model.capacity={OPTIONS['capacity']}",
                                          f"runner.precision={OPTIONS['precision']}",
                                          f"runner.record={OPTIONS['record']}"])).to(OPTIONS["device"])
    generator, discriminator = module.configure_optimizers()

    def step() -> None:
        x = 0.1 * torch.randn(OPTIONS["batch"], 1, OPTIONS["window"], device=OPTIONS["device"])
        module.update_step(x, generator, discriminator)

    for phase in (1, 2):
        module.step = 0 if phase == 1 else module.phase1_steps
        report(phase, timed(step, OPTIONS["steps"]))


def release() -> None:
    import gin
    import pytorch_lightning as pl
    import rave

    class Clock(pl.Callback):
        def __init__(self):
            self.step_times: list[tuple[float, float]] = []

        def on_train_batch_start(self, *_):
            self.start = now()

        def on_train_batch_end(self, *_):
            self.step_times.append(since(self.start))

    configs = Path(rave.__file__).parent / "configs"
    files = [str(configs / f"{name}.gin") for name in ("v2", "wasserstein", "causal")]
    gin.parse_config_files_and_bindings(files, [f"CAPACITY = {OPTIONS['capacity']}"])
    model = rave.RAVE(n_channels=1)
    windows = 0.1 * torch.randn(OPTIONS["batch"] * OPTIONS["steps"], 1, OPTIONS["window"])
    for phase in (1, 2):
        model.warmed_up = phase == 2
        clock = Clock()
        trainer = pl.Trainer(accelerator="gpu" if OPTIONS["device"] == "cuda" else "cpu", devices=1, max_epochs=1,
                             precision="bf16" if "bf16" in OPTIONS["precision"] else 32,
                             logger=pl.loggers.TensorBoardLogger(tempfile.mkdtemp()), callbacks=[clock],
                             enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
        trainer.fit(model, torch.utils.data.DataLoader(windows, OPTIONS["batch"]))
        report(phase, clock.step_times)


if __name__ == "__main__":
    torch.set_num_threads(OPTIONS["threads"])
    if OPTIONS["memory_limit"]:
        torch.cuda.set_per_process_memory_fraction(OPTIONS["memory_limit"] * 2**30 / torch.cuda.mem_get_info()[1])
    {"ours": ours, "release": release}[sys.argv[1]]()
