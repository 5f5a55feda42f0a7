"""Makes a base of a run: its weights alone, smaller, with a card; `transfer.from=base:NAME` finds it from then on.

    python recipes/base_pack.py RUN NAME [also=RECORDINGS] [SET=FIGURES ...]

RUN: the run of `rave-lite train recipe=base`, or a checkpoint of it. FIGURES: a figures.json of `rave-lite evaluate` for a
set that was held out, as in tabla=runs/base/tabla/figures.json; the means go on the card. RECORDINGS: in words, what it was
trained on beside the list. Writes rave_lite/bases/NAME.ckpt.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rave_lite.errors import InputError
from rave_lite.model import RAVE, Checkpoint, read_checkpoint
from rave_lite.runs import BASES

SOURCES = Path(__file__).with_name("base_sources.csv")
KEPT = ("seed", "minutes", "phase1", "phase2", "training", "loss", "augmentation", "discriminator", "latent")  # settings
DATA = {"root": None, "manifest": None, "cache": None, "held_out": 0.1, "cache_gb": 20}  # knows no recordings, as an import


def pack(run: Checkpoint, name: str, figures: dict[str, dict[str, float]], also: str = "") -> Checkpoint:
    """The base of a run: averaged weights, latents rescaled, discriminators, settings without paths, a card.

    Directions are in half precision.
    """
    model = RAVE.from_checkpoint(run)
    rescale_latents(model)
    state = {f"model.{key}": value for key, value in model.state_dict().items()}
    state |= {f"discriminator.{key}": value for key, value in run.part("discriminator").items()}
    data = ", ".join(["recipes/base_sources.csv", "rave-lite drums seed=0", *([also] if also else [])])
    card = {"data": data, "sources_sha256": sha256(SOURCES),
            "licence": "CC0-1.0", "steps": run.step, "held_out_distance": run.best_distance, "figures": figures}
    settings = {key: run.settings[key] for key in KEPT} | {"name": f"base_{name}", "data": DATA, "card": card}
    return Checkpoint(run.path, run.architecture, {key: halved(key, value) for key, value in state.items()}, run.step,
                      run.phase, settings)


@torch.no_grad()
def rescale_latents(model: RAVE) -> None:
    """Give the latents a mean variance of 1; the output stays what it is.

    The penalty hardly pulls on latents that are far from its target, and in a long run they may drift to a hundred times it.
    """
    if model.config["latent"]["name"] != "wasserstein":
        raise InputError("no base: its latent is not wasserstein's", where=model.config["latent"]["name"])
    scale = model.principal.variance.mean().sqrt()
    last, first = model.encoder.last, model.decoder.first
    last.parametrizations.weight.original0[: model.latent.size] /= scale
    weight = first.weight.clone()
    weight[:, : model.latent.size] *= scale
    first.weight = weight
    model.principal.mean /= scale
    model.principal.variance /= scale**2


def halved(name: str, value: Tensor) -> Tensor:
    """Directions of weight-normalised layers in half precision; all else, their lengths too, as it is."""
    half = value.half() if name.endswith("original1") else value
    if not half.isfinite().all():
        raise InputError("does not fit half precision", where=name)
    return half


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def means(figures: Path) -> dict[str, Any]:
    """The means that `rave-lite evaluate` wrote; of an evaluation of foreign inputs those of the transfer, too."""
    report = json.loads(figures.read_text())
    return report["mean"] | ({"transfer": report["transfer"]["mean"]} if "transfer" in report else {})


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    source, base, *sets = sys.argv[1:]
    try:
        given = dict(word.split("=", 1) for word in sets)
        also = given.pop("also", "")
        packed = pack(read_checkpoint(source), base, {name: means(Path(path)) for name, path in given.items()}, also)
    except InputError as error:
        sys.exit(str(error))
    target = BASES / f"{base}.ckpt"
    packed.save(target)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB\n{json.dumps(packed.settings['card'], indent=2)}")
