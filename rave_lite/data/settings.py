"""The recordings that the settings `data` of a run name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rave_lite.data import manifest
from rave_lite.data.catalogue import Catalogue, catalogue, resolve_root
from rave_lite.data.network import redact_url
from rave_lite.data.sides import remember, widened
from rave_lite.data.split import matching
from rave_lite.data.subset import select_training_subset


def load_catalogue(root: str, settings: dict[str, Any], sample_rate: int,
                   memory: dict[str, Any] | None = None, by_take: bool = True, channels: int = 1) -> Catalogue:
    """All recordings at `root`, split into training and held-out clips; as `memory`, of a run that is resumed, says.

    `by_take`, `channels`: see `catalogue`. Writes to `settings` what a later evaluation needs: the resolved root and the
    manifest's regions.
    """
    root = resolve_root(root)
    settings["root"] = redact_url(root)
    if settings["manifest"]:
        settings["manifest"] = resolve_root(settings["manifest"])
        settings["kept"] = manifest.load(Path(settings["manifest"]))
    return catalogue(root, sample_rate, held_out=settings["held_out"], seed=settings["split_seed"],
                     cache=settings["cache"], cache_gb=settings["cache_gb"], kept=settings.get("kept"), memory=memory,
                     joins=True, by_take=by_take, channels=channels)


def load_training_catalogue(root: str, settings: dict[str, Any], sample_rate: int,
                            resumed: dict[str, Any] | None = None, channels: int = 1) -> Catalogue:
    """`load_catalogue`, with the training clips that the settings select.

    `resumed`: the settings of a run that goes on. It keeps its split, and with the same settings its share of the training
    files, which new files join. Writes the memory of both to `settings`.
    """
    memory, without = resumed.get("split") if resumed else None, settings["without"]
    same_share = resumed is not None and share_settings(resumed) == share_settings(settings)
    everything = load_catalogue(root, settings, sample_rate, memory if same_share or not memory else widened(memory),
                                by_take=resumed is None, channels=channels)
    sides = everything.sides
    if sides and sides.known and same_share:
        patterns = [without] if isinstance(without, str) else without
        left_out = set().union(*(matching(pattern, sides.new) for pattern in patterns))
        selected = replace(everything, train=[clip for clip in everything.train if clip.source not in left_out])
    else:
        to_train_on = replace(everything, train=everything.train + everything.unused)
        selected = select_training_subset(to_train_on, fraction=settings["fraction"], seed=settings["subset_seed"],
                                          without=without)
    settings["split"] = remember(settings["root"], selected.train, selected.held_out, everything.train + everything.unused,
                                 sample_rate, sides)
    return selected


def share_settings(data: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The settings that select what is trained on; those of an older version may lack some."""
    fraction = data.get("fraction", 1)
    return data.get("without", []), fraction, data.get("subset_seed") if fraction != 1 else None
