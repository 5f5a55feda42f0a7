"""Full v2 on a folder of tabla strokes, beside the public release on the same windows: train both on a CPU, score both.

    python tests/bench/full.py DATA SCORER OUT [RELEASE_PYTHON] [setting=value ...]

DATA: the folder of recordings; SCORER: a program called with reference and reconstruction folders; RELEASE_PYTHON: of a
venv with the release (see tests/bench/steps.py), left out: ours alone. OUT keeps trained models for the next call.
Settings, with their defaults: steps1=1500 steps2=300 capacity=96 batch=2 window=65536 threads=2 seed=0. A step of either
takes about a second of one core in phase 1.

The release trains by its own step, losses, optimisers and transforms of windows, which this process composes for both.
"""

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

SETTINGS = {"steps1": 1500, "steps2": 300, "capacity": 96, "batch": 2, "window": 65536, "threads": 2, "seed": 0}
RATE = 44100


def train_ours(data: Path, out: Path, held_out: list[str], settings: dict[str, int]) -> None:
    from rave_lite.model import read_checkpoint  # not in the release's venv

    run = [sys.executable, "-m", "rave_lite"]
    subprocess.run([*run, "train", f"data.root={data}", f"data.held_out=[{','.join(held_out)}]", f"out={out / 'run'}",
                    f"model.capacity={settings['capacity']}", f"data.batch_size={settings['batch']}",
                    f"data.window={settings['window']}", "data.workers=0", f"threads={settings['threads']}",
                    f"seed={settings['seed']}", "runner.precision=32-true", f"phase1.steps={settings['steps1']}",
                    f"phase2.steps={settings['steps2']}", "trainer.val_check_interval=250", "logger=csv", "resume=auto"],
                   check=True)
    last = out / "run/checkpoints/last.ckpt"
    if (step := read_checkpoint(last).step) < settings["steps1"] + settings["steps2"]:
        sys.exit(f"{last}: stopped at step {step}; the same command goes on")
    subprocess.run([*run, "evaluate", f"ckpt={last}", f"out={out / 'evaluation'}"], check=True)
    shutil.copytree(out / "evaluation/wav", out / "reconstructions")


def train_release(python: Path, data: Path, out: Path, held_out: list[str], settings: dict[str, int]) -> None:
    """Compose the windows that our run is trained on, and hand them to a process of the release."""
    from rave_lite.data import catalogue
    from rave_lite.data.windows import Windows

    recordings = catalogue(data, RATE, held_out=held_out)
    windows = Windows(recordings.train, length=settings["window"], sample_rate=RATE, seed=settings["seed"])
    arguments = [str(out.parent / "references"), str(out), *(f"{k}={v}" for k, v in settings.items())]
    with subprocess.Popen([str(python), __file__, "release", *arguments], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for i in range(settings["batch"] * (settings["steps1"] + settings["steps2"])):
            process.stdin.write(windows[i].numpy().tobytes())
    if process.returncode:
        sys.exit(f"the release's process ended with {process.returncode}")


def release() -> None:
    """In the release's venv: train on the windows of standard input, and reconstruct the references."""
    import gin
    import librosa
    import rave
    import soundfile
    import torch

    references, out, settings = Path(sys.argv[2]), Path(sys.argv[3]), parsed(sys.argv[4:])
    torch.set_num_threads(settings["threads"])
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(settings["seed"])
    configs = Path(rave.__file__).parent / "configs"
    gin.parse_config_files_and_bindings([str(configs / f"{name}.gin") for name in ("v2", "wasserstein", "causal")],
                                        [f"CAPACITY = {settings['capacity']}", f"PHASE_1_DURATION = {settings['steps1']}"])
    model = rave.RAVE(n_channels=1)
    generator, discriminator = (o["optimizer"] if isinstance(o, dict) else o for o in model.configure_optimizers())
    schedule = torch.optim.lr_scheduler.LinearLR(generator, 1.0, 0.1, settings["steps1"])
    logged: dict[str, float] = {}
    model.optimizers = lambda: (generator, discriminator)
    model.log = lambda name, value, *_, **__: logged.update({name: float(value)})
    model.log_dict = lambda values, *_, **__: logged.update({name: float(value) for name, value in values.items()})
    model.beta_factor = 100.0  # the weight of its Wasserstein penalty
    model.train()

    def window() -> np.ndarray:
        x = np.frombuffer(sys.stdin.buffer.read(4 * settings["window"]), np.float32)
        if random.random() < 0.8:
            x = rave.dataset.random_phase_mangle(x, 20, 2000, 0.99, RATE)
        return (x + np.random.rand(len(x)) / 2**16).astype(np.float32)

    start = time.monotonic()
    for step in range(settings["steps1"] + settings["steps2"]):
        model.warmed_up = step >= settings["steps1"]
        x = torch.from_numpy(np.stack([window() for _ in range(settings["batch"])])).unsqueeze(1)
        model.training_step(x, step)
        schedule.step()
        if step % 100 == 0:
            print(f"release, step {step}, {time.monotonic() - start:.0f} s", {k: round(v, 3) for k, v in logged.items()},
                  flush=True)
    model.eval()
    partial = out / "part"
    partial.mkdir(parents=True, exist_ok=True)
    for path in sorted(references.iterdir()):
        x = librosa.load(path, sr=RATE, mono=True)[0]
        with torch.no_grad():
            y = model(torch.from_numpy(np.pad(x, (0, -len(x) % 2048 + 2048)))[None, None])[0, 0, : len(x)]
        soundfile.write(partial / f"{path.stem}.wav", y.numpy(), RATE)
    partial.rename(out / "reconstructions")


def parsed(arguments: list[str]) -> dict[str, int]:
    return SETTINGS | {name: int(value) for name, value in (a.split("=", 1) for a in arguments)}


def main() -> None:
    from tests.bench.tabla import HELD_OUT

    data, scorer, out, *arguments = sys.argv[1:]
    release_python = [Path(a) for a in arguments if "=" not in a]
    settings, out = parsed([a for a in arguments if "=" in a]), Path(out).resolve()
    references = out / "references"
    references.mkdir(parents=True, exist_ok=True)
    for stem in HELD_OUT:
        shutil.copy(next(Path(data).glob(f"{stem}.*")), references)
    if not (out / "ours/reconstructions").is_dir():
        train_ours(Path(data).resolve(), out / "ours", HELD_OUT, settings)
    if release_python and not (out / "release/reconstructions").is_dir():
        train_release(release_python[0], Path(data).resolve(), out / "release", HELD_OUT, settings)
    for name in ("ours", "release"):
        if (out / name / "reconstructions").is_dir():
            print(f"{name}: {settings}", flush=True)
            subprocess.run([sys.executable, scorer, references, out / name / "reconstructions"], check=True)


if __name__ == "__main__":
    release() if sys.argv[1] == "release" else main()
