"""The exported file: the protocol of hosts, the same samples, its attributes, and checks that fail for broken files."""

import copy
import json
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rave_lite import InputError, reset, set_noise, stream
from rave_lite.export import precision
from rave_lite.export.blocks import play_blocks, stream_blocks
from rave_lite.export.card import name_warnings
from rave_lite.export.torchscript import Live, export, load
from rave_lite.export.verify import findings, offline, steady, verify
from rave_lite.model import RAVE
from tests.conftest import build
from tests.models import with_snakes, with_statistics, written

SMALL = "model.capacity=6"
BLOCKS = 60  # for the memory check
TIMED = "steady from the third call"  # not asserted where tests share the machine


def audible(*overrides: str) -> RAVE:
    """A random model that is not nearly silent, its principal directions fitted."""
    model = with_statistics(build(*overrides).eval())
    with torch.no_grad():
        model.decoder.waveform.weight = 20 * model.decoder.waveform.weight
    model.fit_principal(torch.randn(2, model.channels, 40 * model.hop, generator=torch.Generator().manual_seed(0)))
    return model


def failed(file: Path, model: RAVE | None, blocks: int = BLOCKS) -> dict[str, str]:
    return {f.check: f.result for f in findings(file, model, blocks) if not f.well and f.check != TIMED}


@torch.no_grad()
def test_a_file_is_compared_with_its_checkpoint_in_float64(tmp_path):
    """The checkpoint's own rounding would be held against the file."""
    model, x = audible("model=tiny", SMALL), torch.randn(1, 1, 24 * 2048)
    set_noise(model, 0)
    expected, latents = offline(model, load(written(model, tmp_path)), x)
    rounded, exact = model(x), copy.deepcopy(model).double()(x.double())
    assert expected.dtype == latents.dtype == torch.float32
    assert (expected - exact).abs().max() <= 1e-7 * exact.abs().max() < (rounded - exact).abs().max()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A model, its file, and the file loaded; each test resets it."""
    model = audible("model=tiny", SMALL)
    path = written(model, tmp_path_factory.mktemp("export"))
    return model, path, load(path)


def test_hosts_find_what_they_ask_for(tiny):
    model, path, _ = tiny
    files = {"metadata.json": ""}
    live = torch.jit.load(str(path), _extra_files=files)
    assert json.loads(files["metadata.json"]) == {"name": "x"}
    assert live.get_methods() == ["encode", "decode", "forward"]
    assert live.encode_params.tolist() == [1, 1, 16, model.hop]
    assert live.decode_params.tolist() == [16, model.hop, 1, 1]
    assert live.forward_params.tolist() == [1, 1, 1, 1]
    assert (live.sample_rate, live.hop, live.latency, live.regular) == (44100, model.hop, model.latency, True)
    assert (live.sampling_rate, live.full_latent_size, live.stereo) == (44100, 16, False)
    assert len(live.encode_output_labels) == len(live.decode_input_labels) == 16
    assert not any(p.requires_grad for p in live.parameters())
    assert "model" not in dict(live.named_children())
    for name in live.get_attributes():
        assert [type(v) for v in getattr(live, f"get_{name}")()] == [float]  # one each: nn.ar knows no other
        assert getattr(live, f"{name}_params").tolist() == [2]
    assert live.get_attributes()[:4] == ["scale_1", "bias_1", "scale_2", "bias_2"]
    assert live.get_attributes()[32:] == ["noise", "noise_on", "seed", "dry_wet", "gain", "from_silence", "reset",
                                          "learn_source", "reset_source", "source_seconds", "calibrate", "envelope"]
    assert live.set_sample_rate(96000) == 0
    assert live.sample_rate == 44100


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("overrides", "options"), [
    (["model=tiny"], {}),
    (["model=tiny"], {"batch_size": 1, "latent_size": 3}),
    (["model=tiny", "model.alignment=centered"], {"channels": 2}),
    (["model=v2", "latent=variational"], {"latent_size": 16}),
    (["model=v2_small"], {"sample_rate": 48000}),
    (["model=v2_small"], {"precision": "bfloat16"}),
    (["model=low_latency"], {"sample_rate": 88200, "channels": 2, "batch_size": 2}),
    (["model=v2"], {"sample_rate": 32000, "latent_size": 3, "precision": "int8"}),
    (["model=low_latency", "model.alignment=centered"], {"sample_rate": 48000, "precision": "float16"}),
    (["model=v2_small"], {"precision": "int8"}),
    (["model=tiny", "model.capacity=24"], {"precision": "int8"}),
    (["model=v1", "latent=variational"], {"latent_size": 16}),
    (["model=v1", "latent=variational"], {"precision": "int8"}),
    (["model=v1", "model.alignment=centered"], {"channels": 2, "precision": "float16"}),
    (["model=brave", "latent=variational"], {"sample_rate": 48000, "latent_size": 5})])
def test_every_kind_of_file_is_the_model(overrides, options, tmp_path):
    model = audible(*overrides[:1], SMALL, *overrides[1:])
    assert failed(written(model, tmp_path, **options), model) == {}


@pytest.mark.parametrize(("overrides", "options"), [
    (["model=tiny", "model.noise={ratios: [2, 2], hidden: 4, filter_bands: 8}"], {"channels": 2, "latent_size": 3}),
    (["model=v1", "latent=variational"], {"sample_rate": 48000, "batch_size": 2}),
    (["model=tiny", "model.capacity=24", "model.activation=snake"], {"precision": "int8"}),
    (["model=low_latency", "model.alignment=centered"], {"precision": "bfloat16"}),
    (["model=tiny", "model.stereo=bands"], {})])
def test_a_file_of_a_stereo_model_is_the_model(overrides, options, tmp_path):
    model = audible(*overrides[:1], SMALL, "model.channels=2", *overrides[1:])
    file = written(model, tmp_path, **options)
    live, size = load(file), options.get("latent_size", model.latent_size)
    assert live.encode_params.tolist() == [2, 1, size, live.hop]
    assert live.decode_params.tolist() == [size, live.hop, 2, 1]
    assert live.forward_params.tolist() == [2, 1, 2, 1]
    assert failed(file, model) == {}


@torch.no_grad()
def test_a_stereo_file_of_codes_has_one_set_of_them(tmp_path):
    model = audible("model=tiny", SMALL, "model.channels=2", "latent=discrete", "latent.codebooks=3", "latent.entries=16")
    live, x = load(written(model, tmp_path)), 0.1 * torch.randn(2, 2, 8 * model.hop)
    assert live.encode_codes_params.tolist() == [2, 1, 3, live.hop]
    codes = live.encode_codes(x)
    assert torch.equal(codes, model.latent.codes(model.encoder(model.middle(model.pqmf(x)))).float())
    assert live.decode_codes(codes).shape == x.shape


def test_more_than_one_pair_of_channels_is_refused():
    with pytest.raises(InputError, match="channels: 4; this model is stereo"):
        Live(build("model=tiny", SMALL, "model.channels=2").eval(), batch_size=1, channels=4)


@torch.no_grad()
def test_a_file_of_codes_encodes_to_them_and_decodes_from_them(tmp_path):
    model = audible("model=tiny", SMALL, "latent=discrete", "latent.codebooks=3", "latent.entries=16")
    live = load(written(model, tmp_path, channels=2))
    assert live.get_methods() == ["encode", "decode", "forward", "encode_codes", "decode_codes"]
    assert live.encode_codes_params.tolist() == [2, 1, 6, live.hop]
    live.set_noise(0.0)
    x = 0.1 * torch.randn(1, 2, 8 * live.hop)
    codes = torch.cat([live.encode_codes(block) for block in x.split(2 * live.hop, 2)], 2)
    expected = model.latent.codes(model.encoder(model.pqmf(x.transpose(0, 1))))
    assert torch.equal(codes.view(2, 3, -1), expected.float())
    live.reset()
    set_noise(model, 0)
    y = live.decode_codes(codes + 0.3)  # as of a slider
    torch.testing.assert_close(y.view(2, 1, -1), model.decode(model.latent.from_codes(expected)), atol=1e-5, rtol=1e-4)
    assert live.decode_codes(torch.full((1, 6, 1), 1e9)).isfinite().all()


def test_a_file_bends_loud_sounds_as_the_model_does(tmp_path):
    model = build("model=v2_small", SMALL).eval()
    model.decoder.band_gain *= 300
    model.fit_principal(torch.randn(2, 1, 40 * model.hop))
    assert model(torch.randn(1, 1, 40 * model.hop)).abs().max() > 4
    assert failed(written(model, tmp_path), model) == {}


@torch.no_grad()
def test_latents_that_drifted_far_are_not_clipped(tmp_path):
    """As of a long run: a loud sound is encoded to thousands, and decoded from there."""
    model = build("model=v2_small", SMALL).eval()
    model.encoder.last.parametrizations.weight.original0 *= 3000
    weight = model.decoder.first.weight.clone()
    weight[:, : model.latent_size] /= 3000
    model.decoder.first.weight = weight
    model.fit_principal(torch.randn(2, 1, 40 * model.hop))
    assert model.principal(model.encode(torch.randn(1, 1, 40 * model.hop))).abs().max() > 1500
    assert failed(written(model, tmp_path), model) == {}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("precision", ["int8", "float32", "float16"])
def test_a_file_of_snakes_is_the_model(precision, tmp_path):
    model = with_snakes(build("model=v2_small", SMALL, "model.activation=snake").eval())
    model.fit_principal(torch.randn(2, 1, 40 * model.hop))
    assert failed(written(model, tmp_path, precision=precision), model) == {}


def test_decode_with_fewer_latents_leaves_the_others_at_their_mean(tmp_path):
    model = audible("model=tiny", SMALL)
    live = load(written(model, tmp_path, latent_size=3))
    live.set_noise(0.0)
    set_noise(model, 0)
    p = torch.randn(1, 3, 6)
    with torch.no_grad():
        z = model.principal.inverse(torch.cat([p, torch.zeros(1, 13, 6)], 1))
        assert torch.allclose(live.decode(p), model.decode(z), atol=1e-5)


@pytest.mark.parametrize("latent_size", [None, 3])
def test_zeros_are_silence_if_asked_for(tmp_path, latent_size):
    """Inlets that nobody has moved are silent, also before the first latents arrive; the sound of a latent stays."""
    model = RAVE.from_checkpoint(Path(__file__).parents[1] / "model/version_5c1e059.ckpt").eval()
    live = load(written(model, tmp_path, latent_size=latent_size))
    live.set_noise(0.0)
    x, zeros = 0.3 * torch.randn(1, 1, 12 * live.hop), torch.zeros(1, live.latent_size, 40)

    def play() -> tuple[Tensor, ...]:
        live.reset()
        decoded = live.decode(zeros)
        live.reset()
        latents = live.encode(torch.zeros(1, 1, 40 * live.hop))
        live.reset()
        return decoded, latents, live.decode(live.encode(x))

    sound, of_silence, plain = play()
    live.set_from_silence(1.0)
    silent, at_zero, same = play()
    assert of_silence[..., -1].abs().max() > 0.1
    assert at_zero[..., -1].abs().max() < 1e-5
    assert sound[..., 20 * live.hop :].abs().max() > 0.005
    assert silent[..., 20 * live.hop :].abs().max() < 1e-4
    assert silent.abs().max() <= sound.abs().max()
    if latent_size is None:
        assert torch.allclose(same, plain, atol=1e-6)


class Forgets(Live):
    """A reset that leaves the streams as they are."""

    @torch.jit.export
    def reset(self) -> None:
        pass


class Louder(Live):
    """The attribute reads back, but does half of what it says."""

    def turn(self, i: int, name: str, value: float) -> None:
        if name == "gain":
            self.smoothed.target[1].fill_(1 - (1 - value) / 2)


class Swallows(Live):
    """Bad samples reach the streams."""

    def _validate_block(self, x: Tensor, channels: int, multiple: int) -> Tensor:
        return x.reshape(x.shape[0] * self.channels, -1, x.shape[2])


class Early(Live):
    """The dry path does not wait for the model."""

    def forward(self, x: Tensor) -> Tensor:
        amount = float(self.smoothed.target[0])
        wet = self.core.decode(self.core.encode(x)[0]).reshape(x.shape)
        return amount * wet * self.smoothed(x.shape[2])[1] + (1 - amount) * x


class Hoards(Live):
    """Every block is kept."""

    def __init__(self, model: RAVE, **options):
        super().__init__(model, **options)
        self.kept = torch.jit.annotate(list[Tensor], [torch.zeros(1)])

    def forward(self, x: Tensor) -> Tensor:
        self.kept.append(torch.randn(1 << 18))
        return self.core.decode(self.core.encode(torch.nan_to_num(x, 0.0, 0.0, 0.0))[0]).reshape(x.shape).clone()


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("kind", "check"), [
    (Forgets, "after reset"), (Louder, "attributes"), (Swallows, "recovers from NaN"), (Early, "attributes"),
    (Hoards, "memory")])
def test_a_broken_file_is_found_out(kind, check, tmp_path):
    model = audible("model=tiny", "model.capacity=2")
    assert check in failed(written(model, tmp_path, kind), None, blocks=200)


def test_a_file_of_another_model_is_found_out(tiny):
    model, path, _ = tiny
    with torch.no_grad():
        first = next(iter(model.encoder.parameters()))
        kept = first.clone()
        first.mul_(1.01)
        failures = failed(path, model)
        first.copy_(kept)
    assert {"checkpoint, one stream", "checkpoint, streams", "checkpoint, encode", "checkpoint, decode"} <= failures.keys()


@pytest.mark.slow
def test_verification_runs_in_a_new_process(tiny, tmp_path):
    model, path, _ = tiny
    state = {f"model.{k}": v for k, v in model.state_dict().items()}
    torch.save({"model": model.config, "state_dict": state, "step": 0}, tmp_path / "x.ckpt")
    checks = verify(path, tmp_path / "x.ckpt", blocks=BLOCKS)
    assert len(checks) > 12
    assert [f for f in checks if not f.well and f.check != TIMED] == []
    (tmp_path / "gone.ckpt").unlink(missing_ok=True)
    (broken,) = verify(path, tmp_path / "gone.ckpt", blocks=BLOCKS)
    assert not broken.well
    assert "no such checkpoint" in broken.result


def test_third_calls_are_not_compiled_any_more(tiny):
    _, path, _ = tiny
    third, later = map(float, re.findall(r"(\d+\.\d+) ms", steady(path).result))
    assert third < 5 * later  # compiling takes a hundred times as long


def test_blocks_that_do_not_fit_are_refused_and_forgotten(tiny):
    model, _, live = tiny
    live.reset()
    live.set_noise(0.0)
    set_noise(model, 0)
    x = 0.3 * torch.randn(1, 1, 6 * model.hop)
    first = live.forward(x[..., : 2 * model.hop])
    for wrong, message in ((torch.zeros(1, 1, model.hop + 1), f"no multiple of {model.hop}"),
                           (torch.zeros(1, 2, model.hop), "takes blocks"), (torch.zeros(5, 1, model.hop), "for 4 at most")):
        with pytest.raises(torch.jit.Error, match=message):
            live.forward(wrong)
    remainder = stream_blocks(live, x[..., 2 * model.hop :], [model.hop] * 4)
    with torch.no_grad():
        assert torch.allclose(torch.cat([first, remainder], -1), model(x), atol=1e-5)
    live.set_noise(1.0)


def test_scale_and_bias_turn_one_direction(tiny):
    model, _, live = tiny
    set_noise(model, 0)
    live.set_noise(0.0)
    x = 0.3 * torch.randn(1, 1, 8 * model.hop)
    live.set_scale_2(0.5)
    live.set_bias_3(1.5)
    output = play_blocks(live, x, [8])
    with torch.no_grad():
        p = model.principal(model.encode(x))
        p[:, 1] *= 0.5
        p[:, 2] += 1.5
        assert torch.allclose(output, model.decode(model.principal.inverse(p)), atol=1e-5)
    assert (live.get_scale_2(), live.get_bias_3(), live.get_scale_3()) == ((0.5,), (1.5,), (1.0,))
    live.set_scale_2(1.0)
    live.set_bias_3(0.0)
    live.set_noise(1.0)


def test_noise_is_seeded_switched_and_scaled(tiny):
    model, _, live = tiny
    quiet = torch.zeros(1, 1, 8 * model.hop)

    def play() -> Tensor:
        return play_blocks(live, quiet, [8])

    seed_0 = play()
    live.set_seed(5)
    seed_5 = play()
    assert not torch.equal(seed_0, seed_5)
    live.set_noise_on(False)
    without_noise = play()
    live.set_noise_on(True)
    live.set_noise(0.0)
    assert torch.equal(play(), without_noise)
    live.set_noise(1.0)
    assert torch.equal(play(), seed_5)
    live.set_seed(0)
    assert torch.equal(play(), seed_0)


def test_turning_a_knob_makes_no_click(tiny):
    """Against a jump at the block's start: the dry signal is constant, so every step is the knob's own."""
    _, _, live = tiny
    live.set_dry_wet(0.0)
    ones = torch.ones(1, 1, live.hop)
    play_blocks(live, ones, [1])
    live.set_gain(0.25)
    step = torch.cat([ones[..., -1:], live(ones), live(ones)], -1).diff().abs()
    assert step.max() < 1.1 * 0.75 / live.hop
    live.set_gain(1.0)
    live.set_dry_wet(1.0)


def test_channels_are_streams_of_their_own(tmp_path):
    model = audible("model=tiny", SMALL)
    live, mono = load(written(model, tmp_path, channels=2)), load(written(model, tmp_path))
    assert live.forward_params.tolist() == [2, 1, 2, 1]
    assert live.encode_params.tolist() == [2, 1, 32, model.hop]
    for file in (live, mono):
        file.set_noise(0.0)
    x = 0.3 * torch.randn(2, 2, 4 * model.hop)
    both = live(x)
    for channel in range(2):
        mono.reset()
        assert torch.allclose(both[:, channel : channel + 1], mono(x[:, channel : channel + 1].contiguous()), atol=1e-6)


def test_int8_is_small_and_close_and_says_where_it_cannot_be(tmp_path, monkeypatch):
    model = audible("model=v2", "model.capacity=24")
    full = written(model, tmp_path).stat().st_size
    assert written(model, tmp_path, precision="int8").stat().st_size < 0.5 * full
    with pytest.raises(InputError, match="precision: 'int4' is none of float32, bfloat16, float16, int8"):
        Live(model, batch_size=1, precision="int4")
    monkeypatch.setattr(precision, "engine", lambda: "none")
    with pytest.raises(InputError, match="no engine for int8 products"):
        Live(model, batch_size=1, precision="int8")


@pytest.mark.parametrize(("options", "message"), [
    ({"latent_size": 17}, "this model has 1 to 16"), ({"channels": 0}, "at least 1"), ({"batch_size": 0}, "at least 1"),
    ({"sample_rate": 44}, "no rate of a host"), ({"sample_rate": 8000}, "less than a sample")])
def test_options_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        Live(build("model=tiny", "model.capacity=2", "model.sample_rate=9000000"), **{"batch_size": 1, **options})


def test_a_bad_name_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"must end in \.ts"):
        export(Live(build("model=tiny", "model.capacity=2"), batch_size=1), tmp_path / "x.pt", {})


@pytest.mark.parametrize(("name", "why"), [
    ("ab", "fewer than 3 letters"), ("808", "for a number"), ("1e5", "for a number"), ("my drum", "spaces"),
    ("a;quit", "spaces"), ("kompang", None), ("kompang-2_v1.5", None), ("rebanaè", None), ("808s", None)])
def test_names_that_hosts_cannot_take(name, why):
    said = name_warnings(name)
    assert len(said) == (why is not None)
    assert why is None or why in said[0]


@pytest.mark.gpu
def test_the_file_plays_on_cuda_without_waiting_for_it(tiny):
    """Moved as hosts do, `.to`, after loading; a block inside may not synchronise."""
    model, path, _ = tiny
    set_noise(model, 0)
    live = torch.jit.load(str(path)).to("cuda")
    live.set_noise(0.0)
    x = 0.3 * torch.randn(1, 1, 8 * model.hop)
    reference = stream(model, 1)
    reset(reference)
    with torch.inference_mode():
        assert torch.allclose(play_blocks(live, x.cuda(), [3, 1, 4]).cpu(), reference(x), atol=1e-3)
        block = x[..., : model.hop].cuda()
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(4):
                live(block)
        finally:
            torch.cuda.set_sync_debug_mode("default")
