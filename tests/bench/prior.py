"""Measures priors: held-out likelihood, what they play beside the recordings, and the time of a block.

    python -m tests.bench.prior likelihood CKPT DATA HELD_OUT OUT [SEEDS] [STEPS]
    python -m tests.bench.prior rhythm CKPT DATA HELD_OUT PRIOR
    python -m tests.bench.prior strokes CKPT DATA HELD_OUT COUNTS [SEEDS] [DRUMS]
    python -m tests.bench.prior tempo CKPT PRIOR
    python -m tests.bench.prior time WHAT

HELD_OUT: names between commas, or every=8. `likelihood` trains a prior for each seed into OUT, and prints nats per frame,
the gain with several floors of the deviation (0.1 is the one it trains with), and `memorised` of 30 s that it plays.
`rhythm` compares 60 s that PRIOR plays with the recordings. `strokes` trains on COUNTS strokes, pretrained on rhythms of
the built-in DRUMS, as in rebana,hadrah, if there are any. `tempo`: intervals between the strokes of 60 s that PRIOR draws,
and the first direction in the frames after a stroke. `time`: decode alone, and generate, of WHAT: an exported FILE.ts with
a prior, a checkpoint, or random weights of a setting, as in model=v2.
"""

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from rave_lite.data import catalogue, search_and_cut
from rave_lite.evaluation.reconstruct import Reconstruction
from rave_lite.evaluation.timbre import kernel_distance, timbre
from rave_lite.export.torchscript import Live, export, load
from rave_lite.model import RAVE
from rave_lite.prior import network
from rave_lite.prior.file import load as load_prior
from rave_lite.prior.file import save
from rave_lite.prior.fit import fit, nats
from rave_lite.prior.generate import Performance, generate
from rave_lite.prior.judge import embedded_strokes, memorised, moved_share, rhythm
from rave_lite.prior.network import Prior
from rave_lite.prior.player import FREE, PriorPlayer
from rave_lite.prior.pretrain import built_in_rhythms
from rave_lite.prior.sequences import sequences
from tests.conftest import build

FLOORS = (0.1, 0.3, 1.0)


def sides(model: RAVE, data: str, held_out: str) -> tuple[list, list]:
    names = sorted(path.stem for path in Path(data).rglob("*") if path.suffix in (".wav", ".flac", ".aif", ".aiff"))
    chosen = names[7 :: int(held_out[6:])] if held_out.startswith("every=") else held_out.split(",")
    split = catalogue(data, model.sample_rate, held_out=chosen)
    return search_and_cut(split.train, model.sample_rate), search_and_cut(split.held_out, model.sample_rate)


def likelihood(ckpt: str, data: str, held_out: str, out: str, seeds: str = "0,1,2", steps: str = "1500") -> None:
    model = RAVE.from_checkpoint(ckpt)
    clips = sides(model, data, held_out)
    train, held = (sequences(model, side) for side in clips)
    reconstruct = Reconstruction(model)
    points = (embedded_strokes([reconstruct(clip.read()[None])[0] for clip in clips[1]], model.sample_rate),
              embedded_strokes([clip.read() for clip in clips[0]], model.sample_rate))
    for seed in map(int, seeds.split(",")):
        start = time.process_time()
        prior, figures = fit(model, train, held, seed=seed, steps=int(steps))
        used = time.process_time() - start
        save(Path(out) / f"prior_{seed}.ckpt", prior, figures, model, "bench")
        gains = []
        for floor in FLOORS:
            network.FLOOR = floor
            frames = sum(row.counted for row in held)
            ar1 = sum(float(prior.ar1(row.latents)[: row.counted].sum()) for row in held)
            gains.append((float(nats(prior, held).sum()) - ar1) / frames)
        network.FLOOR = FLOORS[0]
        sound = generate(model, prior, Performance(30.0, temperature=1.0, seed=seed))
        near = memorised(embedded_strokes([sound], model.sample_rate), *points)
        shown = {"prior": figures.prior, "AR(1)": figures.ar1, "shuffled": figures.shuffled, "gain": figures.gain,
                 **{f"gain at {floor}": gain for floor, gain in zip(FLOORS, gains, strict=True)}, "memorised": near}
        print(f"{Path(data).name} seed {seed}: {figures.strokes} strokes, {figures.frames} frames; step {figures.step}; "
              f"{', '.join(f'{name} {value:.2f}' for name, value in shown.items())}; {used:.0f} s of CPU", flush=True)


def play(ckpt: str, data: str, held_out: str, prior_file: str) -> None:
    model = RAVE.from_checkpoint(ckpt)
    prior, _ = load_prior(prior_file, model)
    train, held = ([clip.read() for clip in side] for side in sides(model, data, held_out))
    rate = model.sample_rate
    reconstruct = Reconstruction(model)
    reconstructed, answers = ([reconstruct(sound[None])[0] for sound in side] for side in (train, held))
    (density, intervals, _), (_, _, levels), target = rhythm(train, rate), rhythm(reconstructed, rate), timbre(train, rate)
    reference = kernel_distance(timbre(answers, rate), target)
    print(f"training set: {density:.2f} strokes/s; timbre of held-out recordings, reconstructed: {reference:.4f}; "
          "levels are compared with the training set reconstructed")
    shown = {"training set": train, "held out": held, "held out, reconstructed": answers}
    shown |= {f"temperature {t}, seed {seed}": [generate(model, prior, Performance(60.0, temperature=t, seed=seed))]
              for t, seed in ((1.0, 1), (1.0, 2), (1.0, 3), (0.7, 1))}
    for name, sounds in shown.items():
        often, apart, loud = rhythm(sounds, rate)
        distance = kernel_distance(timbre(sounds, rate), target)
        print(f"{name}: {often:.2f} strokes/s ({often / density - 1:+.0%}); to move: {moved_share(apart, intervals):.0%} of "
              f"intervals, {moved_share(loud, levels):.0%} of levels; timbre {distance:.4f} ({distance / reference:.2f})",
              flush=True)


def strokes(ckpt: str, data: str, held_out: str, counts: str, seeds: str = "0", drums: str = "") -> None:
    model, pretrained = RAVE.from_checkpoint(ckpt), None
    if drums:
        others = ([row for row in side if row.name.split("_")[0] in drums.split(",")] for side in built_in_rhythms(model))
        pretrained, _ = fit(model, *others)
    train, held = (sequences(model, side) for side in sides(model, data, held_out))
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0)).tolist()
    for count in map(int, counts.split(",")):
        chosen, total = [], 0
        for row in (train[i] for i in order):
            if total >= count:
                break
            ends = (~row.levels.isnan()).cumsum(0)
            keep = int((ends <= count - total).sum())
            row = replace(row, latents=row.latents[:keep], levels=row.levels[:keep], counted=min(row.counted, keep))
            chosen, total = [*chosen, row], total + row.strokes
        for seed in map(int, seeds.split(",")):
            _, figures = fit(model, chosen, held, seed=seed, pretrained=pretrained)
            print(f"{total} strokes, {figures.frames} frames, seed {seed}: {figures.prior:.2f} nats, "
                  f"AR(1) {figures.ar1:.2f}, gain {figures.gain:.2f}, step {figures.step}", flush=True)


@torch.no_grad()
def tempo(ckpt: str, prior_file: str) -> None:
    model = RAVE.from_checkpoint(ckpt)
    prior, _ = load_prior(prior_file, model)
    frames, usual = round(60 * model.sample_rate / model.hop), dict[int, float]()
    for seed, factor in ((seed, factor) for seed in (1, 2) for factor in (1.0, 0.5, 0.75, 1.5, 2.0)):
        player = PriorPlayer(prior, 1)
        player.set_seed(seed)
        player.turn(2, factor)
        latents, begins = [], []
        for t in range(frames):
            latents.append(player(torch.ones(1, 1, 1), torch.full((1, 1), FREE))[0, 0, 0])
            begins += [t] * bool(player.state[0, prior.layers * prior.hidden + prior.directions])
        apart, loudest = torch.tensor(begins).diff(), torch.stack(latents)
        counts = apart.bincount().cumsum(0)
        middle = int((counts < len(apart) / 2).sum())  # frames; the median is interpolated within this one
        median = middle - 0.5 + float((len(apart) / 2 - counts[middle - 1]) / (counts[middle] - counts[middle - 1]))
        usual[seed] = usual.get(seed, median)
        after = [float(loudest[torch.tensor(begins[:-1])[apart > k] + k].mean()) for k in range(4)]
        print(f"seed {seed}, tempo {factor}: {len(begins)} strokes; median interval {apart.median()} frames, {median:.2f} "
              f"interpolated, {median * factor / usual[seed]:.2f} of what it should be; first direction from a stroke on: "
              f"{', '.join(f'{value:.2f}' for value in after)}", flush=True)


def block_time(what: str) -> None:
    file = what
    with tempfile.TemporaryDirectory() as folder:
        if not what.endswith(".ts"):
            model, file = build(what).eval() if "=" in what else RAVE.from_checkpoint(what), f"{folder}/live.ts"
            prior = Prior(size=model.latent_size, directions=8)
            frames = torch.randn(400, model.latent_size)
            prior.measure(frames[1:], frames[:-1], torch.randn(50) - 20, torch.zeros(model.latent_size))
            export(Live(model, batch_size=1, prior=prior), Path(file), {})
        live = load(Path(file))
        live.get_methods()
        p, one = torch.zeros(1, live.latent_size, 1), torch.ones(1, 1, 1)
        calls = {"decode": lambda: live.decode(p), "prior": lambda: live.prior(one), "generate": lambda: live.generate(one)}
        spent = {name: [] for name in calls}
        with torch.inference_mode():
            for _ in range(400):
                for name, call in calls.items():
                    start = time.thread_time()
                    call()
                    spent[name].append(1000 * (time.thread_time() - start))
        medians = {name: statistics.median(times[50:]) for name, times in spent.items()}
    print(f"block of {live.hop}: " + ", ".join(f"{name} {ms:.3f} ms" for name, ms in medians.items()) +
          f"; generate is {medians['generate'] / medians['decode']:.2f} of decode (CPU time of one thread)")


if __name__ == "__main__":
    commands = {"likelihood": likelihood, "rhythm": play, "strokes": strokes, "tempo": tempo,
                "time": block_time}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    commands[sys.argv[1]](*sys.argv[2:])
