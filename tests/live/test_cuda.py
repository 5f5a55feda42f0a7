"""The recorded block on a GPU: the samples of the plain file, attributes that still work, advice where it cannot be."""

import numpy as np
import pytest
import torch

from rave_lite import InputError
from rave_lite.export.torchscript import Live, export
from rave_lite.live import cuda
from rave_lite.live.bench import bench
from rave_lite.live.cuda import CudaPlayer, open_player
from rave_lite.live.player import Player
from tests.conftest import build

TOLERANCES = {"float32": 1e-3, "float16": 2e-2}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("cuda") / "x.ts"
    export(Live(build("model=v2_small", "model.capacity=4").eval(), batch_size=2), path, {})
    return path


@pytest.fixture(scope="module")
def converting(tmp_path_factory):
    path = tmp_path_factory.mktemp("cuda") / "48000.ts"
    export(Live(build("model=tiny", "model.capacity=2").eval(), batch_size=1, sample_rate=48000), path, {})
    return path


def noise(blocks: int, block: int) -> np.ndarray:
    return 0.3 * np.random.default_rng(0).standard_normal((blocks, 1, block)).astype(np.float32)


@pytest.mark.gpu
def test_the_recording_plays_as_the_file_does(file):
    plain = Player(file)
    block = 4 * plain.hop
    recorded = CudaPlayer(file, block)
    for i, x in enumerate(noise(12, block)):
        if i == 4:
            for player in (plain, recorded):
                player.set("gain", 0.5)
                player.set("dry_wet", 0.7)
                player.set("bias_1", 0.5)
                player.set("seed", 7)
                player.set("noise", 0.5)
        if i == 8:
            plain.reset()
            recorded.reset()
        assert recorded.process(x) == pytest.approx(plain.process(x), abs=1e-3)


@pytest.mark.gpu
def test_the_recording_learns_and_calibrates_as_the_file_does(file):
    plain = Player(file)
    recorded = CudaPlayer(file, plain.hop)
    for i, x in enumerate(noise(120, plain.hop)):
        for player in (plain, recorded):
            if i in (4, 90):
                player.set("learn_source", float(i == 4))
                player.set("calibrate", 1.0)
            if i == 100:
                player.set("reset_source", 1.0)
        assert recorded.process(x) == pytest.approx(plain.process(x), abs=2e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("model", ["v2", "v2_small", "low_latency"])
def test_every_model_plays_on_the_card_as_on_the_cpu(model, precision, tmp_path):
    """Plain, in blocks that differ, and as a graph beside it; with the noise, which the card must hash alike."""
    path = tmp_path / "x.ts"
    export(Live(build(f"model={model}", "model.capacity=8").eval(), batch_size=4, precision=precision), path, {})
    cpu, gpu = Player(path), Player(path, "cuda")
    recorded, hop = CudaPlayer(path, cpu.hop), cpu.hop
    x, at = noise(1, 17 * hop)[0], 0
    for hops in (1, 3, 1, 2, 1, 5, 4):
        part = x[:, at * hop : (at + hops) * hop]
        expected = cpu.process(part)
        assert gpu.process(part) == pytest.approx(expected, abs=TOLERANCES[precision])
        graph = np.concatenate([recorded.process(block) for block in np.split(part, hops, 1)], 1)
        assert graph == pytest.approx(expected, abs=TOLERANCES[precision])
        at += hops


@pytest.mark.gpu
def test_two_recordings_and_several_streams_do_not_disturb_each_other(file):
    first, second, alone = (CudaPlayer(file, Player(file).hop) for _ in range(3))
    live = torch.jit.load(str(file)).to("cuda")
    streams = torch.jit.load(str(file)).to("cuda").to("cpu").to("cuda")  # the memory follows
    blocks = noise(6, first.hop)
    for x in blocks:
        expected = alone.process(x)
        assert first.process(x) == pytest.approx(expected, abs=1e-6)
        second.process(-x)
        both = torch.from_numpy(np.stack([x, -x])).cuda()
        with torch.inference_mode():
            assert torch.allclose(streams(both)[:1], live(both[:1]), atol=1e-4)


@pytest.mark.gpu
def test_blocks_that_cannot_be_recorded(file, converting):
    with pytest.raises(InputError, match="no multiple of its hop"):
        CudaPlayer(file, 100)
    with pytest.raises(InputError, match="the file converts the sampling rate"):
        CudaPlayer(converting, 2048)
    player, _, note = open_player(converting, "cuda", 2048)
    assert type(player) is Player
    assert "without a CUDA graph" in note


@pytest.mark.gpu
def test_live_and_bench_record_by_themselves(file):
    player, block, note = open_player(file, "cuda", None)
    assert isinstance(player, CudaPlayer)
    assert block == player.hop
    assert note.startswith("a block is one CUDA graph")
    plain, graph = bench({"x": file}, device="cuda", blocks=None, count=8, seconds=0.1)
    assert (plain.file, graph.file) == ("x", "x, graph")
    print(f"plain {plain.p50:.2f} ms, graph {graph.p50:.2f} ms, {plain.verdict()}")


class Recorded(Player):
    """Stands for the graph where there is no GPU."""

    def __init__(self, path, block):
        super().__init__(path)
        self.recorded = block


@pytest.mark.parametrize(("better", "hint"), [("float32", ""), ("float16", "precision=float16 plays faster")])
def test_the_fastest_player(better, hint, file, converting, monkeypatch):
    """On a CPU, with the card's part replaced: the file's block is recorded, where it can be one, and float16 proposed."""
    assert open_player(file, "cpu", 1024)[1:] == (1024, "")
    monkeypatch.setattr("rave_lite.live.player.torch_device", lambda name: torch.device("cpu"))
    monkeypatch.setattr(cuda, "CudaPlayer", Recorded)
    monkeypatch.setattr(cuda, "proposed_precision", lambda: better)
    player, block, note = open_player(file, "cuda", None)
    assert (player.recorded, block) == (512, 512)
    assert note.startswith("a block is one CUDA graph")
    assert hint in note
    player, _, note = open_player(converting, "cuda", None)
    assert not hasattr(player, "recorded")
    assert "without a CUDA graph" in note


def test_without_a_gpu_it_says_so(file, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="there is no 'cuda' here"):
        CudaPlayer(file, 2048)
