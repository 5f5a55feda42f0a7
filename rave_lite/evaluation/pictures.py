"""Pictures of sound."""

import io
from pathlib import Path
from typing import Any

import librosa
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image


def spectrograms(rows: dict[str, list[np.ndarray]], titles: list[str], sample_rate: int) -> Figure:
    """Log-mel spectrograms: a row per name, a column per title, `rows[name][column]` a mono signal; one scale, in dB."""
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
    hertz = [125, 500, 2000, 8000]
    mels = np.array([librosa.hz_to_mel(h) for h in hertz]) / librosa.hz_to_mel(sample_rate / 2) * 96
    axes[0][0].set_yticks(mels, [f"{h} Hz" if h < 1000 else f"{h // 1000} kHz" for h in hertz])
    figure.colorbar(image, ax=axes, label="mel power, dB", shrink=0.8)
    return figure


def log_mel(signal: np.ndarray, sample_rate: int) -> np.ndarray:
    """`(T,) -> (96, frames)`, dB."""
    mel = librosa.feature.melspectrogram(y=signal, sr=sample_rate, n_fft=1024, hop_length=128, n_mels=96)
    return 10 * np.log10(mel + 1e-9)


def thumbnail(signal: np.ndarray, sample_rate: int, width: int) -> bytes:
    """The log-mel spectrogram alone, `width` by 72 pixels, as WebP; its loudest bin bright, 70 dB less black."""
    level = log_mel(np.pad(signal, (0, max(0, 1024 - len(signal)))), sample_rate)
    colours = colormaps["magma"]((level[::-1] - level.max() + 70) / 70, bytes=True)[..., :3]
    out = io.BytesIO()
    Image.fromarray(colours).resize((width, 72), Image.Resampling.BOX).save(out, "WEBP", quality=70)
    return out.getvalue()


def save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
