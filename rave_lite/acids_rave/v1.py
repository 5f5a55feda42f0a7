"""RAVE v1, of which `onnx`, `raspberry` and BRAVE are sizes: our architecture and our names for the release's weights."""

import math
import re
from typing import Any

from torch import Tensor

from rave_lite.acids_rave.read import SUPPORTED, Run
from rave_lite.errors import InputError

UNIT = re.compile(r"decoder\.net\.(\d+)\.net\.branches\.0\.net\.(\d+)\.net\.aligned\.branches\.0\.(\d+)\.weight(_v)?")
DILATIONS = [[1, 1], [3, 1], [5, 1]]  # where config.gin says none
NOISE = "decoder.synth.branches.2"
HEADS = {"decoder.synth.branches.0": "decoder.waveform", "decoder.synth.branches.1": "decoder.loudness"}


def is_v1(run: Run) -> bool:
    return "encoder.encoder.net.1.running_mean" in run.state


def strided(run: Run) -> list[Tensor]:
    """The weights of the encoder's strided layers, of kernel `2 * ratio + 1`."""
    weights, number = [], 3
    while (key := f"encoder.encoder.net.{number}.weight") in run.state:
        weights.append(run.state[key])
        number += 3
    return weights


def layers(run: Run) -> dict[str, Any]:
    """The arguments of `RAVE` that differ from v2's. Raises InputError for what our v1 has not."""
    ratios = [(w.shape[2] - 1) // 2 for w in strided(run)]
    size = run.state["latent_pca"].shape[0]
    last = run.state[f"encoder.encoder.net.{3 * len(ratios) + 2}.weight"]
    if last.shape[0] != 2 * size:
        raise InputError(f"an encoder of {last.shape[0]} channels for {size} latents; {SUPPORTED}", where=run.path)
    if any(".net.branches.1." in key for key in run.state):
        raise InputError(f"residual stacks of several kernels; {SUPPORTED}", where=run.path)
    channels = run.state["encoder.encoder.net.0.weight"].shape[0] * 2 ** len(ratios)
    return {"ratios": ratios, "dilations": dilations(run, len(ratios)), "latent": {"name": "variational", "size": size},
            "encoder": {"name": "strided", "groups": channels // last.shape[1]}, "decoder": {"name": "loudness"},
            "noise": noise(run)}


def dilations(run: Run, stages: int) -> list[list[list[int]]]:
    """Of each convolution of each residual unit: from the caches of an export, else config.gin, else the published ones."""
    convs = sorted((int(m[1]), int(m[2]), int(m[3])) for key in run.state if (m := UNIT.fullmatch(key)))
    units = sorted({(stack, unit) for stack, unit, _ in convs})
    if run.caches is not None:
        def dilation(stack: int, unit: int, conv: int) -> int:
            name = f"decoder.net.{stack}.net.branches.0.net.{unit}.net.aligned.branches.0.{conv}.cache.pad"
            return (run.caches or {})[name] // 2
        by_unit = {at: [dilation(*conv) for conv in convs if conv[:2] == at] for at in units}
        return [[by_unit[at] for at in units if at[0] == 2 * stage + 2] for stage in range(stages)]
    configured: list[list[int]] = run.setting("ResidualStack.dilations_list", DILATIONS)
    if [len(d) for d in configured] * stages != [sum(c[:2] == at for c in convs) for at in units]:
        raise InputError(f"dilations {configured} in config.gin are not those of the weights; {SUPPORTED}", where=run.path)
    return [configured] * stages


def noise(run: Run) -> dict[str, Any] | None:
    """Settings of the noise synthesiser, None without one; its ratios are equal where config.gin says none."""
    weights = [run.state[f"{NOISE}.net.{i}.weight"] for i in range(0, 99, 2) if f"{NOISE}.net.{i}.weight" in run.state]
    if not weights:
        return None
    frame = int(run.state[f"{NOISE}.target_size"])
    ratios: list[int] = run.setting("NoiseGenerator.ratios", [round(frame ** (1 / len(weights)))] * len(weights))
    if math.prod(ratios) != frame or len(ratios) != len(weights):
        raise InputError(f"noise ratios {ratios} in config.gin, but frames of {frame}; {SUPPORTED}", where=run.path)
    return {"ratios": ratios, "hidden": weights[0].shape[0], "kernel_size": weights[0].shape[2], "framewise": True,
            "filter_bands": weights[-1].shape[0] // run.state["encoder.encoder.net.0.weight"].shape[1]}


def name(theirs: str, stages: int) -> str:
    """Our name of a layer of encoder or decoder, of so many stages."""
    if theirs in HEADS:
        return HEADS[theirs]
    if theirs.startswith(f"{NOISE}.net."):
        return theirs.replace(NOISE, "decoder.noise")
    if m := re.fullmatch(r"encoder\.encoder\.net\.(\d+)", theirs):
        stage, kind = divmod(int(m[1]), 3)
        if int(m[1]) in (0, 3 * stages + 2):
            return "encoder.last" if stage else "encoder.first"
        return f"encoder.stages.{stage}.normalise" if kind else f"encoder.stages.{stage - 1}.down"
    if m := re.fullmatch(r"decoder\.net\.(\d+)\.net\.1", theirs):
        return f"decoder.stages.{int(m[1]) // 2}.up"
    if m := UNIT.fullmatch(f"{theirs}.weight"):
        return f"decoder.stages.{int(m[1]) // 2 - 1}.units.{m[2]}.branch.{m[3]}"
    return "decoder.first"
