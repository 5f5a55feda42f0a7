"""Does an imported model go on learning? Steps on the training part of DATA, judged on its held-out files all along.

    python tests/bench/finetune.py CHECKPOINT DATA [every=20] [overrides of rave-lite train ...]

CHECKPOINT: of rave-lite import. 200 steps of phase 1 unless told otherwise. Prints the mean of the held-out files' spectral
figure (evaluation/metrics.py, the same formula as the neutral scorer's) at the start and every so many steps.
"""

import sys

import numpy as np
import torch
from hydra import compose, initialize_config_dir

from rave_lite.cli.build import build_or_transfer
from rave_lite.cli.job import CONF
from rave_lite.data import catalogue
from rave_lite.data.module import Recordings
from rave_lite.evaluation.metrics import spectral
from rave_lite.evaluation.reconstruct import reconstruct
from rave_lite.model import RAVE
from tests.bench.tabla import HELD_OUT


def score(model: RAVE, held_out: list[np.ndarray]) -> float:
    return float(np.mean([spectral(x, reconstruct(model, x[None])[0]) for x in held_out]))


def main() -> None:
    checkpoint, root, *typed = sys.argv[1:]
    every = next((int(t.removeprefix("every=")) for t in typed if t.startswith("every=")), 20)
    typed = [f"data.root={root}", f"transfer.from={checkpoint}", "recipe=minute_cpu", "training.lr=[3e-4,3e-4]",
             "phase1.steps=200", "phase2.steps=0", *(t for t in typed if not t.startswith("every="))]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", typed)
    module = build_or_transfer(config, typed)
    recordings = catalogue(root, module.model.sample_rate, held_out=HELD_OUT, seed=0, cache=None, cache_gb=20)
    data = Recordings(recordings, window=config.data.window, batch_size=config.data.batch_size, gap=config.data.gap,
                      seed=config.seed)
    held_out = [clip.read() for clip in recordings.held_out]
    scores = [score(module.best_model, held_out)]
    print(f"step 0: {scores[0]:.2f}", flush=True)
    generator, discriminator = module.configure_optimizers()
    for x in data.train_dataloader():
        module.update_step(x, generator, discriminator)
        if module.step % every == 0:
            scores.append(score(module.best_model, held_out))
            print(f"step {module.step}: {scores[-1]:.2f}", flush=True)
        if module.step >= module.total_steps:
            break
    print(f"from {scores[0]:.2f} to {scores[-1]:.2f}; the worst on the way is {max(scores) / scores[0]:.3f} of the start")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
