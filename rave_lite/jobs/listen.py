"""A page on which recordings and what models make of them are heard side by side."""

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
from rave_lite.model import RAVE, read_checkpoint
from rave_lite.pages import latents
from rave_lite.pages import listen as page

T = TypeVar("T")


def listen(config: DictConfig) -> None:
    """index.html in `out`: the runs' held-out clips and a few training clips, or those of data.root; and the inputs."""
    check_numbers(config, seconds=0.1, files=1, heard=0, walks=0, seed=0)
    if not config.ckpt:
        raise InputError("ckpt: name at least one checkpoint")
    path = Path(config.out).expanduser() / "index.html"
    if path.parent.exists() and not path.parent.is_dir():
        raise InputError(f"out: {path.parent}: a file is there; name a folder")
    paths = [Path(path).expanduser() for path in ([config.ckpt] if isinstance(config.ckpt, str) else config.ckpt)]
    checkpoints = [read_checkpoint(path) for path in paths]
    models = [RAVE.from_state(saved, path) for saved, path in zip(checkpoints, paths, strict=True)]
    rate = max(model.sample_rate for model in models)
    runs = [saved["config"] for saved in checkpoints]
    cache = config.data.cache or runs[0]["data"]["cache"]
    given = listed(config.inputs, "inputs", rate, cache)
    inputs = some(given, config.files, config.seed)
    own = of_runs(runs, rate, config.data.root, cache)
    clips = chosen(config, own, rate, cache)
    if not clips and not inputs:
        raise InputError(f"{paths[0]}: {IMPORTED} or inputs=DIR")
    played = names_of([clip for _, clip in clips] or inputs)
    hit = played[0] if config.hit is None else min(named([config.hit], played, "hit: no recording on the page"))
    names = labels(paths, checkpoints)
    for warning in (w for model, name in zip(models, names, strict=True) for w in vital_signs.warnings(model, name)):
        print(f"warning: {warning}")
    most = f" of {len(given)}" if len(given) > len(inputs) else ""
    print(f"{len(clips)} recordings and {len(inputs)}{most} foreign inputs through {', '.join(names)}", flush=True)
    shown = list(side_by_side.recordings(models, clips, own, rate, config.seed, config.seconds))
    foreign, together = (side_by_side.foreign(models, inputs, own, rate, config.seed, config.seconds) if inputs
                         else ([], []))
    page.write(path, names, shown, foreign, together, rate, latent(models, names, shown or foreign, hit, config.walks, rate))
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB; open it in a browser")


def latent(models: list[RAVE], names: list[str], shown: list[SideBySide], hit: str, walks: int,
           sample_rate: int) -> Iterator[str]:
    """A section per model: the walks of the first recordings, and the one called `hit` along each direction."""
    for model, name in zip(models, names, strict=True) if walks else ():
        rate = model.sample_rate
        heard = {one.name: one.original if rate == sample_rate else soxr.resample(one.original, sample_rate, rate)
                 for number, one in enumerate(shown) if number < walks or one.name == hit}
        yield from latents.section(model, name, dict(list(heard.items())[:walks]), (hit, heard[hit]))


def of_runs(runs: list[dict[str, Any]], sample_rate: int, root: str | None, cache: str | None) -> list[Catalogue | None]:
    """The recordings of each run, as far as they are known."""
    found: list[Catalogue | None] = []
    for number, run in enumerate(runs):
        same = next((i for i in range(number) if runs[i]["data"] == run["data"] and runs[i]["seed"] == run["seed"]), None)
        found.append(known(run, sample_rate, root=root, cache=cache) if same is None else found[same])
    return found


def chosen(config: DictConfig, own: list[Catalogue | None], sample_rate: int, cache: str | None) -> list[tuple[str, Clip]]:
    """What is shown, each with where its file is: of data.root, unless a run's recordings are there now; or of the runs'."""
    different = list({id(found): found for found in own if found is not None}.values())
    if config.data.root and not any(are_at(config.data.root, found) for found in different):
        root = redact_url(resolve_root(config.data.root))
        clips = [(root, clip) for clip in listed(config.data.root, "data.root", sample_rate, cache, whole=False)]
        clips = some(clips, config.files, config.seed)
    else:
        held = [(found.root, clip) for found in different for clip in found.held_out]
        heard = [(found.root, clip) for found in different
                 for clip in to_compare(found, -(-config.heard // len(different)), config.seed)]
        clips = some(unlike(held), config.files, config.seed) + unlike(heard)[: config.heard]
    roots = {source: {root for root, clip in clips if clip.source == source} for source in {c.source for _, c in clips}}
    called = lambda root, clip: f"{Path(root).name}/{clip.source}" if len(roots[clip.source]) > 1 else clip.source
    return [(side_by_side.location(root, clip.source), replace(clip, source=called(root, clip))) for root, clip in clips]


def unlike(clips: list[tuple[str, Clip]]) -> list[tuple[str, Clip]]:
    """Each only once: runs may share recordings."""
    return list({(side_by_side.location(root, c.source), c.start, c.stop): (root, c) for root, c in clips}.values())


def some(clips: list[T], most: int, seed: int) -> list[T]:
    """All, or `most` of them drawn with `seed`, in their order."""
    return [clips[i] for i in sorted(np.random.default_rng(seed).permutation(len(clips))[:most])]


def labels(paths: list[Path], checkpoints: list[dict[str, Any]]) -> list[str]:
    """The runs' names; where those are the same with their steps, then their folders instead, then numbered."""
    runs = [str(saved["config"]["name"]) for saved in checkpoints]
    folders = [path.resolve().parent.parent.name for path in paths]
    steps, apart = ([f"{name} step {saved['step']}" for name, saved in zip(names, checkpoints, strict=True)]
                    for names in (runs, folders))
    numbers = [f"{name} ({number})" for number, name in enumerate(steps, 1)]
    return next(names for names in (runs, steps, apart, numbers) if len(set(names)) == len(names))


main = job(listen)
