"""Writes a page that plays recordings and their reconstructions by several models side by side."""

from pathlib import Path

from omegaconf import DictConfig

from rave_lite.data.split import named
from rave_lite.errors import InputError
from rave_lite.evaluation import side_by_side, vital_signs
from rave_lite.evaluation.evaluate import names_of
from rave_lite.evaluation.recordings import IMPORTED, choose_clips, draw, listed, run_catalogues
from rave_lite.model import RAVE, read_checkpoint
from rave_lite.pages import latents
from rave_lite.pages import listen as page
from rave_lite.runs import checkpoint_file


def listen(config: DictConfig) -> Path:
    """Writes index.html in `out`: held-out clips of the runs and a few training clips, or clips of data.root; and inputs.

    Returns the page's path.
    """
    path = Path(config.out).expanduser() / "index.html"
    paths = [checkpoint_file(path) for path in ([config.ckpt] if isinstance(config.ckpt, str) else config.ckpt)]
    checkpoints = [read_checkpoint(path) for path in paths]
    models = [RAVE.from_checkpoint(saved) for saved in checkpoints]
    rate, channels = max(model.sample_rate for model in models), max(model.channels for model in models)
    runs = [saved.settings for saved in checkpoints]
    root, cache = config.data.root, config.data.cache or runs[0]["data"]["cache"]
    all_inputs = listed(config.inputs, "inputs", rate, cache, channels=channels)
    inputs = draw(all_inputs, config.files, config.seed)
    catalogues = run_catalogues(runs, rate, root, cache, channels)
    clips = choose_clips(catalogues, rate, root, cache, files=config.files, training=config.max_train_clips,
                         seed=config.seed, channels=channels)
    if not clips and not inputs:
        raise InputError(f"{IMPORTED} or inputs=DIR", where=paths[0])
    shown_names = names_of([clip for _, clip in clips] or inputs)
    hit = shown_names[0] if config.hit is None else min(named([config.hit], shown_names, "hit: no recording on the page"))
    names = side_by_side.labels(paths, checkpoints)
    for warning in (text for model, name in zip(models, names, strict=True) for text in vital_signs.warnings(model, name)):
        print(f"warning: {warning}")
    total = f" of {len(all_inputs)}" if len(all_inputs) > len(inputs) else ""
    print(f"{len(clips)} recordings and {len(inputs)}{total} foreign inputs through {', '.join(names)}", flush=True)
    shown = list(side_by_side.recordings(models, clips, catalogues, rate, config.seed, config.seconds))
    foreign, together = (side_by_side.foreign(models, inputs, catalogues, rate, config.seed, config.seconds,
                                              config.calibrate, config.envelope) if inputs else ([], []))
    sections = latents.sections(models, names, shown or foreign, hit, config.walks, rate)
    page.write(path, names, shown, foreign, together, rate, sections)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB; open it in a browser")
    return path
