"""Checks that an exported file does what hosts rely on and equals its checkpoint; in a new process, on one thread:

    python -m rave_lite.export.verify FILE.ts [CHECKPOINT] [BLOCKS]     # prints the findings as JSON
"""

import copy
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rave_lite.errors import InputError
from rave_lite.export.answers import answers
from rave_lite.export.blocks import IRREGULAR, PROBE_HOPS, flush_samples, play_blocks, probe, stream_blocks
from rave_lite.export.torchscript import load
from rave_lite.layers import set_noise
from rave_lite.layers.resample import host_rate
from rave_lite.machine import peak_memory, resident_memory
from rave_lite.model import RAVE

TOLERANCE = 1e-5  # of full scale, float32
MIN_SNR = {"float16": 35.0, "bfloat16": 15.0, "int8": 10.0}  # dB, of precisions that round
MAX_CALL_RATIO = 1.5  # of the third call to the median
MAX_GROWTH = 4.0  # MiB over all blocks
DEAD = "answers to sound"  # the check that a dead model fails


@dataclass(frozen=True)
class Finding:
    """One check, its result in words, and whether that is well."""

    check: str
    result: str
    well: bool


def verify(file: Path, checkpoint: Path | None = None, *, blocks: int) -> list[Finding]:
    """Run all checks in a new process. `blocks`: how many to play for the memory check."""
    arguments = [str(file), str(checkpoint or ""), str(blocks)]
    process = subprocess.run([sys.executable, "-m", "rave_lite.export.verify", *arguments], capture_output=True, text=True,
                             check=False)
    if process.returncode:
        return [Finding("plays", process.stderr.strip()[-1500:], well=False)]
    return [Finding(**finding) for finding in json.loads(process.stdout.splitlines()[-1])]


def report(findings: list[Finding]) -> str:
    return "\n".join(f"  {'ok    ' if f.well else 'FAILED'} {f.check:26} {f.result}" for f in findings)


def load_own_export(file: Path) -> Any:
    """A file that `rave-lite export` wrote, loaded. Raises InputError when it is missing or something else."""
    live = load(file)
    if not hasattr(live, "regular"):
        raise InputError("TorchScript, but not a file that this version of rave-lite export wrote", where=file)
    return live


@torch.no_grad()
def findings(file: Path, model: RAVE | None, blocks: int) -> Iterator[Finding]:
    """Run every check; on a dead model only the first. As in hosts, blocks run in inference mode, all else outside."""
    live = load_own_export(file)
    alive = Finding(DEAD, *answers(live))
    yield alive
    if alive.well:  # else the other findings would hide it
        yield from protocol(live)
        yield from check_equivalence(live, model)
        yield from plays_by_itself(live)
        yield from fresh_start(live)
        yield from recovery(live)
        yield from attributes(live)
        yield steady(file)
        yield memory(live, blocks)


def protocol(live: Any) -> Iterator[Finding]:
    faults = []
    for name in live.get_methods():
        n_in, in_ratio, n_out, out_ratio = getattr(live, f"{name}_params").tolist()
        for streams in {1, min(4, live.batch_size)}:
            live.reset()
            y = stream_blocks(getattr(live, name), torch.zeros(streams, n_in, 2 * live.hop // in_ratio), [2 * live.hop])
            if y.shape != (streams, n_out, 2 * live.hop // out_ratio) or y.dtype != torch.float32 or not y.is_contiguous():
                faults.append(f"{name} gives {tuple(y.shape)} {y.dtype}")
        labels = len(getattr(live, f"{name}_input_labels")), len(getattr(live, f"{name}_output_labels"))
        if labels != (n_in, n_out):
            faults.append(f"{name} has {labels} labels")
    if any(p.requires_grad for p in live.parameters()):
        faults.append("parameters require gradients")
    yield Finding("protocol", "; ".join(faults) or ", ".join(live.get_methods()), not faults)


def check_equivalence(live: Any, model: RAVE | None) -> Iterator[Finding]:
    """With noise, all block sizes must sound the same; without noise, the file must equal the checkpoint."""
    x = probe(live)
    row = min(1, len(x) - 1)
    if live.precision != "int8":  # its activations are scaled block by block
        whole = play_blocks(live, x, [x.shape[2] // live.hop])
        for name, hops in (("blocks of one hop", [1]), ("irregular blocks", IRREGULAR)):
            yield within(name, play_blocks(live, x, hops), whole, live.precision)
        yield within("one stream alone", play_blocks(live, x[:1], IRREGULAR), whole[:1], live.precision)
    if model is None:
        return
    live.set_noise(0.0)
    set_noise(model, 0)
    expected, latent = offline(model, live, x)
    for name, rows in (("checkpoint, one stream", slice(row, row + 1)), ("checkpoint, streams", slice(0, None))):
        yield within(name, play_blocks(live, x[rows], IRREGULAR), expected[rows], live.precision)
    live.reset()
    latents = stream_blocks(live.encode, x, [n * live.hop for n in IRREGULAR])
    yield within("checkpoint, encode", latents, latent.reshape(latents.shape), live.precision)
    live.reset()
    if live.latent_size == model.latent_size:
        yield within("checkpoint, decode", stream_blocks(live.decode, latents, IRREGULAR), expected, live.precision)
    live.set_noise(1.0)


def plays_by_itself(live: Any) -> Iterator[Finding]:
    """The prior, of a file that has one, must draw the same latents in all block sizes."""
    if "prior" in live.get_methods():
        temperature, drawn = torch.ones(min(4, live.batch_size), getattr(live, "voices", live.channels), PROBE_HOPS), []
        for hops in ([PROBE_HOPS], [1], IRREGULAR):
            live.reset()
            drawn.append(stream_blocks(live.prior, temperature, hops))
        yield within("prior, one hop at a time", drawn[1], drawn[0], "float32")
        yield within("prior, irregular blocks", drawn[2], drawn[0], "float32")


def offline(model: RAVE, live: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """The checkpoint's output for the host's whole signal, and its latent at the host's frames, without rounding errors.

    The model computes in float64. In float32 it is as far from that as a correct file is: some 6e-6 where latents are far
    outside of what was trained.
    """
    exact = copy.deepcopy(model).double()
    to_model, to_host, hop, _ = host_rate(model.sample_rate, live.sample_rate, hop=model.hop, latency=model.latency,
                                          latent_size=model.latent_size, batch_size=len(x) * live.channels)
    sound = to_model(x.reshape(-1, 1, x.shape[2]))
    z = exact.encode(sound.reshape(-1, model.channels, sound.shape[2]).double())
    p = to_model.newest(exact.principal(z).float(), x.shape[2] // hop)[:, : live.latent_size]
    return to_host(exact.decode(z).float().reshape(sound.shape), x.shape[2]).reshape(x.shape), p


def fresh_start(live: Any) -> Iterator[Finding]:
    x = probe(live)[:1]
    first = play_blocks(live, x, IRREGULAR)
    yield within("after reset", play_blocks(live, x, IRREGULAR), first, "float32")
    silence = torch.zeros(1, live.channels, flush_samples(live))
    output = play_blocks(live, silence, IRREGULAR)[..., silence.shape[2] // 2 :]
    level = 20 * torch.log10(output.square().mean().sqrt() + 1e-10)
    yield Finding("silence", f"gives {float(level):.0f} dBFS", bool(level.isfinite()))


def recovery(live: Any) -> Iterator[Finding]:
    """After bad input and a receptive field of silence, the file must play as if the bad input had never come.

    An int8 file rounds by the loudest of a block and its past, layer by layer: it gets three fields, hop by hop.
    """
    live.set_noise(0.0)
    fields, blocks = (3, live.hop) if live.precision == "int8" else (1, flush_samples(live))
    x, silence = probe(live)[:1], torch.zeros(1, live.channels, fields * flush_samples(live))
    sign = torch.randn(1, live.channels, 4 * live.hop).sign()

    def play_after(value: float) -> tuple[Tensor, Tensor]:
        live.reset()
        with torch.inference_mode():
            during = live(value * sign)
            for part in silence.split(blocks, -1):
                live(part)
            return during, live(x)

    expected = play_after(0.0)[1]
    for name, value in (("NaN", float("nan")), ("infinity", float("inf")), ("1e30", 1e30), ("full scale", 1.0)):
        during, later = play_after(value)
        if during.isfinite().all():
            yield within(f"recovers from {name}", later, expected, "float32")
        else:
            yield Finding(f"recovers from {name}", "the output is not finite", well=False)
    live.set_noise(1.0)


def attributes(live: Any) -> Iterator[Finding]:
    """Every attribute must read back what was set, and ignore NaN; dry_wet and gain must change the output accordingly."""
    faults = []
    values = {"noise_on": 0.0, "from_silence": 1.0, "seed": 7.0, "reset": 0.0, "learn_source": 1.0,
              "reset_source": 0.0, "source_seconds": 2.0, "tempo": 1.5, "hold": 1.0, "learn_target": 1.0,
              "reset_target": 0.0}
    for name in live.get_attributes():
        put, get, value = getattr(live, f"set_{name}"), getattr(live, f"get_{name}"), values.get(name, 0.25)
        (before,) = get()
        if (codes := (put(value), put(math.nan))) != (0, 0) or get() != (value,):
            faults.append(f"{name}: set to {value}, then NaN: returns {codes}, reads {get()}")
        put(before)
    live.set_dry_wet(0.0)
    x = torch.randn(1, live.channels, flush_samples(live))
    delayed = play_blocks(live, x, [x.shape[2] // live.hop])[..., live.latency :]
    if not torch.equal(delayed, x[..., : x.shape[2] - live.latency]):
        faults.append(f"dry_wet 0 is not the input {live.latency} samples later")
    live.set_dry_wet(1.0)
    x = probe(live)
    plain = play_blocks(live, x, IRREGULAR)
    live.set_gain(0.5)
    if not torch.allclose(play_blocks(live, x, IRREGULAR), plain / 2, atol=1e-6):
        faults.append("gain 0.5 is not half")
    live.set_gain(1.0)
    yield Finding("attributes", "; ".join(faults) or f"all {len(live.get_attributes())}", not faults)


def steady(file: Path, loads: int = 12) -> Finding:
    """Compare the third call of a fresh load with later ones, at the pace of audio, whose pauses cool the caches.

    The fastest third call of up to `loads` counts: a busy machine may slow one, a compiler would slow each.
    """
    thirds, later = [], []
    for _ in range(loads):
        live = load_own_export(file)
        block = 0.1 * torch.randn(1, live.channels, live.hop)
        durations = []
        for _ in range(16):
            time.sleep(min(0.03, live.hop / live.sample_rate))
            durations.append(seconds(live, block))
        thirds.append(durations[2])
        later += durations[3:]
        if min(thirds) <= MAX_CALL_RATIO * statistics.median(later):
            break
    third, median = min(thirds), statistics.median(later)
    times = f"third call {1e3 * third:.2f} ms, then {1e3 * median:.2f} ms for {live.hop} samples"
    return Finding("steady from the third call", times, third <= MAX_CALL_RATIO * median)


def memory(live: Any, blocks: int) -> Finding:
    """Growth of the process's memory over `blocks` blocks, after a tenth of them."""
    block = 0.1 * torch.randn(1, live.channels, live.hop)
    with torch.inference_mode():
        for _ in range(blocks // 10):
            live(block)
        before = resident_memory() or peak_memory()
        for _ in range(blocks - blocks // 10):
            live(block)
        grown = (resident_memory() or peak_memory()) - before
    return Finding("memory", f"grows by {grown:.1f} MiB over {blocks} blocks", grown <= MAX_GROWTH)


def seconds(live: Any, block: Tensor) -> float:
    with torch.inference_mode():
        start = time.perf_counter()
        live(block)
        return time.perf_counter() - start


def within(check: str, output: Tensor, expected: Tensor, precision: str) -> Finding:
    """Compare: float32 to `TOLERANCE` of full scale or of a larger peak, else by the signal-to-noise ratio."""
    if precision == "float32":
        error = float((output - expected).abs().max() / expected.abs().max().clamp_min(1))
        return Finding(check, f"differs by {error:.1e}", error <= TOLERANCE)
    ratio = float(10 * torch.log10(expected.square().mean() / (output - expected).square().mean().clamp_min(1e-20)))
    return Finding(check, f"SNR {ratio:.1f} dB", ratio >= MIN_SNR[precision])


def main() -> None:
    file, checkpoint, blocks = sys.argv[1:]
    torch.set_num_threads(1)
    model = RAVE.from_checkpoint(checkpoint) if checkpoint else None
    print(json.dumps([asdict(f) for f in findings(Path(file), model, int(blocks))]))


if __name__ == "__main__":
    main()
