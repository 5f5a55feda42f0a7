"""The exported file: the protocol of hosts, the same samples in a new process, and a wrong file found out."""

import json

import pytest
import torch

from rave_lite import InputError, set_noise
from rave_lite.export.torchscript import export
from rave_lite.export.verify import TOLERANCE, differences, play, verify
from tests.conftest import build


@pytest.fixture(scope="module", params=["model=tiny", "model=v2_small", "model=v2"])
def exported(request, tmp_path_factory):
    """A model with audible output, and its file."""
    model = build(request.param, "model.capacity=6").eval()
    with torch.no_grad():
        model.decoder.waveform.weight = 10 * model.decoder.waveform.weight
    path = tmp_path_factory.mktemp("export") / "live.ts"
    export(model, path, batch_size=4, metadata={"name": "x"})
    return model, path


def test_hosts_find_what_they_ask_for(exported):
    model, path = exported
    files = {"metadata.json": ""}
    live = torch.jit.load(str(path), _extra_files=files)
    assert json.loads(files["metadata.json"]) == {"name": "x"}
    assert live.get_methods() == ["encode", "decode", "forward"]
    assert live.get_attributes() == []
    assert live.encode_params.tolist() == [1, 1, 16, model.hop]
    assert live.decode_params.tolist() == [16, model.hop, 1, 1]
    assert live.forward_params.tolist() == [1, 1, 1, 1]
    assert (live.sample_rate, live.hop, live.latency) == (44100, model.hop, model.latency)
    assert (live.sampling_rate, live.full_latent_size) == (44100, 16)
    assert len(live.encode_output_labels) == len(live.decode_input_labels) == 16
    assert not any(p.requires_grad for p in live.parameters())
    assert "model" not in dict(live.named_children())
    for batch in (1, 4):
        y = live.forward(torch.zeros(batch, 1, 2 * model.hop))
        assert y.shape == (batch, 1, 2 * model.hop)
        assert y.dtype == torch.float32


def test_the_file_is_the_model(exported):
    model, path = exported
    worst = differences(path, model)
    assert set(worst) == {"single hops", "irregular blocks", "one block", "one stream", "encode", "decode"}
    assert max(worst.values()) <= TOLERANCE, worst


def test_a_file_of_another_model_is_found_out(exported):
    model, path = exported
    with torch.no_grad():
        first = next(iter(model.encoder.parameters()))
        kept = first.clone()
        first.mul_(1.01)
        changed = max(differences(path, model).values())
        first.copy_(kept)
    assert changed > TOLERANCE


def test_blocks_that_do_not_fit_are_refused_and_forgotten(exported):
    model, path = exported
    live = torch.jit.load(str(path))
    for name, buffer in live.named_buffers():
        if name.endswith("noise.amount"):
            buffer.zero_()
    set_noise(model, 0)
    x = 0.3 * torch.randn(1, 1, 6 * model.hop)
    first = live.forward(x[..., : 2 * model.hop])
    for wrong, message in ((torch.zeros(1, 1, model.hop + 1), f"no multiple of {model.hop}"),
                           (torch.zeros(1, 2, model.hop), "takes blocks"), (torch.zeros(5, 1, model.hop), "for 4 at most")):
        with pytest.raises(torch.jit.Error, match=message):
            live.forward(wrong)
    rest = play(live.forward, x[..., 2 * model.hop :], [model.hop] * 4)
    with torch.no_grad():
        assert torch.allclose(torch.cat([first, rest], -1), model(x), atol=1e-5)


def test_a_bad_name_is_refused_before_any_work(tmp_path):
    with pytest.raises(InputError, match=r"must end in \.ts"):
        export(build("model=tiny", "model.capacity=4"), tmp_path / "x.pt", batch_size=1, metadata={})


def test_verification_runs_in_a_new_process_and_deletes_what_fails(tmp_path):
    """The checkpoint's weights differ from the file's: the file does not stay."""
    model, other = build("model=tiny", "model.capacity=4"), build("model=tiny", "model.capacity=4")
    with torch.no_grad():
        for part in (model, other):
            part.decoder.waveform.weight = 10 * part.decoder.waveform.weight
        other.decoder.waveform.weight = 1.1 * other.decoder.waveform.weight
    paths = []
    for name, part in (("right", model), ("wrong", other)):
        paths.append(tmp_path / f"{name}.ckpt")
        state = {f"model.{k}": v for k, v in part.state_dict().items()}
        torch.save({"model": part.config, "state_dict": state}, paths[-1])
    file = tmp_path / "x.ts"
    export(model.eval(), file, batch_size=2, metadata={})
    verify(file, paths[0])
    assert file.exists()
    with pytest.raises(InputError, match=r"does not play as the checkpoint does:\n.*single hops: differs by"):
        verify(file, paths[1])
    assert not file.exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_file_plays_on_cuda(exported):
    model, path = exported
    set_noise(model, 0)
    live = torch.jit.load(str(path), map_location="cuda")
    for name, buffer in live.named_buffers():
        if name.endswith("noise.amount"):
            buffer.zero_()
    x = 0.3 * torch.randn(1, 1, 8 * model.hop)
    with torch.no_grad():
        made = play(live.forward, x.cuda(), [3 * model.hop, model.hop, 4 * model.hop]).cpu()
        assert torch.allclose(made, model(x), atol=1e-3)
