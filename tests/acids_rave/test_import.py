"""Imports of the public release's models, against its own outputs (tests/bench/release_oracle.py)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rave_lite import InputError, set_noise
from rave_lite.acids_rave import convert, read
from rave_lite.acids_rave.architecture import architecture
from rave_lite.acids_rave.bank import skew, taps
from rave_lite.layers import NoiseSynth, stream
from rave_lite.model import RAVE, Checkpoint, load_matching, read_checkpoint
from rave_lite.training.discriminators import Discriminator
from tests.acids_rave.formula import CASES, SAMPLES, STATISTICS, before, channels, played, signal, weights
from tests.commands import fails, rave_lite
from tests.streaming import assert_streams

HERE = Path(__file__).parent
SHAPES = json.loads((HERE / "shapes.json").read_text())
TOLERANCE = 1e-4  # of full scale
EVERY = 29
EARLIER = {"v2_small-causal": -48, "v2-noise": -48, "v2-wasserstein-other": -40, "brave": -16, "v1": -1056,
           "v2-wasserstein-causal-stereo": 16, "v1-stereo": -1056}  # other frames of noise, other bands
LIVE = [case for case in CASES if not case.startswith("discrete")]  # whose exports were played, too
V1 = [case for case in CASES if case.startswith(("v1", "onnx", "brave"))]
OWN_PAST = [*V1, *(case for case in CASES if "learned" in case)]  # which silence has, behind normalisations


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return {k: torch.from_numpy(v) for k, v in np.load(HERE / "golden.npz").items()}


@pytest.fixture
def run(tmp_path, golden):
    """The folder of a run as the release leaves it: a Lightning checkpoint and config.gin."""
    def make(case: str, **more: Tensor) -> Path:
        state = {k: torch.from_numpy(v) for k, v in weights(case, SHAPES[case]["shapes"]).items()}
        state["pqmf.hk"] = filters(case, golden)
        state |= {k: torch.zeros((), dtype=torch.int64) for k in SHAPES[case]["shapes"] if k == "encoder.warmed_up"}
        state |= statistics(case, golden)
        if case.startswith("discrete"):
            state["encoder.enabled"] = torch.tensor(0)
        if "decoder.synth.branches.2.net.0.weight" in state:
            state["decoder.synth.branches.2.target_size"] = torch.tensor(64)
        folder = tmp_path / case / "version_0" / "checkpoints"
        folder.mkdir(parents=True)
        torch.save({"state_dict": state | more, "global_step": 70, "epoch": 1, "callbacks": {}}, folder / "last.ckpt")
        (tmp_path / case / "config.gin").write_text("\n".join(SHAPES[case]["gin"]) + "\n")
        return tmp_path / case
    return make


def filters(case: str, golden: dict[str, Tensor]) -> Tensor:
    """The release's filter bank with the number of bands that the encoder takes."""
    shapes, first = SHAPES[case]["shapes"], "encoder.encoder.net.0.weight"
    n_bands = shapes.get(f"{first}_v", shapes.get(first))[1] // channels(case)
    return golden[f"filters {n_bands}" + " of 40 dB" * (case == "brave")]


def statistics(case: str, golden: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the release's instance normalisations have learned, of their first stream; else nothing."""
    shapes = {k: v for k, v in SHAPES[case]["shapes"].items() if k.endswith(STATISTICS)}
    sizes, state = [v[1] if len(v) > 1 else 1 for v in shapes.values()], {}
    learned = golden.get(f"{case} statistics", torch.zeros(sum(sizes)))
    for (key, shape), values in zip(shapes.items(), learned.split(sizes), strict=True):
        state[key] = torch.zeros(shape)
        state[key][0] = values.view(shape[1:])
    return state


def imported(path: Path, **options) -> RAVE:
    return quiet(convert(read(path), name="it", **options))


def quiet(checkpoint: Checkpoint) -> RAVE:
    model = RAVE.from_checkpoint(checkpoint)
    set_noise(model, 0)
    return model


def error(output: Tensor, expected: Tensor, lo: int, hi: int, shift: int) -> float:
    return float((output[..., lo + shift : hi + shift] - expected[..., lo:hi]).abs().max())


def scores(checkpoint: Checkpoint) -> Tensor:
    """The first 32 scores of each discriminator, ordered as in tests/bench/release_oracle.py."""
    discriminator = Discriminator(**checkpoint.settings["discriminator"])
    load_matching(discriminator, checkpoint.part("discriminator"), "it")
    outputs = [f[-1] for f in discriminator(torch.from_numpy(signal())[..., :32768])]
    in_order = [f.unflatten(0, (1, -1)).transpose(1, 3).flatten() if i < len(discriminator.periods) else f.flatten()
                for i, f in enumerate(outputs)]
    return torch.cat([f[:32] for f in in_order])


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_the_run_offline(case, run, golden):
    """Equal in the interior, but for a constant delay, which the checkpoint states."""
    checkpoint = convert(read(run(case)), name="it")
    model = quiet(checkpoint)
    x = torch.cat([torch.from_numpy(played(case)), torch.zeros(1, channels(case), 16 * 2048)], -1)
    z, y = model.encode(x)[0, :4], model(x)[0].squeeze(0)
    last = SAMPLES - 36864
    edge = 49152 if case == "v1-causal" else 36864  # its past is longer
    assert error(z, golden[f"{case} z"], edge // model.hop, last // model.hop, model.encoder.delay) <= TOLERANCE
    shift = checkpoint.release["later"]
    if case not in V1 or model.latency:
        release_bank = model.pqmf.n_bands + ("causal" in case or case == "brave") * filters(case, golden).shape[1]
        assert shift == model.latency - release_bank
    expected = golden[f"{case} y"]
    at = EVERY * torch.arange(expected.shape[-1])
    inside = (at >= edge) & (at < last)
    assert (y[..., at[inside] + shift] - expected[..., inside]).abs().max() <= TOLERANCE


@pytest.mark.sampled(3)
@pytest.mark.parametrize("case", [c for c in LIVE if "spherical" not in c])
@torch.no_grad()
def test_streamed_from_the_first_sample(case, run, golden):
    """Equal to the release's streaming export, block by block; ours is earlier."""
    model = imported(run(case), live=True)
    x = torch.from_numpy(played(case))
    encoder, whole = stream(model), stream(model)
    z = torch.cat([encoder.encode(block) for block in x.split(model.hop, -1)], -1)[0]
    expected = golden[f"{case} live z"]
    if model.config["latent"]["name"] == "variational":
        z = model.principal(z[None])[0]
    settled = model.receptive_field + 2 * model.hop if case in OWN_PAST else 0
    assert error(z[:4], expected, 1 + settled // model.hop, expected.shape[1], -1) <= TOLERANCE
    y = torch.cat([whole(block) for block in x.split(3 * model.hop, -1)], -1)[0].squeeze(0)
    expected = golden[f"{case} live y"]
    at = EVERY * torch.arange(expected.shape[-1])
    shift = EARLIER.get(case, -80) - model.hop
    reached = at + shift >= settled
    assert settled or expected[..., ~reached].abs().max() <= TOLERANCE
    assert (y[..., at[reached] + shift] - expected[..., reached]).abs().max() <= TOLERANCE


@torch.no_grad()
def test_a_spherical_export_streamed(run, golden):
    """Input to output, as its latents are angles; after noise, as silence has NaN angles."""
    model = stream(imported(run("v2-spherical"), live=True))
    x = torch.cat([torch.from_numpy(before("v2-spherical")), torch.from_numpy(signal())], -1)
    y = torch.cat([model(block) for block in x.split(3 * 2048, -1)], -1)[0, 0, -signal().shape[-1] :]
    expected = golden["v2-spherical live whole"]
    at = EVERY * torch.arange(len(expected))
    reached = at >= 2128
    assert expected.abs().max() > 0.1
    assert (y[at[reached] - 2128] - expected[reached]).abs().max() <= TOLERANCE


class Part(nn.Module):
    """A scriptable module that holds only `values`, by dotted name at any depth."""

    def __init__(self, values: dict[str, Tensor]):
        super().__init__()
        inner: dict[str, dict[str, Tensor]] = {}
        for name, value in values.items():
            head, _, remainder = name.partition(".")
            if remainder:
                inner.setdefault(head, {})[remainder] = value
            else:
                self.register_buffer(head, value)
        for head, part in inner.items():
            self.add_module(head, Part(part))

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.sampled(3)
@pytest.mark.parametrize("case", LIVE)
def test_a_streaming_export_is_read_like_its_run(case, run, tmp_path):
    """Its weights are folded; its cache lengths determine alignment and dilations."""
    state = torch.load(run(case) / "version_0/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    for key in [k for k in state if k.endswith("weight_g")]:
        g, v = state.pop(key), state.pop(f"{key[:-1]}v")
        state[key.removesuffix("_g")] = g * v / v.flatten(1).norm(dim=1).view(-1, *[1] * (v.dim() - 1))
    state = {k: v for k, v in state.items() if not k.startswith("discriminator")}
    pads = {k: torch.zeros(1, 1, n) for k, n in SHAPES[case]["caches"].items()}
    part = Part(state | pads)
    part.sampling_rate = convert(read(tmp_path / case), name="it").sample_rate
    torch.jit.save(torch.jit.script(part), tmp_path / "it.ts")
    from_export = convert(read(tmp_path / "it.ts"), name="it")
    from_run = convert(read(tmp_path / case), name="it", live=True)
    assert from_export.architecture == from_run.architecture
    with torch.no_grad():
        x = torch.from_numpy(played(case))[..., :32768]
        expected = quiet(from_run)(x)
        assert torch.allclose(quiet(from_export)(x), expected, atol=1e-5)
    assert not from_export.part("discriminator")


@pytest.mark.parametrize("case", ["v2_small", "v2-noise", "v1"])
@torch.no_grad()
def test_the_noise_synthesiser_given_the_same_noise(case, golden, run):
    model = imported(run(case))
    config = model.config["noise"]
    synth = NoiseSynth(8, 16, **config, alignment="release-centered")
    synth.load_state_dict(model.decoder.noise.state_dict())
    drawn = torch.from_numpy(signal("noise", (1, 64 // synth.frame, 16, synth.frame), 0.2))  # (frame, band, time)

    class Given(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * 3**0.5 * drawn.transpose(1, 2).flatten(2)

    synth.noise = Given()
    y = synth(torch.from_numpy(signal("noise input", (1, 8, 64), 3)))[0]
    assert (y - golden[f"{case} noise"]).abs().max() <= TOLERANCE * float(golden[f"{case} noise"].abs().max())


@pytest.mark.parametrize("case", ["v2", "v1"])
@torch.no_grad()
def test_discriminators_score_alike(case, run, golden):
    checkpoint = convert(read(run(case)), name="it")
    assert (scores(checkpoint) - golden[f"{case} scores"]).abs().max() <= TOLERANCE


@pytest.mark.parametrize("case", ["v2_small", "v2-wasserstein-causal", "v2-spherical", "onnx", "brave",
                                  "adain-wasserstein-causal-learned", "v2-wasserstein-causal-stereo"])
def test_imports_keep_the_contract(case, run):
    model = imported(run(case))
    assert_streams(model, hop=model.hop, channels=channels(case), frames=24 + model.latency // model.hop)


def test_realigned(run):
    path = run("v2-wasserstein")
    trained, moved = imported(path), imported(path, realign="causal")
    assert moved.latency == 368 < trained.latency == 24736
    assert moved.config["alignment"] == "causal"


def test_averaged_weights(run):
    path = run("v2")
    with pytest.raises(InputError, match="no averaged weights"):
        read(path, ema=True)
    file = path / "version_0/checkpoints/last.ckpt"
    content = torch.load(file, weights_only=True)
    key = "decoder.net.0.weight_v"
    content["callbacks"] = {"EMA": {key: content["state_dict"][key] * 2}}
    torch.save(content, file)
    assert torch.equal(read(path, ema=True).state[key], 2 * content["state_dict"][key])


def test_a_latency_is_never_negative(run):
    """With few ratios, a causal model of the release looks further ahead than its bank delays."""
    release_run = read(run("v2-causal"))
    arguments = architecture(release_run) | {"ratios": [16, 8], "dilations": [[1], [1]]}
    filters = release_run.state["pqmf.hk"]
    band_offset = skew(filters, RAVE(**arguments).encoder, "release-causal", live=False)
    model = RAVE(**arguments, bank={"taps": taps(filters), "alternate": True, "skew": band_offset})
    assert model.decoder.delay * 16 + model.pqmf.delay < 0 == model.latency
    assert model.reconstruct(torch.randn(1, 1, 3000)).shape[-1] == 3000


@pytest.mark.slow
@pytest.mark.parametrize("case", ["v2-wasserstein-causal", "v2", "v2-spherical", "v1-causal", "v2_small-stereo"])
def test_it_goes_on_learning(case, run, write, tmp_path):
    """Training both phases from an import gives an ordinary run with the same architecture, which can be evaluated."""
    convert(read(run(case)), name="it").save(tmp_path / "it.ckpt")
    for i in range(3):
        write(f"{i}.wav", 0.3)
    kind = "wasserstein" if "wasserstein" in case else "spherical" if "spherical" in case else "variational"
    done = rave_lite("train", f"transfer.from={tmp_path / 'it.ckpt'}", f"data.root={tmp_path / 'audio'}",
                     f"data.cache={tmp_path / 'cache'}", f"out={tmp_path / 'run'}", f"latent={kind}", "data.window=65536",
                     "data.batch_size=1", "data.workers=0", "phase1.steps=1", "phase2.steps=2", "discriminator.capacity=8",
                     "trainer.val_check_interval=3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "discriminators" in done.stdout
    checkpoint = read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")
    assert checkpoint.architecture == read_checkpoint(tmp_path / "it.ckpt").architecture
    assert all(v.isfinite().all() for v in checkpoint.state_dict.values())
    done = rave_lite("evaluate", f"ckpt={tmp_path / 'it.ckpt'}", f"data.root={tmp_path / 'audio'}",
                     f"out={tmp_path / 'judged'}")
    assert done.returncode == 0, done.stdout + done.stderr
    fails("say which: data.root=DIR", "evaluate", f"ckpt={tmp_path / 'it.ckpt'}", f"out={tmp_path / 'judged'}")
    fails("start one with transfer.from", "train", f"resume={tmp_path / 'it.ckpt'}", f"data.root={tmp_path / 'audio'}",
          f"out={tmp_path / 'other'}")


@pytest.mark.parametrize(("key", "what"), [
    ("pre_net.0.weight", "a prior's checkpoint"), ("post_net.2.bias", "a prior's checkpoint"),
    ("encoder.enabled", "a discrete model that quantises"),
    ("decoder.net.0.gru.weight_ih_l0", "recurrent")])
def test_other_models_are_named(key, what, run):
    with pytest.raises(InputError, match=rf"{what}.*supported: acids-rave 2"):
        read(run("v2", **{key: torch.ones(1)}))


def test_other_files_are_named(tmp_path):
    for content, what in (({"state_dict": {"conv.weight": torch.zeros(1)}}, "not a RAVE model: its weights are called conv"),
                          ({"weights": torch.zeros(1)}, "not a Lightning checkpoint"),
                          ({"state_dict": {}, "model": {}, "step": 0}, "a rave_lite checkpoint already"),
                          ({"state_dict": Path("x")}, "not a checkpoint of tensors and plain values")):
        torch.save(content, tmp_path / "x.ckpt")
        with pytest.raises(InputError, match=what):
            read(tmp_path / "x.ckpt")
    with pytest.raises(InputError, match="no such run"):
        read(tmp_path / "y.ckpt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no checkpoint"):
        read(tmp_path / "empty")
    (tmp_path / "x.ts").write_bytes(b"no")
    with pytest.raises(InputError, match="not a TorchScript file"):
        read(tmp_path / "x.ts")
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(tmp_path / "x.ts"))
    with pytest.raises(InputError, match="not a RAVE model: its weights are called"):
        read(tmp_path / "x.ts")


@pytest.mark.parametrize("case", ["v2-wasserstein-causal", "v2", "v2-spherical"])
def test_directions_are_measured_where_recordings_are_given(case, run, write, tmp_path):
    """Otherwise the same function. Without recordings the output says that the release's directions stay."""
    for i in range(3):
        write(f"{i}.wav", 0.5)
    path, models = run(case), {}
    for name, more in (("plain", []), ("measured", [f"data.root={tmp_path / 'audio'}", f"data.cache={tmp_path / 'cache'}"])):
        done = rave_lite("import", f"run={path}", f"out={tmp_path / name}.ckpt", *more)
        assert done.returncode == 0, done.stderr
        assert ("as the release left them" in done.stdout) == (name == "plain")
        models[name] = RAVE.from_checkpoint(tmp_path / f"{name}.ckpt")
    plain, measured = models["plain"], models["measured"]
    assert not plain.principal.measured
    assert measured.principal.measured
    assert measured.principal.variance.diff().max() <= 0
    others = {k: v for k, v in plain.state_dict().items() if not k.startswith("principal.")}
    assert all(torch.equal(v, measured.state_dict()[k]) for k, v in others.items())
    fails("no such file or folder", "import", f"run={path}", f"out={tmp_path / 'x.ckpt'}", "data.root=nowhere")


def test_the_command(run, tmp_path):
    """From a run to a streaming file, by the commands."""
    out = tmp_path / "it.ckpt"
    done = rave_lite("import", f"run={run('v2-wasserstein-causal')}", f"out={out}")
    assert done.returncode == 0, done.stderr
    assert "latency          96 samples, 2.2 ms" in done.stdout
    done = rave_lite("import", f"run={tmp_path / 'v2-wasserstein-causal'}", f"out={tmp_path / 'r.ckpt'}", "realign=causal")
    assert "368 samples" in done.stdout
    assert "96 samples" in done.stdout
    done = rave_lite("export", f"ckpt={out}", f"out={tmp_path / 'it.ts'}", "blocks=20")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "directions are as imported" in done.stderr
    file = next((tmp_path / "v2-wasserstein-causal").rglob("*.ckpt"))
    fails("is the run's own file", "import", f"run={file}", f"out={file}")
    fails("no such run", "import", f"run={tmp_path / 'nowhere'}", f"out={out}")
    fails("it may be causal or centered", "import", f"run={out}", f"out={out}", "realign=sideways")
    fails("a rave_lite checkpoint already", "import", f"run={out}", f"out={out}")
