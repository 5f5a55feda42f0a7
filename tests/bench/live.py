"""Block times of exported files, ours and the public release's, random weights, in turns in one process, one thread.

    python tests/bench/live.py FOLDER [RELEASE_PYTHON] [RELEASE=FILE.ts] [SECONDS=60] [DEVICE=cpu] [PRECISIONS=float32,int8]
        [MODELS=v2,v2_small,low_latency] [COUNT=1000]

MODELS may be v1, v3, brave and discrete (v2 with codes), too.

Writes the files to FOLDER and the figures to FOLDER/*.json. COUNT blocks are played without a pause, then SECONDS of audio
at its pace: `late` of the former took longer than a block lasts, `missed` of the latter were not ready in time. On CUDA
every file is played plain and, ours, as a CUDA graph. The last lines are the ratios to the release.

RELEASE is a file that the release has exported, played beside ours in the same process, as nn~ plays it. RELEASE_PYTHON
makes one: it is release/bin/python of a black box in a venv of its own: python3 -m venv release; release/bin/pip install
acids-rave==2.3.1 torch==2.11.0 torchaudio==2.11.0. Its v2 is Wasserstein, causal, at its full capacity, as ours.
"""

import json
import subprocess
import sys
from pathlib import Path

BLOCKS = {"v2": 2048, "v2_small": 512, "low_latency": 128, "v1": 2048, "v3": 2048, "brave": 128, "discrete": 2048}
OVERRIDES = {name: [f"model={name}"] for name in BLOCKS} | {
    **{name: [f"model={name}", "latent=variational"] for name in ("v1", "v3", "brave")},
    "discrete": ["model=v2", "latent=discrete"]}


def release(folder: Path) -> None:
    """Runs under the release's Python: a run folder of random weights, exported by its own command."""
    import gin
    import pytorch_lightning as pl
    import rave

    configs, run = Path(rave.__file__).parent / "configs", folder / "release_run"
    files = [str(configs / f"{name}.gin") for name in ("v2", "wasserstein", "causal")]
    gin.parse_config_files_and_bindings(files, [])
    model = rave.RAVE(n_channels=1)
    model.trainer = trainer = pl.Trainer(max_steps=0, logger=False, enable_checkpointing=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(run / "version_0" / "checkpoints" / "last.ckpt")
    (run / "config.gin").write_text(gin.operative_config_str())
    command = Path(sys.executable).parent / "rave"
    subprocess.run([command, "export", "--run", run, "--streaming", "--output", folder, "--name", "release"], check=True)


def ours(folder: Path, names: list[str], precisions: list[str]) -> None:
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    from rave_lite.cli.job import CONF
    from rave_lite.export.torchscript import Live, export

    for name in names:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            model = instantiate(compose("train", OVERRIDES[name]).model).eval()
        for precision in precisions:
            export(Live(model, batch_size=16, precision=precision), folder / f"{name}_{precision}.ts", {})


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    release_python = [a for a in sys.argv[2:] if "=" not in a]
    settings = {"SECONDS": "60", "DEVICE": "cpu", "PRECISIONS": "float32,int8", "COUNT": "1000", "RELEASE": "",
                "MODELS": "v2,v2_small,low_latency"}
    settings |= dict(a.split("=", 1) for a in sys.argv[2:] if "=" in a)
    names, precisions = settings["MODELS"].split(","), settings["PRECISIONS"].split(",")
    ours(folder, names, precisions)
    if release_python:
        subprocess.run([release_python[0], __file__, "release", folder], check=True, capture_output=True)
        settings["RELEASE"] = str(folder / "release_streaming.ts")
    ratios = []
    for name in names:
        release_file = [settings["RELEASE"]] if settings["RELEASE"] and name == "v2" else []
        files = [*release_file, *(folder / f"{name}_{precision}.ts" for precision in precisions)]
        subprocess.run([sys.executable, "-m", "rave_lite", "bench", *files, f"blocks=[{BLOCKS[name]}]",
                        f"count={settings['COUNT']}", f"seconds={settings['SECONDS']}", f"device={settings['DEVICE']}",
                        f"out={folder / name}.json"], check=True)
        first, *rows = json.loads((folder / f"{name}.json").read_text())["rows"]
        ratios += [f"{Path(row['file']).name}: {row['p50'] / first['p50']:.2f} of the release's time" for row in rows
                   if release_file]
    print("\n".join(ratios))


if __name__ == "__main__":
    if sys.argv[1] == "release":
        release(Path(sys.argv[2]))
    else:
        main()
