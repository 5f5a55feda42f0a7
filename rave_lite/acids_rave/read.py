"""Reads a run or a streaming export of the public release, without running its code or any pickled code.

Checkpoints are loaded as tensors and plain values (`weights_only=True`). A `.ts` is TorchScript, which is data for torch's
own interpreter, not Python; it is loaded for its weights and never called.
"""

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rave_lite.errors import InputError
from rave_lite.model.checkpoint import REQUIRED, load_plain

SUPPORTED = "supported: acids-rave 2.x, v1 and v2 in any size: a .ckpt, a run with config.gin, or a streaming export (.ts)"
LAYER = r"(encoder\.encoder|decoder)\.net\.(\d+)\."
UNSUPPORTED = (  # (pattern of weight names, kind of model), the most specific first
    (r"^(pre_net|post_net|synth|quantizer)\.", "a prior's checkpoint"),
    (r"\.gru", "a model with recurrent layers"),
    (r"^(spectrogram|encoder\.spectrogram)", "a model of spectrograms"))


@dataclass
class Run:
    """A run of the release: weights under its names, settings of config.gin by name, and properties of its files."""

    path: Path
    state: dict[str, Tensor]
    config: dict[str, Any] = field(default_factory=dict)
    text: str = ""  # of config.gin
    step: int = 0
    averaged: bool = False  # are these the averaged weights?
    caches: dict[str, int] | None = None  # of a streaming export: lengths of its layers' caches

    def setting(self, end: str, default: Any = None) -> Any:
        """The first value in config.gin whose name is, or after a dot ends with, `end`."""
        return next((v for k, v in self.config.items() if k == end or k.endswith(f".{end}")), default)


def read(path: Path, *, ema: bool = False) -> Run:
    """Reads a run of the release. For anything else raises InputError, which names what the file is."""
    if path.is_dir():
        path = newest(path)
    if not path.is_file():
        raise InputError(f"no such run; {SUPPORTED}", where=path)
    run = exported(path) if path.suffix == ".ts" else checkpoint(path, ema)
    name_adaptive_norms(run)
    check(run)
    return run


def name_adaptive_norms(run: Run) -> None:
    """Make each adaptive instance normalisation a part `norm` of the unit after it, and number the layers without them."""
    norms = {(m[1], int(m[2])) for key in run.state if (m := re.fullmatch(rf"{LAYER}mean_x", key))}

    def renumbered(values: dict[str, Any]) -> dict[str, Any]:
        kept = {}
        for key, value in values.items():
            m = re.fullmatch(rf"{LAYER}(.+)", key)
            if m is None:
                kept[key] = value
            else:
                before = sum(part == m[1] and n < int(m[2]) for part, n in norms)
                name = f"norm.{m[3]}" if (m[1], int(m[2])) in norms else m[3]
                kept[f"{m[1]}.net.{int(m[2]) - before}.{name}"] = value
        return kept

    if norms:
        run.state, run.caches = renumbered(run.state), renumbered(run.caches) if run.caches is not None else None


def newest(folder: Path) -> Path:
    """The `last.ckpt` of a run, else its newest checkpoint."""
    checkpoints = sorted(folder.rglob("*.ckpt"), key=lambda p: (p.stem == "last", p.stat().st_mtime))
    if not checkpoints:
        raise InputError(f"no checkpoint (.ckpt) in it; {SUPPORTED}", where=folder)
    return checkpoints[-1]


def checkpoint(path: Path, ema: bool) -> Run:
    """Reads a Lightning checkpoint, tensors and plain values only."""
    try:
        content = load_plain(path)
    except InputError as error:
        raise InputError(f"{error}; {SUPPORTED}") from error
    if isinstance(content, dict) and content.keys() >= REQUIRED:
        raise InputError(f"a rave_lite checkpoint already; {SUPPORTED}", where=path)
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise InputError(f"a torch file, but not a Lightning checkpoint; {SUPPORTED}", where=path)
    state = dict(content["state_dict"])
    if ema:
        state |= averages(path, content, state)
    text = next((f.read_text() for f in (p / "config.gin" for p in list(path.resolve().parents)[:3]) if f.is_file()), "")
    return Run(path, state, parse(text), text, int(content.get("global_step", 0)), ema)


def averages(path: Path, content: dict[str, Any], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The averaged weights that the release's EMA callback saved, under the names of `state`."""
    for name, callback_state in content.get("callbacks", {}).items():
        if name.startswith("EMA") and isinstance(callback_state, dict):
            averaged = {k: v for k, v in callback_state.items() if k in state and isinstance(v, Tensor)}
            if averaged:
                return averaged
    raise InputError("holds no averaged weights: import without ema=true", where=path)


def exported(path: Path) -> Run:
    """Reads a streaming export: weights, and cache lengths, which determine alignment and dilations."""
    try:
        module = torch.jit.load(str(path), map_location="cpu")
    except RuntimeError as error:
        raise InputError(f"not a TorchScript file that torch {torch.__version__} can load; {SUPPORTED}",
                         where=path) from error
    state = {k: v for k, v in module.state_dict().items() if not k.startswith("fake_adain.")}
    caches = {f"{name}.{key}": int(value.shape[-1]) for name, part in module.named_modules()
              for key, value in part.named_buffers(recurse=False) if key == "pad"}
    rate = getattr(module, "sampling_rate", None) or getattr(module, "sr", None)
    config = {"SAMPLING_RATE": int(rate)} if isinstance(rate, int | float) else {}
    if not caches and "pqmf.hk" in state:
        raise InputError(f"an export of the release without streaming, which does not tell its alignment: import "
                         f"its run; {SUPPORTED}", where=path)
    return Run(path, state, config, caches=caches)


def parse(text: str) -> dict[str, Any]:
    """The `name = value` lines of a config.gin by name: Python literals evaluated, %MACROS resolved, references as text."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE))
    values: dict[str, Any] = {}
    for name, value in re.findall(r"^([\w./]+)\s*=\s*(.*(?:\n[ \t]+.*)*)", joined, flags=re.MULTILINE):
        try:
            values[name] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            values[name] = value.strip()
    return {k: values.get(v[1:], v) if isinstance(v, str) and v.startswith("%") else v for k, v in values.items()}


def is_discrete(run: Run) -> bool:
    """Whether it is of `--config discrete`. The release never switches its quantiser on: its latents are continuous."""
    return "encoder.enabled" in run.state


def check(run: Run) -> None:
    """Raises InputError unless these are the weights of a v2 model."""
    keys = list(run.state)
    for pattern, kind in UNSUPPORTED:
        if any(re.search(pattern, key) for key in keys):
            raise InputError(f"{kind}; {SUPPORTED}", where=run.path)
    if is_discrete(run) and (run.caches is not None or run.state["encoder.enabled"].any()):
        raise InputError(f"a discrete model that quantises, or an export of one: import its run; {SUPPORTED}",
                         where=run.path)
    parts = ("encoder.encoder.net.0.", "decoder.net.0.", "latent_pca", "latent_mean", "fidelity")
    if not all(any(k.startswith(part) for k in keys) for part in parts):
        raise InputError(f"not a RAVE model: its weights are called {', '.join(keys[:3]) or 'nothing'}...; "
                         f"{SUPPORTED}", where=run.path)
    if "pqmf.hk" not in run.state:
        raise InputError(f"a model without filter bank; {SUPPORTED}", where=run.path)
