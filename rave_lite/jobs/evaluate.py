"""Judge a model by recordings it was not trained on."""

from pathlib import Path

from omegaconf import DictConfig
from rich import print as show

from rave_lite.data import catalogue
from rave_lite.errors import InputError
from rave_lite.evaluation.evaluate import evaluate as judge
from rave_lite.evaluation.evaluate import table
from rave_lite.jobs.common import job
from rave_lite.model import RAVE, read_checkpoint


def evaluate(config: DictConfig) -> None:
    """The run's own held-out clips, or every clip of another folder."""
    path = Path(config.ckpt).expanduser()
    checkpoint = read_checkpoint(path)
    model = RAVE.from_state(checkpoint, path)
    run = checkpoint["config"]
    if not config.data.root and not run["data"]["root"]:
        raise InputError(f"{path}: an imported model, which knows no recordings; say which: data.root=DIR")
    found = catalogue(config.data.root or run["data"]["root"], model.sample_rate, held_out=run["data"]["held_out"],
                      seed=run["data"].get("split_seed", run["seed"]), cache=config.data.cache or run["data"]["cache"],
                      cache_gb=run["data"].get("cache_gb", 20), kept=None if config.data.root else run["data"].get("kept"))
    clips = found.train + found.held_out if config.data.root else found.held_out
    out = Path(config.out).expanduser() if config.out else path.resolve().parents[1] / "evaluation"
    show(table(judge(model, clips, out, seed=config.seed)))
    print(f"figures.json, spectrograms.png and the reconstructions (wav/) are in {out}")


main = job(evaluate)
