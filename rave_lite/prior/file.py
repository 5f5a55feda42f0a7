"""The file of a prior: its weights, its figures, and the model that it belongs to."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import torch

from rave_lite.errors import InputError
from rave_lite.files import replacing
from rave_lite.model import RAVE
from rave_lite.model.checkpoint import load_matching, load_plain
from rave_lite.prior.fit import Figures
from rave_lite.prior.network import Prior
from rave_lite.runs import prior_file


def save(path: Path, prior: Prior, figures: Figures, model: RAVE, name: str) -> None:
    """Write a prior of `model`, which is called `name`, as tensors and plain values."""
    with replacing(path) as temporary:
        torch.save({"prior": prior.config, "state_dict": prior.state_dict(), "figures": asdict(figures),
                    "of": name, "fingerprint": fingerprint(model)}, temporary)


def load(path: str | Path, model: RAVE) -> tuple[Prior, Figures]:
    """The prior in a file, and its figures. Raises InputError if it is missing, none, or another model's."""
    path = prior_file(path)
    content = load_plain(path)
    if not isinstance(content, dict) or not content.keys() >= {"prior", "fingerprint", "figures"}:
        raise InputError("a torch file, but no prior; rave-lite prior ckpt=... makes one", where=path)
    if content["fingerprint"] != fingerprint(model):
        raise InputError(f"a prior of another model, {content['of']!r}, or of that run before it went on; make one of this: "
                         "rave-lite prior ckpt=...", where=path)
    prior = Prior(**content["prior"])
    load_matching(prior, content["state_dict"], path)
    return prior.eval(), Figures(**content["figures"])


def fingerprint(model: RAVE) -> str:
    """A hash of a model's weights and directions: the same for all checkpoints whose latents are the same."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
