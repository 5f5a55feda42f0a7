"""Seconds a training step takes, ours and the public release's: v2, Wasserstein, causal, capacity 16, 4 x 32768, one thread.

    python tests/bench/steps.py ours [steps]
    release/bin/python tests/bench/steps.py release [steps]

The release is a black box in a venv of its own: python3 -m venv release
release/bin/pip install acids-rave==2.3.1 torch==2.11.0 torchaudio==2.11.0. Run them in turn; each prints, per phase, the
mean (its discriminator takes every fourth step) and median CPU seconds a step, the first four left out.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
import torch

SKIPPED = 4


def report(phase: int, taken: list[float]) -> None:
    taken = taken[SKIPPED:]
    mean, median = statistics.mean(taken), statistics.median(taken)
    print(f"phase {phase}: mean {mean:.3f} s, median {median:.3f} s CPU of {len(taken)} steps")


def timed(step: Callable[[], None], steps: int) -> list[float]:
    taken = []
    for _ in range(steps):
        start = time.process_time()
        step()
        taken.append(time.process_time() - start)
    return taken


def ours(steps: int) -> None:
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    from rave_lite.jobs.common import CONF
    from rave_lite.training.module import RAVETraining

    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", ["recipe=minute_cpu"])
    module = RAVETraining(model=instantiate(config.model), discriminator=instantiate(config.discriminator),
                          distance=instantiate(config.loss.distance), bands_distance=instantiate(config.loss.bands_distance),
                          weights=dict(config.loss.weights), **config.training)
    generator, discriminator = module.configure_optimizers()

    def step() -> None:
        x = 0.1 * torch.randn(4, 1, 32768)
        if module.phase == 2 and module.step % module.discriminator_every == 0:
            optimizer, loss = discriminator, module.discriminator_loss(x)
        else:
            optimizer = generator
            loss = sum(module.weight(name) * value for name, value in module.generator_losses(x).items())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        module._average()
        module.step += 1

    for phase in (1, 2):
        module.step = 0 if phase == 1 else module.phase1_steps
        report(phase, timed(step, steps))


def release(steps: int) -> None:
    import gin
    import pytorch_lightning as pl
    import rave

    class Clock(pl.Callback):
        def __init__(self):
            self.taken: list[float] = []

        def on_train_batch_start(self, *_):
            self.start = time.process_time()

        def on_train_batch_end(self, *_):
            self.taken.append(time.process_time() - self.start)

    configs = Path(rave.__file__).parent / "configs"
    files = [str(configs / f"{name}.gin") for name in ("v2", "wasserstein", "causal")]
    gin.parse_config_files_and_bindings(files, ["CAPACITY = 16"])
    model = rave.RAVE(n_channels=1)
    for phase in (1, 2):
        model.warmed_up = phase == 2
        clock = Clock()
        trainer = pl.Trainer(max_epochs=1, logger=pl.loggers.TensorBoardLogger(tempfile.mkdtemp()), callbacks=[clock],
                             enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
        trainer.fit(model, torch.utils.data.DataLoader(0.1 * torch.randn(4 * steps, 1, 32768), 4))
        report(phase, clock.taken)


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"ours": ours, "release": release}[sys.argv[1]](int(sys.argv[2]) if len(sys.argv) > 2 else 24)
