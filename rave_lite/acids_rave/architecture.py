"""Derives our architecture from the shapes of the release's weights and from its configuration."""

import math
import re
from typing import Any

import torch
from torch import Tensor

from rave_lite.acids_rave import v1
from rave_lite.acids_rave.read import SUPPORTED, Run
from rave_lite.errors import InputError

# with weight norm, with new weight norm, folded
CONV_WEIGHT = re.compile(r"\.(weight_v|parametrizations\.weight\.original1|weight)$")
UNIT = "aligned.branches.0.net.1"
DEFAULT_DILATIONS = [1, 3, 9]


def convolutions(run: Run) -> dict[str, Tensor]:
    """Weights of the convolutions of encoder and decoder (with weight norm: its directions), by layer name."""
    return {CONV_WEIGHT.sub("", k): v for k, v in run.state.items()
            if CONV_WEIGHT.search(k) and k.startswith(("encoder.encoder.net.", "decoder."))}


def architecture(run: Run) -> dict[str, Any]:
    """The arguments of `RAVE`, without its bank. Raises InputError if our RAVE cannot represent the model."""
    first, n_bands = convolutions(run)["encoder.encoder.net.0"], run.state["pqmf.hk"].shape[0]
    if (channels := first.shape[1] // n_bands) > 2:
        raise InputError(f"{channels} channels of audio at once; supported: one or two", where=run.path)
    layers = v1.layers(run) if v1.is_v1(run) else v2_layers(run)
    if math.prod(layers["ratios"]) % 2:
        raise InputError(f"ratios {layers['ratios']}; supported are those of an even product", where=run.path)
    return {"sample_rate": sample_rate(run), "channels": channels, "stereo": "bands" if channels == 2 else "parametric",
            "n_bands": n_bands, "attenuation": run.setting("CachedPQMF.attenuation", 100), "capacity": first.shape[0],
            "alignment": alignment(run), **layers}


def v2_layers(run: Run) -> dict[str, Any]:
    """The arguments of `RAVE` that say which layers there are."""
    convs = convolutions(run)
    main = sorted((int(m[1]), name) for name in convs if (m := re.fullmatch(r"encoder\.encoder\.net\.(\d+)", name)))
    layers = [convs[name] for _, name in main]
    return {"ratios": [w.shape[2] // 2 for w in layers[1:-1]], "dilations": dilations(run, [at for at, _ in main][1:-1]),
            "latent": latent(run, layers[-1].shape[0], convs["decoder.net.0"].shape[1]), "noise": noise(run, convs),
            "activation": "snake_between" if "decoder.net.1.alpha" in run.state else "leaky_relu",
            "adaptive_norm": any(key.endswith(".norm.mean_x") for key in run.state)}


def sample_rate(run: Run) -> int:
    """Hz, from config.gin. Raises InputError if it is no integer."""
    rate = run.setting("SAMPLING_RATE", run.setting("RAVE.sampling_rate", 44100))
    if not isinstance(rate, int):
        raise InputError(f"config.gin gives a sampling rate of {rate!r}", where=run.path)
    return rate


def dilations(run: Run, strided: list[int]) -> list[list[int]]:
    """The dilations of the residual units before each strided layer; `strided`: the indices of those layers."""
    units = sorted(int(m[1]) for k in convolutions(run)
                   if (m := re.fullmatch(rf"encoder\.encoder\.net\.(\d+)\.{re.escape(UNIT)}", k)))
    stacks = [[u for u in units if lo < u < hi] for lo, hi in zip([0, *strided[:-1]], strided, strict=True)]
    if run.caches is not None:
        return [[run.caches[f"encoder.encoder.net.{u}.{UNIT}.cache.pad"] // 2 for u in stack] for stack in stacks]
    configured = run.setting("DILATIONS", run.setting("EncoderV2.dilations"))
    per_layer = configured if isinstance(configured, list) else [DEFAULT_DILATIONS[: len(stack)] for stack in stacks]
    per_layer = [per_layer] * len(stacks) if per_layer and isinstance(per_layer[0], int) else per_layer
    if [len(d) for d in per_layer] != [len(s) for s in stacks]:
        raise InputError(f"dilations {per_layer} in config.gin, but {[len(s) for s in stacks]} residual units; "
                         f"{SUPPORTED}", where=run.path)
    return per_layer


def latent(run: Run, encoded: int, decoded: int) -> dict[str, Any]:
    """The kind of latent, from the output channels of the encoder and the input channels of the decoder."""
    size = run.state["latent_pca"].shape[0]
    if encoded == 2 * size and decoded == size:
        return {"name": "variational", "size": size}
    if encoded != size or decoded < size:
        raise InputError(f"an encoder of {encoded} channels before a decoder of {decoded}, with {size} latents; "
                         f"{SUPPORTED}", where=run.path)
    spherical = "encoder.warmed_up" not in run.state  # all other encoders have it
    if spherical:
        return {"name": "spherical", "size": size}
    return {"name": "wasserstein", "size": size, "noise_channels": decoded - size, "kernel": "gaussian"}


def noise(run: Run, convs: dict[str, Tensor]) -> dict[str, Any] | None:
    """Settings of the noise synthesiser, None without one."""
    layers = [w for k, w in sorted(convs.items()) if k.startswith("decoder.noise_module.net.")]
    if not layers:
        return None
    return {"ratios": [w.shape[2] // 2 for w in layers], "hidden": layers[0].shape[0],
            "filter_bands": layers[-1].shape[0] // convs["encoder.encoder.net.0"].shape[1], "framewise": True}


def alignment(run: Run) -> str:
    """`release-causal` or `release-centered`: from the cache of a residual unit's skip, else config.gin, else centered."""
    if run.caches is not None:
        skip_is_delayed = any(v for k, v in run.caches.items() if k.endswith("aligned.paddings.1.pad"))
        return "release-centered" if skip_is_delayed else "release-causal"
    mode = run.setting("get_padding.mode", "centered")
    if mode not in ("causal", "centered"):
        raise InputError(f"config.gin gives a padding {mode!r}, neither causal nor centered", where=run.path)
    return f"release-{mode}"


def folded(weight: Tensor) -> dict[str, Tensor]:
    """Splits a plain weight into weight norm's magnitude and direction."""
    return {"original0": torch.linalg.vector_norm(weight, dim=(1, 2), keepdim=True), "original1": weight}
