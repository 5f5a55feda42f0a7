"""Weights and signals computed from names and shapes alone: the same here and beside the public release."""

import hashlib

import numpy as np

SAMPLES = 98304  # of the test signal
CASES = {"v2": ["v2"], "v2-causal": ["v2", "causal"], "v2-wasserstein": ["v2", "wasserstein"],
         "v2-wasserstein-causal": ["v2", "wasserstein", "causal"], "v2_small": ["v2_small"],
         "v2_small-causal": ["v2_small", "causal"], "v2-noise": ["v2", "noise"], "v2-spherical": ["v2", "spherical"],
         "v2-wasserstein-other": ["v2", "wasserstein", "RATIOS = [4, 4, 2, 2]", "LATENT_SIZE = 8", "SAMPLING_RATE = 48000",
                                  "DILATIONS = [[1, 3], [1, 9, 3], [1], [1, 2]]", "N_BAND = 8"],
         "v1": ["v1"], "v1-causal": ["v1", "causal", "LATENT_SIZE = 8"], "onnx": ["onnx", "LATENT_SIZE = 8"],
         "brave": ["v1", "causal", "LATENT_SIZE = 8", "RATIOS = [2, 2, 2, 1]", "blocks.Generator.use_noise = False",
                   "blocks.ResidualStack.dilations_list = [[3, 1], [9, 1], [27, 1], [36, 1]]",
                   "pqmf.CachedPQMF.attenuation = 40"],
         "discrete": ["discrete", "LATENT_SIZE = 8"], "discrete_v3": ["discrete_v3", "LATENT_SIZE = 8"],
         "v3": ["v3", "LATENT_SIZE = 8"],
         "v3-learned": ["v3", "LATENT_SIZE = 8"],  # their instance normalisations have heard a target and a source
         "adain-wasserstein-causal-learned": ["v2", "adain", "wasserstein", "causal", "LATENT_SIZE = 8"],
         "v2-wasserstein-causal-stereo": ["v2", "wasserstein", "causal", "noise", "LATENT_SIZE = 8"],
         "v2_small-stereo": ["v2_small", "LATENT_SIZE = 8"], "v1-stereo": ["v1", "LATENT_SIZE = 8"]}
V1_LAST = "decoder.synth.branches.0.weight_g"
SCALED = {"v1": {V1_LAST: 0.1}, "onnx": {V1_LAST: 0.1}, "brave": {V1_LAST: 0.06},  # so that peaks are about 1
          "v3": {"decoder.net.32.weight_g": 0.1, "encoder.encoder.net.32.weight_g": 0.2},  # by the first word of a case
          "discrete_v3": {"decoder.net.21.weight_g": 0.1, "encoder.encoder.net.21.weight_g": 0.2}}
FIXED = ("pqmf.", "receptive_field", "audio_distance", "multiband_audio_distance", "encoder.warmed_up",
         "decoder.noise_module.target_size", "decoder.synth.branches.2.target_size", "decoder.warmed_up",
         "encoder.enabled", "encoder.rvq.", "fake_adain")  # what the release sets itself
STATISTICS = (".mean_x", ".mean_y", ".std_x", ".std_y", ".num_update_x", ".num_update_y")
KEPT = ("num_batches_tracked", ".learn_x", ".learn_y", *STATISTICS)  # likewise


def channels(case: str) -> int:
    return 2 if "stereo" in case else 1


def played(case: str) -> np.ndarray:
    """The test signal of a case, `(1, channels, SAMPLES)`."""
    return signal(shape=(1, channels(case), SAMPLES))


def generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")))


def signal(name: str = "signal", shape: tuple[int, ...] = (1, 1, SAMPLES), size: float = 0.3) -> np.ndarray:
    return (size * generator(name).standard_normal(shape)).astype(np.float32)


def before(case: str) -> np.ndarray:
    """What an export plays first, to clear its state: silence, or noise for spherical latents (silence has NaN angles)."""
    return signal("before", (1, channels(case), SAMPLES), 0.3 if "spherical" in case else 0.0)


def weights(case: str, shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Weights for all names that the release does not set itself, scaled so that signals neither vanish nor explode."""
    factors = SCALED.get(case.split("-")[0], {})
    return {key: (factors.get(key, 1) * weight(key, tuple(shape), shapes)).astype(np.float32)
            for key, shape in shapes.items() if not key.startswith(FIXED) and not key.endswith(KEPT)}


def weight(key: str, shape: tuple[int, ...], shapes: dict[str, list[int]]) -> np.ndarray:
    noise = generator(key).standard_normal(shape)
    if key == "latent_pca":
        return np.linalg.qr(noise)[0]
    if key == "fidelity":
        return np.linspace(1 / shape[0], 1, shape[0])
    if key.endswith(".alpha"):
        return np.exp(0.5 * noise)
    if key.endswith("running_var"):
        return 0.5 + noise**2
    if key in ("latent_mean",) or key.endswith("bias"):
        return 0.1 * noise
    if key.endswith("weight_g"):
        taps = shapes[key[:-1] + "v"][2]
        gain = taps / 4 if key.startswith("decoder") and taps in (4, 8) else 1  # transposed: two taps reach each output
        quiet = key.startswith("decoder") and taps == 7 and not key.startswith("decoder.net.0.")
        return (0.03 if quiet else 1) * (1.2 + 0.2 * noise) * gain**0.5
    if key.endswith("weight"):
        return (2 if "noise" in key else 1) * noise / np.prod(shape[1:]) ** 0.5
    return noise
