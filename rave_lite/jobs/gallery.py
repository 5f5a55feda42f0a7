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

STEP = "step-"  # begins the name of a checkpoint that was kept for good
HOW = "train with callbacks.checkpoints.keep=1000 to keep one of every so many steps"


def gallery(config: DictConfig) -> None:
    """From checkpoints where some were kept for good, or where no sounds were logged while the run trained."""
    check_numbers(config, files=1, columns=1, seconds=0.1, seed=0)
    folder = Path(config.run).expanduser()
    if not (folder / "checkpoints").is_dir():
        raise InputError(f"run: {folder}: no folder of a run, which would have checkpoints/ in it; say run=runs/NAME")
    saved, sounds = checkpoints(folder / "checkpoints"), listened(folder / "logs/csv")
    kept = [path for path in saved if path.stem.startswith(STEP)]
    if not saved and not sounds:
        raise InputError(f"run: {folder}: no checkpoints in it, nor sounds that were logged; {HOW}")
    boundary = saved.get(folder / "checkpoints/phase1.ckpt")
    if kept or len(sounds) <= len(set(saved.values())):
        history = of_checkpoints(config, saved, boundary)
        source = "" if kept else f"This run kept no checkpoints on the way: {HOW}. Here are those that every run has."
    else:
        history = of_sounds(config, sounds, boundary)
        source = f"Sounds that were logged in training. For more hits and your own choice of them, {HOW}."
    out = Path(config.out).expanduser() if config.out else folder / "gallery.html"
    page.write(out, history, run=folder.resolve().name, note=source)
    for one in history.moments:
        names = [*one.names, *["nearest"] * (one is history.best)]
        print(f"step {one.step:7}  distance {one.distance:6.2f}  {', '.join(names)}")
    print(*([source] if source else []), f"{out}: open it in a browser", sep="\n")


def checkpoints(folder: Path) -> dict[Path, int]:
    """The step of each. Raises InputError where one cannot be read."""
    found: dict[Path, int] = {}
    for path in sorted(p for p in folder.glob("*.ckpt") if not p.name.startswith(".")):
        number = path.stem.removeprefix(STEP)
        found[path] = int(number) if number.isdecimal() else read_checkpoint(path)["step"]
    return found


def of_checkpoints(config: DictConfig, saved: dict[Path, int], boundary: int | None) -> History:
    """Each step once, whatever its checkpoints are called. Raises InputError where the recordings are not known."""
    named = {step: [p for p, at in saved.items() if at == step] for step in sorted(saved.values())}
    lasting = {step for path, step in saved.items() if not path.stem.startswith(STEP)}
    steps = sorted({*evenly(list(named), config.columns), *lasting})
    newest = read_checkpoint(named[steps[-1]][0])
    run, rate = newest["config"], newest["sample_rate"]
    clips = some_hits(to_judge(run, rate, config.data.root, config.data.cache)[1], rate, config.files)
    originals = [clip.read(0, round(config.seconds * rate)) for clip in clips]

    def moments() -> Iterator[Moment]:
        for step in track(steps, "listening", transient=True):
            model = RAVE.from_checkpoint(named[step][0])
            if model.sample_rate != rate:
                raise InputError(f"{named[step][0]}: made for {model.sample_rate} Hz, the last one for {rate}: two runs?")
            for warning in vital_signs.warnings(model, named[step][0].name):
                print(f"warning: {warning}")
            play = Reconstruction(model)
            made = [play(x[None], seed=config.seed)[0] for x in originals]
            yield moment(step, [p.stem for p in named[step] if not p.stem.startswith(STEP)], originals, made, rate)

    return History(rate, names_of(clips), originals, list(moments()), boundary)


def listened(folder: Path) -> dict[int, Path]:
    """By step, the folders of sounds that `training.loggers.Tables` saved; of a resumed run the later ones."""
    starts = sorted(folder.glob("version_*/listening"), key=lambda path: int(path.parent.name.partition("_")[2]))
    return {int(path.name.partition("_")[2]): path for start in starts for path in sorted(start.glob("step_*"))
            if any(path.glob("held_out/*.wav"))}


def of_sounds(config: DictConfig, sounds: dict[int, Path], boundary: int | None) -> History:
    """Of the hits that the last start of the run listened to."""
    first = min(sounds[max(sounds)].parent.iterdir())  # where the originals are
    paths = sorted((first / "original").glob("*.wav"), key=lambda path: int(path.name.partition("_")[0]))[: config.files]
    rate = soundfile.info(paths[0]).samplerate
    read = lambda path: audio.load(path, rate)[0, : round(config.seconds * rate)]
    originals = [read(path) for path in paths]
    steps = [step for step, path in sorted(sounds.items()) if all((path / "held_out" / p.name).exists() for p in paths)]
    moments = [moment(step, [], originals, [read(sounds[step] / "held_out" / p.name) for p in paths], rate)
               for step in track(evenly(steps, config.columns), "listening", transient=True)]
    return History(rate, [path.stem.partition("_")[2] for path in paths], originals, moments, boundary)


main = job(gallery)
