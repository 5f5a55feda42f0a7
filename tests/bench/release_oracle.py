"""Reference outputs of the public release, run as a black box, for tests/acids_rave.

    PYTHONPATH=. release/bin/python tests/bench/release_oracle.py FOLDER [data=RECORDINGS steps=80 cases=v2,v2_small]

in the venv of tests/bench/steps.py. Runs and streaming exports are left in FOLDER (python tests/bench/release_parity.py
FOLDER compares all of their samples). Without `data` their weights are those of tests/acids_rave/formula.py, and what
golden.npz and shapes.json there say of them is written anew; with it the release trains them, the later half of the steps
in its second phase.
"""

import json
import subprocess
import sys
from pathlib import Path

import cached_conv
import gin
import librosa
import numpy as np
import pytorch_lightning as pl
import rave
import torch

from tests.acids_rave.formula import CASES, FIXED, SAMPLES, STATISTICS, before, channels, played, signal, weights
from tests.bench.tabla import HELD_OUT

HERE = Path(__file__).parents[1] / "acids_rave"
CONFIGS = Path(rave.__file__).parent / "configs"
CAPACITY = 8
GIN_KEYS = ("get_padding.mode", "DILATIONS", "SAMPLING_RATE", "PHASE_1_DURATION", "RAVE.phase_1_duration", "periods =",
            "ResidualStack.dilations_list", "NoiseGenerator.ratios")
BLOCK = 8192
EVERY = 29  # samples between those kept


def build(case: str, run: Path, data: str | None, steps: int) -> rave.RAVE:
    """Builds a model of the release, and saves it as the release's training would."""
    gin.clear_config()
    bindings = [f"CAPACITY = {CAPACITY}", f"RAVE.n_channels = {channels(case)}", *(n for n in CASES[case] if "=" in n)]
    gin.parse_config_files_and_bindings([str(CONFIGS / f"{n}.gin") for n in CASES[case] if "=" not in n],
                                        bindings + [f"PHASE_1_DURATION = {steps // 2}"] * bool(data))
    torch.manual_seed(0)
    model = rave.RAVE()
    trainer = pl.Trainer(accelerator="cpu", max_steps=steps if data else 0, enable_checkpointing=False,
                         enable_progress_bar=False, num_sanity_val_steps=0, check_val_every_n_epoch=None,
                         val_check_interval=steps // 4, limit_val_batches=4,
                         callbacks=[rave.model.WarmupCallback()] if data else [],
                         logger=pl.loggers.TensorBoardLogger(run) if data else False)
    if data:
        sounds = torch.utils.data.DataLoader(windows(data), 2, shuffle=True, drop_last=True)
        trainer.fit(model, sounds, sounds)
        model.fidelity.copy_(torch.linspace(1 / len(model.fidelity), 1, len(model.fidelity)))  # exports keep all latents
    else:
        state = model.state_dict()
        state |= {k: torch.from_numpy(v) for k, v in weights(case, {k: list(v.shape) for k, v in state.items()}).items()}
        model.load_state_dict(state)
        if "learned" in case:
            learn(model)
        trainer.strategy.connect(model)
        model.trainer = trainer
    trainer.save_checkpoint(run / "version_0" / "checkpoints" / "last.ckpt")
    (run / "config.gin").write_text(gin.operative_config_str())
    return model.eval()


@torch.no_grad()
def learn(model: rave.RAVE) -> None:
    """Lets the instance normalisations hear a target and then a source."""
    model.eval()
    norms = [part for part in model.modules() if hasattr(part, "learn_x")]
    for side, size in (("y", 0.2), ("x", 0.3)):
        for norm in norms:
            getattr(norm, f"learn_{side}").fill_(1)
        for block in torch.from_numpy(signal(side, size=size)).split(BLOCK, -1):
            h = model.encoder(model.pqmf(block))[:, : model.latent_size]
            channels = model.decoder.net[0].in_channels - model.latent_size
            model.decoder(torch.cat([h, torch.zeros(1, channels, h.shape[2])], 1))
        for norm in norms:
            getattr(norm, f"learn_{side}").fill_(0)


def windows(folder: str, size: int = 131072) -> torch.Tensor:
    """Windows `(n, 1, size)` of the concatenated training recordings, a sixteenth of a window apart."""
    files = [f for f in sorted(Path(folder).iterdir()) if f.suffix in (".wav", ".flac") and f.stem not in HELD_OUT]
    sound = np.concatenate([librosa.load(f, sr=44100)[0] for f in files])
    return torch.from_numpy(sound).unfold(0, size, size // 16)[:, None]


def quiet(t, **_):
    return torch.full_like(t, 0.5)  # the mean of noise that is uniform between 0 and 1


@torch.no_grad()
def offline(model: rave.RAVE, case: str) -> dict[str, np.ndarray]:
    original_rand_like, torch.rand_like = torch.rand_like, quiet
    x, sides = torch.from_numpy(played(case)), channels(case)
    h = model.encoder(model.pqmf(x.view(sides, 1, -1)).reshape(1, -1, SAMPLES // len(model.pqmf.hk)))
    size, inputs = model.latent_size, model.decoder.net[0].in_channels
    z = model.encoder.reparametrize(h)[0] if "spherical" in case else h[:, :size]
    bands = model.decoder(torch.cat([z, torch.zeros(1, inputs - size, z.shape[2])], 1))
    y = model.pqmf.inverse(bands.reshape(sides, -1, bands.shape[2])).view(1, sides, -1)
    scores = torch.cat([f[-1].flatten()[:32] for f in model.discriminator(x[..., :32768])])
    outputs = {"z": z[0], "y": y[0].squeeze(0), "scores": scores}
    if (synth := noise_module(model.decoder)) is not None:
        torch.rand_like = lambda t, **_: torch.from_numpy(signal("noise", tuple(t.shape), 0.2)) + 0.5
        outputs["noise"] = synth(torch.from_numpy(signal("noise input", (1, CAPACITY, 64), 3)))[0]
    torch.rand_like = original_rand_like
    return {k: v.numpy() for k, v in outputs.items()}


def noise_module(decoder):
    """The noise synthesiser of v2 or of v1, None without one."""
    branches = getattr(getattr(decoder, "synth", None), "branches", [])
    return getattr(decoder, "noise_module", None) or (branches[2] if len(branches) > 2 else None)


def quieted(file: Path) -> torch.jit.ScriptModule:
    """A freshly loaded export whose noise adds nothing to the decoder."""
    live = torch.jit.load(str(file))
    state = live.state_dict()
    state["decoder.net.0.weight"][:, live.latent_pca.shape[0] :] = 0
    for key in (k for k in state if k.startswith(("decoder.noise_module.net.4", "decoder.synth.branches.2.net.4"))):
        state[key].zero_()
    return live


def encoded(file: Path, case: str, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents of the export's encoder, block by block, and the unscaled noise that a variational one adds."""
    live, latents, noise = quieted(file), [], []
    for block in torch.from_numpy(played(case)).split(BLOCK, -1):
        torch.manual_seed(seed)
        latents.append(live.encode(block))
        torch.manual_seed(seed)
        noise.append(torch.randn_like(latents[-1]))
        seed += 100
    return torch.cat(latents, -1)[0].double(), torch.cat(noise, -1)[0].double()


@torch.no_grad()
def streamed(file: Path, case: str) -> dict[str, np.ndarray]:
    """Latents and decoded sound, block by block, from the first sample of a fresh load."""
    if "wasserstein" in case or "spherical" in case:
        z = encoded(file, case, 0)[0]
    else:  # the mean, by regression on the noise that was added to it
        directions = quieted(file).latent_pca.double()
        z, noise = (torch.stack(v) for v in zip(*(encoded(file, case, seed) for seed in range(8)), strict=True))
        z, noise = torch.einsum("pl,spt->slt", directions, z), noise  # back in the encoder's basis, up to the mean
        slope = ((z - z.mean(0)) * (noise - noise.mean(0))).sum(0) / (noise - noise.mean(0)).square().sum(0)
        residual = (z - z.mean(0) - slope * (noise - noise.mean(0))).abs().max()
        print(case, f"of the encoder's noise {residual:.1e} is left", flush=True)
        z = directions @ (z.mean(0) - slope * noise.mean(0))
    has_noise = any(k.endswith("target_size") for k in quieted(file).state_dict())
    repeats = 8 if has_noise else 1  # averages out the noise synthesiser's floor
    y = torch.stack([decoded(file, z.float()[None], seed) for seed in range(repeats)]).mean(0)
    outputs = {"live z": z.float().numpy(), "live y": y[0].squeeze(0).numpy()}
    if "wasserstein" in case or "spherical" in case:  # a variational export draws its latents
        live = quieted(file)
        for block in torch.from_numpy(before(case)).split(BLOCK, -1):
            live(block)
        whole = torch.cat([live(block) for block in torch.from_numpy(played(case)).split(BLOCK, -1)], -1)
        outputs["live whole"] = whole[0].squeeze(0).numpy()
    return outputs


def decoded(file: Path, z: torch.Tensor, seed: int) -> torch.Tensor:
    """Output of the export's decoder, block by block, after its state from the export's self-test is cleared."""
    torch.manual_seed(seed)
    live = quieted(file)
    frames = BLOCK * z.shape[2] // SAMPLES
    silent = torch.zeros(1, z.shape[1], frames)
    if not any(kind in file.name for kind in ("wasserstein", "spherical")):  # a variational model's directions, of silence
        silent -= (live.latent_pca @ live.latent_mean)[:, None]
    for _ in range(8):
        live.decode(silent)
    return torch.cat([live.decode(p) for p in z.split(frames, -1)], -1)


def exported(run: Path, case: str) -> Path:
    """The streaming export of a run."""
    subprocess.run([str(Path(sys.executable).parent / "rave"), "export", "--run", str(run), "--streaming", "--name", case,
                    "--output", str(run), "--fidelity", "0.999", "--channels", str(channels(case))], check=True,
                   capture_output=True)
    return next(run.glob("*.ts"))


def caches(file: Path) -> dict[str, int]:
    live = torch.jit.load(str(file))
    return {f"{name}.{key}": int(value.shape[-1]) for name, part in live.named_modules()
            for key, value in part.named_buffers(recurse=False) if key == "pad"}


def main() -> None:
    folder = Path(sys.argv[1])
    golden, facts = {}, {}
    options = {"data": None, "steps": "80", "cases": ",".join(CASES)} | dict(a.split("=") for a in sys.argv[2:])
    for case in options["cases"].split(","):
        cached_conv.use_cached_conv(False)
        model = build(case, folder / case, options["data"], int(options["steps"]))
        shapes = {k: list(v.shape) for k, v in model.state_dict().items()}
        outputs, pads = offline(model, case), {}
        if "learned" in case:  # of the first stream
            outputs["statistics"] = np.concatenate([v[0].flatten().numpy() for k, v in model.state_dict().items()
                                                    if k.endswith(STATISTICS) and v.numel()])
        if not case.startswith("discrete"):  # what its exports do with a quantiser that was never trained is not compared
            file = exported(folder / case, case)
            outputs, pads = outputs | streamed(file, case), caches(file)
        np.savez(folder / case / "made.npz", **outputs)
        keep = {**dict.fromkeys(("z", "live z"), slice(4)),
                **dict.fromkeys(("y", "live y", "live whole"), (..., slice(None, None, EVERY)))}
        golden |= {f"{case} {k}": v[keep[k]] if k in keep else v for k, v in outputs.items()}
        golden[f"filters {len(model.pqmf.hk)}" + " of 40 dB" * (case == "brave")] = model.pqmf.hk.numpy()
        facts[case] = {"gin": [line for line in gin.operative_config_str().splitlines() if any(t in line for t in GIN_KEYS)],
                       "shapes": {k: v for k, v in shapes.items() if not k.startswith(FIXED) or k == "encoder.warmed_up"},
                       "caches": {k: v for k, v in pads.items()
                                  if "aligned" in k and "aligned.branches.0.net.3." not in k}}
        print(case, {k: (v.shape, round(float(np.abs(v).max()), 3)) for k, v in outputs.items()}, flush=True)
    if options["data"]:
        return
    before, shapes_file = dict(np.load(HERE / "golden.npz")), HERE / "shapes.json"
    np.savez_compressed(HERE / "golden.npz", **(before | golden))
    shapes_file.write_text(json.dumps(json.loads(shapes_file.read_text()) | facts, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
