"""What can be said of a command's input at once, before torch is imported or a model built."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from rave_lite.errors import InputError
from rave_lite.runs import check_export, checkpoint_file, file_to_resume, is_base, prior_file, run_folder

SHARES = {"calibrate": (0.0, 1.0), "envelope": (0.0, 1.0)}  # bounds


def check(job: str, config: DictConfig) -> None:
    """Raises InputError, or MissingMandatoryValue, for wrong input of a job."""
    if config.get("threads") is not None:
        check_numbers(config, threads=1)
    CHECKS.get(job, lambda _: None)(config)


def check_numbers(config: DictConfig, **bounds: float | tuple[float, float]) -> None:
    """Raises InputError for a setting out of its bounds, the least or both, or no whole number although the least is one."""
    for key, bound in bounds.items():
        least, most = bound if isinstance(bound, tuple) else (bound, math.inf)
        value, number_type = OmegaConf.select(config, key), int if isinstance(least, int) else int | float
        if isinstance(value, bool) or not isinstance(value, number_type) or not least <= value <= most or value == math.inf:
            to = "on" if most == math.inf else f"to {most:g}"
            raise InputError(f"{value!r} is no {'whole ' * (number_type is int)}number from {least:g} {to}", where=key)


def check_folder(config: DictConfig) -> None:
    """Raises InputError if `out` cannot be a folder."""
    out = Path(config.out).expanduser()
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: a file is there; name a folder", where="out")


def recordings(root: Any, key: str | None = None, foreign: bool = False) -> list[str]:
    """The names of what could be recordings at `root`, none if it is None or a URL. Raises InputError if there are none.

    `key`: the setting, for messages; `foreign`: see `outputs.leave_out`.
    """
    from rave_lite.data import outputs  # not at the top: most commands need none of these
    from rave_lite.data.network import is_url
    from rave_lite.data.scan import MOVIES, SUFFIXES, find

    if root is None or is_url(root):
        return []
    folder = Path(str(root)).expanduser()
    try:
        paths, left_out = find(folder)
        if not paths and not left_out:
            raise InputError(f"no audio files ({' '.join(sorted(SUFFIXES | MOVIES))})", where=folder)
        written = outputs.require_recordings(paths, folder, foreign)
        return [str(path.relative_to(folder)) if folder.is_dir() else path.name for path in paths if path not in written]
    except InputError as error:
        raise error if key is None else InputError(str(error), where=key) from error


TRAINING = {"seed": 0, "phase1.steps": 0, "phase2.steps": 0, "data.batch_size": 1, "data.workers": 0, "model.capacity": 1}


def train(config: DictConfig) -> None:
    check_numbers(config, **TRAINING)
    if config.phase1.steps + config.phase2.steps < 1:
        raise InputError("phase1.steps, phase2.steps: no step to train")
    if not config.name or ".." in Path(str(config.name)).parts:
        raise InputError(f"{config.name!r} names no folder in runs; say name=mine, or out=DIR for another", where="name")
    resumed = file_to_resume(config.resume, Path(config.out))
    if not resumed:
        source(config)
    if resumed and config.resume == "auto":
        return  # it may be finished, and then needs no recordings
    training_data(config.data, new=resumed is None)


def source(config: DictConfig) -> None:
    """Raises InputError if the checkpoint that the run starts from is not there. Which base fits needs the model: later."""
    path = config.transfer["from"]
    if path and path not in ("auto", "base"):
        checkpoint_file(path)


def training_data(data: DictConfig, new: bool) -> None:
    """Raises InputError if there are no recordings, if one that a `new` run is to hold out is not there, or for a manifest
    that cannot be read."""
    from rave_lite.data import manifest
    from rave_lite.data.split import named

    names = recordings(data.root)
    if isinstance(data.held_out, str):
        raise InputError(f"{data.held_out!r} is neither a list nor a fraction; say [{data.held_out}], or 0.1",
                         where="data.held_out")
    if new and names and isinstance(data.held_out, ListConfig):
        named(list(data.held_out), names, "data.held_out: no usable file")
    if data.manifest == "":
        raise InputError("needs a value, as in data.manifest=manifest.csv: rave-lite curate writes one",
                         where="data.manifest")
    if data.manifest:
        manifest.load(Path(data.manifest).expanduser())


def learning_curve(config: DictConfig) -> None:
    """Raises InputError if no curve can be drawn from the settings."""
    settings: Any = OmegaConf.to_container(config, resolve=True)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise InputError("learning-curve: one process, not under torchrun; for many at a time say hydra/launcher=slurm")
    for key, kinds, example in (("fractions", int | float, "[0.25,0.5,1]"), ("seeds", int, "[0,1,2]")):
        values = settings[key]
        valid = isinstance(values, list) and all(isinstance(v, kinds) and not isinstance(v, bool) for v in values)
        if not valid or not values or len(set(values)) < len(values) or min(values) < 0:
            raise InputError(f"{values!s} is no list of different numbers; say {key}={example}", where=key)
    if len(settings["fractions"]) < 2 and not settings["influence"]:
        raise InputError(f"{settings['fractions']!s}: a curve needs two at least; say fractions=[0.5,1]", where="fractions")
    if settings["data"]["fraction"] != 1:
        raise InputError(f"{settings['data']['fraction']}: a curve has fractions=[0.25,0.5,1]", where="data.fraction")
    if {settings["phase1"]["until"], settings["phase2"]["until"]} != {"steps"}:
        raise InputError("phase1.until, phase2.until: runs are compared after the same number of steps; leave them at steps")
    if (steps := settings["influence_steps"]) is not None and (type(steps) is not int or steps < 1):
        raise InputError(f"{steps!r} is no whole number from 1 on", where="influence_steps")
    if settings["phase1"]["steps"] + settings["phase2"]["steps"] < 1:
        raise InputError("phase1.steps, phase2.steps: no step to train")
    source(config)
    training_data(config.data, new=True)


def evaluate(config: DictConfig) -> None:
    check_numbers(config, max_train_clips=0, seed=0, **SHARES)
    if config.reference_set and not config.inputs:
        raise InputError("the outputs for inputs=... are compared with it, and no inputs are given", where="reference_set")
    checkpoint_file(config.ckpt)
    recordings(config.data.root, "data.root")
    recordings(config.inputs, "inputs", foreign=True)
    recordings(config.reference_set, "reference_set")


def listen(config: DictConfig) -> None:
    check_numbers(config, seconds=0.1, files=1, max_train_clips=0, walks=0, seed=0, **SHARES)
    if not config.ckpt:
        raise InputError("name at least one checkpoint", where="ckpt")
    check_folder(config)
    for path in [config.ckpt] if isinstance(config.ckpt, str) else config.ckpt:
        checkpoint_file(path)
    recordings(config.data.root, "data.root")
    recordings(config.inputs, "inputs", foreign=True)


def gallery(config: DictConfig) -> None:
    check_numbers(config, files=1, columns=1, seconds=0.1, seed=0)
    folder = Path(config.run).expanduser()
    if not (folder / "checkpoints").is_dir():
        raise InputError(f"{folder}: no folder of a run, which would have checkpoints/ in it; say run=runs/NAME",
                         where="run")


def reconstruct(config: DictConfig) -> None:
    check_numbers(config, **SHARES)
    checkpoint_file(config.ckpt)
    recordings(config.input, foreign=True)


def prior(config: DictConfig) -> None:
    check_numbers(config, steps=0, seed=0, hidden=1, layers=1, components=1, directions=1, dropout=(0.0, 0.9))
    if config.pretrain not in (True, False, "auto"):
        raise InputError(f"{config.pretrain!r} is none of true, false, auto", where="pretrain")
    checkpoint_file(config.ckpt)
    if config.out == "":
        raise InputError("needs a value, as in out=rhythms.ckpt", where="out")
    if config.out and Path(config.out).expanduser().exists():
        raise InputError(f"{config.out} is there already; name another file", where="out")
    recordings(config.data.root, "data.root")


def generate(config: DictConfig) -> None:
    check_numbers(config, seconds=0.1, temperature=(0.0, 4.0), density=(0.0, 16.0), tempo=(0.5, 2.0), takes=1,
                  seed=(0, 2**53))
    check_folder(config)
    path = checkpoint_file(config.ckpt)
    prior_file(config.prior or run_folder(path))
    for key in (key for key in ("continue", "groove") if config[key] is not None):
        recording = Path(config[key]).expanduser()
        if not recording.is_file():
            raise InputError(f"{config[key]}: no such file" if config[key] else f"needs a value, as in {key}=loop.wav",
                             where=key)
        if recording.resolve().parent == Path(config.out).expanduser().resolve():
            raise InputError(f"{recording} is in the folder that is written; say another out=", where=key)


def export(config: DictConfig) -> None:
    options = {"channels": 1, "batch_size": 1, "blocks": 0, "sample_rate": 1, "latent_size": 1}
    check_numbers(config, **{key: least for key, least in options.items() if config[key] is not None})
    checkpoint_file(config.ckpt)
    if config.prior:
        prior_file(config.prior)
    if config.out:
        check_export(Path(config.out))


def verify(config: DictConfig) -> None:
    if Path(config.file).expanduser().is_dir():
        raise InputError("a folder; name a .ts, which rave-lite export makes", where=config.file)
    exists(config.file)
    if config.ckpt:
        checkpoint_file(config.ckpt)


def bench(config: DictConfig) -> None:
    names = [config.files] if isinstance(config.files, str) else list(config.files)
    if not names:
        raise InputError("name at least one .ts or .ckpt", where="files")
    for name in names:
        if is_base(name) or Path(name).suffix == ".ckpt" or Path(name).expanduser().is_dir():
            checkpoint_file(name)
        else:
            exists(name)


def live(config: DictConfig) -> None:
    check_numbers(config, **{key: bounds for key, bounds in SHARES.items() if config[key] is not None})
    if not config.devices:
        exists(config.file)
    if config.latency not in ("low", "high") and not isinstance(config.latency, int | float):
        raise InputError(f"{config.latency} is neither low nor high nor a number of seconds", where="latency")


def curate(config: DictConfig) -> None:
    check_numbers(config, longer=0.1, seconds=0.1)
    if not isinstance(config.keep_below, int | float | None):
        raise InputError(f"{config.keep_below!r} is no outlier score; say 2.0", where="keep_below")
    manifest = Path(config.out).expanduser() / "manifest.csv"
    if manifest.exists() and not config.overwrite:
        raise InputError(f"{manifest} is there already, maybe with your choices: say another out=, or overwrite=true")
    recordings(config.data.root)


def import_(config: DictConfig) -> None:
    exists(config.run, "no such run: of acids-rave 2.x, a .ckpt, a folder with config.gin, or a streaming export (.ts)")
    _ = config.out  # raises MissingMandatoryValue


def exists(file: str, otherwise: str = "no such file; rave-lite export makes one") -> None:
    if not Path(file).expanduser().exists():
        raise InputError(otherwise, where=Path(file).expanduser())


CHECKS: dict[str, Callable[[DictConfig], None]] = {
    f.__name__.strip("_"): f for f in (
        train, learning_curve, evaluate, listen, gallery, reconstruct, prior, generate, export, import_, verify, bench, live,
        curate)}
