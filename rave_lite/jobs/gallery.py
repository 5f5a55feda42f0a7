"""A run's history on one page: the same held-out hits at each checkpoint."""

from collections.abc import Iterator
from pathlib import Path

import soundfile
from omegaconf import DictConfig
from rich.progress import track

from rave_lite.data import audio
from rave_lite.errors import InputError
from rave_lite.evaluation import vital_signs
from rave_lite.evaluation.evaluate import names_of
from rave_lite.evaluation.history import History, Moment, evenly, moment, some_hits
from rave_lite.evaluation.reconstruct import Reconstruction
from rave_lite.jobs.common import check_numbers, job
from rave_lite.jobs.recordings import to_judge
from rave_lite.model import RAVE, read_checkpoint
from rave_lite.pages import gallery as page

STEP_PREFIX = "step-"  # of the names of checkpoints that are kept on the way
HINT = "train with callbacks.checkpoints.keep=1000 to keep one of every so many steps"


def gallery(config: DictConfig) -> None:
    """Writes the page from the checkpoints, or from the logged sounds if these show more steps and none was kept."""
    check_numbers(config, files=1, columns=1, seconds=0.1, seed=0)
    folder = Path(config.run).expanduser()
    if not (folder / "checkpoints").is_dir():
        raise InputError(f"run: {folder}: no folder of a run, which would have checkpoints/ in it; say run=runs/NAME")
    saved, sounds = checkpoints(folder / "checkpoints"), sound_folders(folder / "logs/csv")
    kept = [path for path in saved if path.stem.startswith(STEP_PREFIX)]
    if not saved and not sounds:
        raise InputError(f"run: {folder}: no checkpoints in it, nor sounds that were logged; {HINT}")
    boundary = saved.get(folder / "checkpoints/phase1.ckpt")
    if kept or len(sounds) <= len(set(saved.values())):
        history = history_from_checkpoints(config, saved, boundary)
        source = "" if kept else f"This run kept no checkpoints on the way: {HINT}. Here are those that every run has."
    else:
        history = history_from_sounds(config, sounds, boundary)
        source = f"Sounds that were logged in training. For more hits and your own choice of them, {HINT}."
    out = Path(config.out).expanduser() if config.out else folder / "gallery.html"
    page.write(out, history, run=folder.resolve().name, note=source)
    for point in history.moments:
        names = [*point.names, *["nearest"] * (point is history.best)]
        print(f"step {point.step:7}  distance {point.distance:6.2f}  {', '.join(names)}")
    print(*([source] if source else []), f"{out}: open it in a browser", sep="\n")


def checkpoints(folder: Path) -> dict[Path, int]:
    """The checkpoints in a folder with their steps. Raises InputError if one cannot be read."""
    steps: dict[Path, int] = {}
    for path in sorted(p for p in folder.glob("*.ckpt") if not p.name.startswith(".")):
        number = path.stem.removeprefix(STEP_PREFIX)
        steps[path] = int(number) if number.isdecimal() else read_checkpoint(path).step
    return steps


def history_from_checkpoints(config: DictConfig, saved: dict[Path, int], boundary: int | None) -> History:
    """The history from checkpoints, one moment per step. Raises InputError if the recordings are not known."""
    paths = {step: [p for p, at in saved.items() if at == step] for step in sorted(saved.values())}
    always_shown = {step for path, step in saved.items() if not path.stem.startswith(STEP_PREFIX)}
    steps = sorted({*evenly(list(paths), config.columns), *always_shown})
    newest = read_checkpoint(paths[steps[-1]][0])
    run, rate = newest.settings, newest.sample_rate
    clips = some_hits(to_judge(run, rate, config.data.root, config.data.cache)[1], rate, config.files)
    originals = [clip.read(0, round(config.seconds * rate)) for clip in clips]

    def moments() -> Iterator[Moment]:
        for step in track(steps, "listening", transient=True):
            model = RAVE.from_checkpoint(paths[step][0])
            if model.sample_rate != rate:
                raise InputError(f"{paths[step][0]}: made for {model.sample_rate} Hz, the last one for {rate}: two runs?")
            for warning in vital_signs.warnings(model, paths[step][0].name):
                print(f"warning: {warning}")
            reconstruct = Reconstruction(model)
            outputs = [reconstruct(x[None], seed=config.seed)[0] for x in originals]
            names = [p.stem for p in paths[step] if not p.stem.startswith(STEP_PREFIX)]
            yield moment(step, names, originals, outputs, rate)

    return History(rate, names_of(clips), originals, list(moments()), boundary)


def sound_folders(folder: Path) -> dict[int, Path]:
    """The folders of sounds that `training.loggers.Tables` saved, by step; those of the latest start win."""
    starts = sorted(folder.glob("version_*/listening"), key=lambda path: int(path.parent.name.partition("_")[2]))
    return {int(path.name.partition("_")[2]): path for start in starts for path in sorted(start.glob("step_*"))
            if any(path.glob("held_out/*.wav"))}


def history_from_sounds(config: DictConfig, sounds: dict[int, Path], boundary: int | None) -> History:
    """The history from logged sounds: of the hits that the last start of the run logged."""
    earliest = min(sounds[max(sounds)].parent.iterdir())  # holds the originals
    paths = sorted((earliest / "original").glob("*.wav"), key=lambda path: int(path.name.partition("_")[0]))[: config.files]
    rate = soundfile.info(paths[0]).samplerate
    read = lambda path: audio.load(path, rate)[0, : round(config.seconds * rate)]
    originals = [read(path) for path in paths]
    steps = [step for step, path in sorted(sounds.items()) if all((path / "held_out" / p.name).exists() for p in paths)]
    moments = [moment(step, [], originals, [read(sounds[step] / "held_out" / p.name) for p in paths], rate)
               for step in track(evenly(steps, config.columns), "listening", transient=True)]
    return History(rate, [path.stem.partition("_")[2] for path in paths], originals, moments, boundary)


main = job(gallery)
