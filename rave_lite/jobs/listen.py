"""Writes a page that plays recordings and their reconstructions by several models side by side."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soxr
from omegaconf import DictConfig

from rave_lite.data import Catalogue, Clip, redact_url, resolve_root
from rave_lite.data.catalogue import named
from rave_lite.errors import InputError
from rave_lite.evaluation import side_by_side, vital_signs
from rave_lite.evaluation.evaluate import names_of
from rave_lite.evaluation.side_by_side import SideBySide
from rave_lite.jobs.common import check_numbers, job
from rave_lite.jobs.recordings import IMPORTED, are_at, known, listed, to_compare
from rave_lite.model import RAVE, Checkpoint, read_checkpoint
from rave_lite.pages import latents
from rave_lite.pages import listen as page

T = TypeVar("T")


def listen(config: DictConfig) -> None:
    """Writes index.html in `out`: held-out clips of the runs and a few training clips, or clips of data.root; and inputs."""
    check_numbers(config, seconds=0.1, files=1, max_train_clips=0, walks=0, seed=0)
    if not config.ckpt:
        raise InputError("ckpt: name at least one checkpoint")
    path = Path(config.out).expanduser() / "index.html"
    if path.parent.exists() and not path.parent.is_dir():
        raise InputError(f"out: {path.parent}: a file is there; name a folder")
    paths = [Path(path).expanduser() for path in ([config.ckpt] if isinstance(config.ckpt, str) else config.ckpt)]
    checkpoints = [read_checkpoint(path) for path in paths]
    models = [RAVE.from_checkpoint(saved) for saved in checkpoints]
    rate = max(model.sample_rate for model in models)
    runs = [saved.settings for saved in checkpoints]
    cache = config.data.cache or runs[0]["data"]["cache"]
    all_inputs = listed(config.inputs, "inputs", rate, cache)
    inputs = draw(all_inputs, config.files, config.seed)
    catalogues = run_catalogues(runs, rate, config.data.root, cache)
    clips = choose_clips(config, catalogues, rate, cache)
    if not clips and not inputs:
        raise InputError(f"{paths[0]}: {IMPORTED} or inputs=DIR")
    shown_names = names_of([clip for _, clip in clips] or inputs)
    hit = shown_names[0] if config.hit is None else min(named([config.hit], shown_names, "hit: no recording on the page"))
    names = labels(paths, checkpoints)
    for warning in (text for model, name in zip(models, names, strict=True) for text in vital_signs.warnings(model, name)):
        print(f"warning: {warning}")
    total = f" of {len(all_inputs)}" if len(all_inputs) > len(inputs) else ""
    print(f"{len(clips)} recordings and {len(inputs)}{total} foreign inputs through {', '.join(names)}", flush=True)
    shown = list(side_by_side.recordings(models, clips, catalogues, rate, config.seed, config.seconds))
    foreign, together = (side_by_side.foreign(models, inputs, catalogues, rate, config.seed, config.seconds) if inputs
                         else ([], []))
    page.write(path, names, shown, foreign, together, rate, latent(models, names, shown or foreign, hit, config.walks, rate))
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB; open it in a browser")


def latent(models: list[RAVE], names: list[str], shown: list[SideBySide], hit: str, walks: int,
           sample_rate: int) -> Iterator[str]:
    """Latent section of each model: walks of the first `walks` recordings, and `hit` moved along each direction."""
    for model, name in zip(models, names, strict=True) if walks else ():
        rate = model.sample_rate
        originals = {row.name: row.original for number, row in enumerate(shown) if number < walks or row.name == hit}
        sounds = {title: sound if rate == sample_rate else soxr.resample(sound, sample_rate, rate)
                  for title, sound in originals.items()}
        yield from latents.section(model, name, dict(list(sounds.items())[:walks]), (hit, sounds[hit]))


def run_catalogues(runs: list[dict[str, Any]], sample_rate: int, root: str | None,
                   cache: str | None) -> list[Catalogue | None]:
    """The recordings of each run, None where they are not known."""
    catalogues: list[Catalogue | None] = []
    for number, run in enumerate(runs):
        same = next((i for i in range(number) if runs[i]["data"] == run["data"] and runs[i]["seed"] == run["seed"]), None)
        catalogues.append(known(run, sample_rate, root=root, cache=cache) if same is None else catalogues[same])
    return catalogues


def choose_clips(config: DictConfig, catalogues: list[Catalogue | None], sample_rate: int,
                 cache: str | None) -> list[tuple[str, Clip]]:
    """The clips to show, with their files' locations: of the runs; or of data.root, unless a run's recordings are there."""
    distinct = list({id(catalogue): catalogue for catalogue in catalogues if catalogue is not None}.values())
    if config.data.root and not any(are_at(config.data.root, catalogue) for catalogue in distinct):
        root = redact_url(resolve_root(config.data.root))
        clips = [(root, clip) for clip in listed(config.data.root, "data.root", sample_rate, cache, whole=False)]
        clips = draw(clips, config.files, config.seed)
    else:
        held_out = [(catalogue.root, clip) for catalogue in distinct for clip in catalogue.held_out]
        training = [(catalogue.root, clip) for catalogue in distinct
                    for clip in to_compare(catalogue, -(-config.max_train_clips // len(distinct)), config.seed)]
        clips = [*draw(without_duplicates(held_out), config.files, config.seed),
                 *without_duplicates(training)[: config.max_train_clips]]
    roots = {source: {root for root, clip in clips if clip.source == source} for source in {c.source for _, c in clips}}
    label = lambda root, clip: f"{Path(root).name}/{clip.source}" if len(roots[clip.source]) > 1 else clip.source
    return [(side_by_side.location(root, clip.source), replace(clip, source=label(root, clip))) for root, clip in clips]


def without_duplicates(clips: list[tuple[str, Clip]]) -> list[tuple[str, Clip]]:
    """Each clip once, though runs may share recordings."""
    return list({(side_by_side.location(root, c.source), c.start, c.stop): (root, c) for root, c in clips}.values())


def draw(clips: list[T], most: int, seed: int) -> list[T]:
    """All clips, or `most` of them drawn at random with `seed`, in their original order."""
    return [clips[i] for i in sorted(np.random.default_rng(seed).permutation(len(clips))[:most])]


def labels(paths: list[Path], checkpoints: list[Checkpoint]) -> list[str]:
    """Different labels for the models: run names; if some are equal, names with steps, folders with steps, or numbered."""
    runs = [str(saved.settings["name"]) for saved in checkpoints]
    folders = [path.resolve().parent.parent.name for path in paths]
    run_labels, folder_labels = ([f"{name} step {saved.step}" for name, saved in zip(names, checkpoints, strict=True)]
                                 for names in (runs, folders))
    numbers = [f"{name} ({number})" for number, name in enumerate(run_labels, 1)]
    return next(names for names in (runs, run_labels, folder_labels, numbers) if len(set(names)) == len(names))


main = job(listen)
