"""What the shapes of the release's weights tell of the model, and what only its configuration does."""

import math
import re
from typing import Any

import torch
from torch import Tensor

from rave_lite.acids_rave.read import SUPPORTED, Run
from rave_lite.errors import InputError

CONV = re.compile(r"\.(weight_v|parametrizations\.weight\.original1|weight)$")  # with weight norm, new weight norm, folded
UNIT = "aligned.branches.0.net.1"
DILATIONS = [1, 3, 9]


def convolutions(run: Run) -> dict[str, Tensor]:
    """Directions or folded weights of encoder and decoder, by the name of their layer."""
    return {CONV.sub("", k): v for k, v in run.state.items()
            if CONV.search(k) and k.startswith(("encoder.encoder.net.", "decoder."))}


def architecture(run: Run) -> dict[str, Any]:
    """The arguments of `RAVE`, without its bank. Raises InputError where it could not be one of ours."""
    convs = convolutions(run)
    main = sorted((int(m[1]), name) for name in convs if (m := re.fullmatch(r"encoder\.encoder\.net\.(\d+)", name)))
    layers = [convs[name] for _, name in main]
    n_bands, capacity = run.state["pqmf.hk"].shape[0], layers[0].shape[0]
    if layers[0].shape[1] != n_bands:
        raise InputError(f"{run.path}: {layers[0].shape[1] // n_bands} channels of audio at once; supported: one")
    ratios = [w.shape[2] // 2 for w in layers[1:-1]]
    if math.prod(ratios) % 2:
        raise InputError(f"{run.path}: ratios {ratios}; supported are those of an even product")
    return {"sample_rate": sample_rate(run), "n_bands": n_bands, "attenuation": run.setting("CachedPQMF.attenuation", 100),
            "capacity": capacity, "ratios": ratios, "dilations": dilations(run, [at for at, _ in main][1:-1]),
            "latent": latent(run, layers[-1].shape[0], convs["decoder.net.0"].shape[1]), "noise": noise(run, convs),
            "alignment": alignment(run)}


def sample_rate(run: Run) -> int:
    rate = run.setting("SAMPLING_RATE", run.setting("RAVE.sampling_rate", 44100))
    if not isinstance(rate, int):
        raise InputError(f"{run.path}: config.gin gives a sampling rate of {rate!r}")
    return rate


def dilations(run: Run, downs: list[int]) -> list[list[int]]:
    """A list per strided layer, those lying at `downs`: as many as there are units before it."""
    units = sorted(int(m[1]) for k in convolutions(run)
                   if (m := re.fullmatch(rf"encoder\.encoder\.net\.(\d+)\.{re.escape(UNIT)}", k)))
    stacks = [[u for u in units if lo < u < hi] for lo, hi in zip([0, *downs[:-1]], downs, strict=True)]
    if run.caches is not None:
        return [[run.caches[f"encoder.encoder.net.{u}.{UNIT}.cache.pad"] // 2 for u in stack] for stack in stacks]
    told = run.setting("DILATIONS", run.setting("EncoderV2.dilations"))
    found = told if isinstance(told, list) else [DILATIONS[: len(stack)] for stack in stacks]
    found = [found] * len(stacks) if found and isinstance(found[0], int) else found
    if [len(d) for d in found] != [len(s) for s in stacks]:
        raise InputError(f"{run.path}: dilations {found} in config.gin, but {[len(s) for s in stacks]} residual units; "
                         f"{SUPPORTED}")
    return found


def latent(run: Run, encoded: int, decoded: int) -> dict[str, Any]:
    """By the channels that the encoder gives and the decoder takes."""
    size = run.state["latent_pca"].shape[0]
    if encoded == 2 * size and decoded == size:
        return {"name": "variational", "size": size}
    if encoded != size or decoded < size:
        raise InputError(f"{run.path}: an encoder of {encoded} channels before a decoder of {decoded}, with {size} latents; "
                         f"{SUPPORTED}")
    spherical = "encoder.warmed_up" not in run.state  # which all other encoders have
    if spherical:
        return {"name": "spherical", "size": size}
    return {"name": "wasserstein", "size": size, "noise_channels": decoded - size, "kernel": "gaussian"}


def noise(run: Run, convs: dict[str, Tensor]) -> dict[str, Any] | None:
    """Of the noise synthesiser, if there is one."""
    layers = [w for k, w in sorted(convs.items()) if k.startswith("decoder.noise_module.net.")]
    if not layers:
        return None
    return {"ratios": [w.shape[2] // 2 for w in layers], "hidden": layers[0].shape[0],
            "filter_bands": layers[-1].shape[0] // run.state["pqmf.hk"].shape[0], "framewise": True}


def alignment(run: Run) -> str:
    """`release-causal` or `release-centered`: by the memory of a residual's skip, else by config.gin, else the default."""
    if run.caches is not None:
        waits = any(v for k, v in run.caches.items() if k.endswith("aligned.paddings.1.pad"))
        return "release-centered" if waits else "release-causal"
    mode = run.setting("get_padding.mode", "centered")
    if mode not in ("causal", "centered"):
        raise InputError(f"{run.path}: config.gin gives a padding {mode!r}, neither causal nor centered")
    return f"release-{mode}"


def folded(weight: Tensor) -> dict[str, Tensor]:
    """A plain weight as weight norm's magnitude and direction."""
    return {"original0": torch.linalg.vector_norm(weight, dim=(1, 2), keepdim=True), "original1": weight}
