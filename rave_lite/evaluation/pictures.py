"""Pictures: spectrograms, latent walks, learning curves and thumbnails."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import librosa
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from rave_lite.data import audio
from rave_lite.evaluation import latents
from rave_lite.evaluation.learning_curve import Point, amount
from rave_lite.model import RAVE

WALKS = 16  # most directions that are drawn
N_FFT = 1024  # samples


def spectrograms(rows: dict[str, list[np.ndarray]], titles: list[str], sample_rate: int) -> Figure:
    """Log-mel spectrograms on one dB scale: a row per name, a column per title; `rows[name][column]` is a mono signal."""
    widths = [max(len(signals[c]) for signals in rows.values()) for c in range(len(titles))]
    figure = Figure(figsize=(2.2 + 2.6 * len(titles), 0.6 + 2.0 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(titles), squeeze=False, sharey=True,
                           width_ratios=[max(w, 1) ** 0.5 for w in widths])
    image: Any = None
    for row, (name, signals) in zip(axes, rows.items(), strict=True):
        for ax, title, signal in zip(row, titles, signals, strict=True):
            image = ax.imshow(log_mel(signal, sample_rate), origin="lower", aspect="auto", cmap="magma", vmin=-80, vmax=20,
                              extent=(0, len(signal) / sample_rate, 0, 96))
            if ax in axes[0]:
                ax.set_title(title, fontsize=9)
            if ax in axes[-1]:
                ax.set_xlabel("s", fontsize=8)
            ax.tick_params(labelsize=7)
        row[0].set_ylabel(name, fontsize=9)
    label_hertz(axes[0][0], sample_rate)
    figure.colorbar(image, ax=axes, label="mel power, dB", shrink=0.8)
    return figure


def latent_walk(model: RAVE, sound: np.ndarray, title: str = "") -> Figure:
    """The spectrogram of a sound `(T,)` or `(2, T)`, and below it the course of its latent over the same time.

    A row per audible principal direction, at most 16, the strongest first, labelled with its share of the variance; all on
    one scale, in standard deviations of the training set.
    """
    walk, shares, sample_rate = latents.walk(model, sound)[:WALKS], model.principal.shares().tolist(), model.sample_rate
    rows, seconds = len(walk), sound.shape[-1] / sample_rate
    figure = Figure(figsize=(4.2, 1.7 + 0.34 * rows), layout=ConstrainedLayoutEngine(h_pad=0.01, hspace=0))
    top, *axes = figure.subplots(1 + rows, 1, sharex=True, squeeze=False, height_ratios=[4] + [1] * rows)[:, 0]
    top.imshow(log_mel(audio.mix(sound), sample_rate), origin="lower", aspect="auto", cmap="magma", vmin=-80, vmax=20,
               extent=(0, seconds, 0, 96))
    label_hertz(top, sample_rate)
    top.set_title(title, fontsize=9, parse_math=False)
    reach = max(3.0, float(np.abs(walk).max(initial=0)) * 1.05)
    edges = np.minimum(np.arange(walk.shape[1] + 1) * model.hop / sample_rate, seconds)
    for number, (ax, line, share) in enumerate(zip(axes, walk, shares, strict=False), 1):
        ax.axhspan(-2, 2, color="0.93", lw=0)
        ax.axhline(0, color="0.7", lw=0.6)
        ax.stairs(line, edges, baseline=None, color="#a2431c", lw=1.3)
        ax.set(ylim=(-reach, reach), yticks=[])
        ax.set_ylabel(f"{number}: {latents.percent(share)}", fontsize=8, rotation=0, ha="right", va="center")
        ax.spines[["top", "right", "left", "bottom"]].set_visible(False)
    for ax in (top, *axes):
        ax.tick_params(labelsize=8, bottom=ax is (axes or [top])[-1])
    (axes or [top])[-1].set_xlabel("s; the grey bands are ±2 σ" if axes else "s", fontsize=8)
    top.set_xlim(0, seconds)
    return figure


def label_hertz(ax: Any, sample_rate: int) -> None:
    """Label the vertical axis of a `log_mel` picture with frequencies."""
    hertz = [125, 500, 2000, 8000]
    mels = np.array([librosa.hz_to_mel(h) for h in hertz]) / librosa.hz_to_mel(sample_rate / 2) * 96
    ax.set_yticks(mels, [f"{h} Hz" if h < 1000 else f"{h // 1000} kHz" for h in hertz])


def learning_curve(points: Sequence[Point], title: str) -> Figure:
    """Held-out distance over minutes of audio: a dot per run, a thin line per seed, mean and deviation per fraction."""
    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    ax = figure.subplots()
    seeds = sorted({p.seed for p in points})
    for seed in seeds:
        runs = sorted((p for p in points if p.seed == seed), key=lambda p: p.fraction)
        ax.plot([p.minutes for p in runs], [p.held_out for p in runs], "-o", color="tab:blue", alpha=0.45, lw=0.8, ms=6,
                mec="none", label="held out: each run, a line a seed" if seed == seeds[0] else None)
    groups = [[p for p in points if p.fraction == f] for f in sorted({p.fraction for p in points})]
    minutes = [float(np.mean([p.minutes for p in group])) for group in groups]
    means = [np.mean([p.held_out for p in group]) for group in groups]
    spreads = [np.std([p.held_out for p in group], ddof=1) for group in groups] if len(seeds) > 1 else None
    ax.errorbar(minutes, means, spreads, fmt="-D", color="tab:blue", lw=1.8, ms=7, capsize=6, mec="white",
                label="held out: mean" + (" and standard deviation" if len(seeds) > 1 else ""))
    ax.plot(minutes, [np.mean([p.train for p in group]) for group in groups], "--s", color="tab:gray", lw=1.2, ms=5,
            label="trained on: mean")
    ax.set_xscale("log", base=2)
    ax.set_xticks(minutes, [f"{amount(m)}\n{g[0].fraction:.3g}" for m, g in zip(minutes, groups, strict=True)])
    ax.minorticks_off()
    ax.set_xlabel("audio to train on, mean of the runs; fraction of the recordings")
    ax.set_ylabel("distance to the recordings: lower is better")
    ax.set_title(title, fontsize=10, loc="left")
    ax.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def log_mel(signal: np.ndarray, sample_rate: int) -> np.ndarray:
    """Log-mel spectrogram `(T,) -> (96, frames)`, dB."""
    mel = librosa.feature.melspectrogram(y=signal, sr=sample_rate, n_fft=N_FFT, hop_length=128, n_mels=96)
    return 10 * np.log10(mel + 1e-9)


def brightest(signal: np.ndarray, sample_rate: int) -> float:
    """The loudest bin of the log-mel spectrogram of `(T,)`, dB."""
    return float(log_mel(_at_least_a_window(signal), sample_rate).max())


def thumbnail(signal: np.ndarray, sample_rate: int, width: int, *, height: int = 72, top: float | None = None) -> bytes:
    """A log-mel spectrogram as WebP, in pixels; `top` dB (by default the loudest bin) is bright, 70 dB less is black."""
    level = log_mel(_at_least_a_window(signal), sample_rate)
    colours = colormaps["magma"]((level[::-1] - (level.max() if top is None else top) + 70) / 70, bytes=True)[..., :3]
    out = io.BytesIO()
    Image.fromarray(colours).resize((width, height), Image.Resampling.BOX).save(out, "WEBP", quality=70)
    return out.getvalue()


def _at_least_a_window(signal: np.ndarray) -> np.ndarray:
    return np.pad(signal, (0, max(0, N_FFT - len(signal))))


def outline(signal: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest sample of each of `columns` equal stretches, `(columns,)` each; of `T` if the signal is shorter."""
    edges = np.linspace(0, len(signal), min(columns, len(signal)), endpoint=False).astype(int)
    return np.minimum.reduceat(signal, edges), np.maximum.reduceat(signal, edges)


def webp(figure: Figure) -> bytes:
    """The figure as WebP, for screens of twice the usual density."""
    raw, out = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, dpi=200)
    Image.open(raw).convert("RGB").save(out, "WEBP", quality=80)
    return out.getvalue()


def save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
