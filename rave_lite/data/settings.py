"""The recordings that the settings `data` of a run name."""

from pathlib import Path
from typing import Any

from rave_lite.data import manifest
from rave_lite.data.catalogue import Catalogue, catalogue, resolve_root
from rave_lite.data.network import redact_url
from rave_lite.data.subset import select_training_subset
from rave_lite.errors import InputError


def load_catalogue(root: str, settings: dict[str, Any], sample_rate: int) -> Catalogue:
    """All recordings at `root`, split into training and held-out clips.

    Writes to `settings` what a later evaluation needs: the resolved root and the manifest's regions.
    """
    root = resolve_root(root)
    settings["root"] = redact_url(root)
    if settings["manifest"] == "":
        raise InputError("needs a value, as in data.manifest=manifest.csv: rave-lite curate writes one",
                         where="data.manifest")
    if settings["manifest"]:
        settings["manifest"] = resolve_root(settings["manifest"])
        settings["kept"] = manifest.load(Path(settings["manifest"]))
    return catalogue(root, sample_rate, held_out=settings["held_out"], seed=settings["split_seed"],
                     cache=settings["cache"], cache_gb=settings["cache_gb"], kept=settings.get("kept"))


def load_training_catalogue(root: str, settings: dict[str, Any], sample_rate: int) -> Catalogue:
    """`load_catalogue`, with the training clips that the settings select."""
    return select_training_subset(load_catalogue(root, settings, sample_rate), fraction=settings["fraction"],
                                  seed=settings["subset_seed"], without=settings["without"])
