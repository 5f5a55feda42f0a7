"""Block times of exported files, ours and the public release's, random weights, in turns in one process, one thread.

    python tests/bench/live.py FOLDER [RELEASE_PYTHON] [SECONDS=60] [DEVICE=cpu] [PRECISIONS=float32,int8]

Writes the files to FOLDER and the figures to FOLDER/*.json. The release is a black box in a venv of its own:
python3 -m venv release; release/bin/pip install acids-rave==2.3.1 torch==2.11.0 torchaudio==2.11.0, and RELEASE_PYTHON is
release/bin/python; without it only ours are measured. Its v2 is Wasserstein, causal, at its full capacity, as ours.
"""

import subprocess
import sys
from pathlib import Path


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


def ours(folder: Path, precisions: list[str]) -> None:
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    from rave_lite.cli.job import CONF
    from rave_lite.export.torchscript import Live, export

    for name in ("v2", "v2_small", "low_latency"):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            model = instantiate(compose("train", [f"model={name}"]).model).eval()
        for precision in precisions:
            export(Live(model, batch_size=16, precision=precision), folder / f"{name}_{precision}.ts", {})


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    release_python = [a for a in sys.argv[2:] if "=" not in a]
    settings = {"SECONDS": "60", "DEVICE": "cpu", "PRECISIONS": "float32,int8"}
    settings |= dict(a.split("=", 1) for a in sys.argv[2:] if "=" in a)
    precisions = settings["PRECISIONS"].split(",")
    ours(folder, precisions)
    if release_python:
        subprocess.run([release_python[0], __file__, "release", folder], check=True, capture_output=True)
    release_file = [folder / "release_streaming.ts"] if release_python else []
    for name, block in (("v2", 2048), ("v2_small", 512), ("low_latency", 128)):
        files = [*release_file, *(folder / f"{name}_{precision}.ts" for precision in precisions)]
        subprocess.run([sys.executable, "-m", "rave_lite", "bench", *files, f"blocks=[{block}]",
                        f"seconds={settings['SECONDS']}", f"device={settings['DEVICE']}", f"out={folder / name}.json"],
                       check=True)
        release_file = []


if __name__ == "__main__":
    if sys.argv[1] == "release":
        release(Path(sys.argv[2]))
    else:
        main()
