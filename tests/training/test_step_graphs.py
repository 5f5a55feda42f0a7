"""When a step is recorded, replayed, and run as it is; the graphs themselves: test_cuda.py."""

import copy

import pytest
import torch

from rave_lite.cli.build import build
from rave_lite.training.step_graphs import WARM_UP, StepGraphs
from tests.conftest import configured
from tests.operations import count_operations


class Replay:
    """In place of a recording."""

    def __init__(self, log):
        self.log = log

    def replay(self, x):
        self.log.append("replay")
        return {}


@pytest.fixture
def graphs(monkeypatch):
    """Graphs whose recordings are only noted, in `log`."""
    graphs, log = StepGraphs(), []
    monkeypatch.setattr(graphs, "_record", lambda *_: log.append("record") or Replay(log))
    graphs.log = log
    return graphs


def step(graphs: StepGraphs, phase: int = 1, kind: int = 0, batch: int = 2) -> list[str]:
    """What one step does."""
    graphs.log.clear()
    graphs(lambda x: graphs.log.append("run") or {}, torch.zeros(batch, 1, 8), [], phase=phase, kind=kind)
    return list(graphs.log)


def test_every_kind_of_step_is_recorded_once_after_the_first_of_its_phase(graphs):
    for phase in (1, 2):
        assert [step(graphs, phase) for _ in range(WARM_UP)] == [["run"]] * WARM_UP
        assert step(graphs, phase) == ["record", "replay"]
        assert step(graphs, phase) == ["replay"]
        assert step(graphs, phase, kind=1) == ["record", "replay"]
        assert step(graphs, phase) == ["replay"]


def test_another_shape_ends_it_and_says_so(graphs):
    for _ in range(WARM_UP + 1):
        step(graphs)
    with pytest.warns(UserWarning, match=r"take longer: a batch of shape \(1, 1, 8\) came after \(2, 1, 8\)"):
        assert step(graphs, batch=1) == ["run"]
    assert step(graphs) == ["run"]
    assert not graphs.recordings


def test_what_cannot_be_recorded_runs_as_it_is(graphs, monkeypatch):
    parameter = torch.nn.Parameter(torch.zeros(1))

    def fail(*_):
        parameter.grad = torch.ones(1)
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(graphs, "_record", fail)
    for _ in range(WARM_UP):
        step(graphs)
    with pytest.warns(UserWarning, match=r"take longer: operation not permitted when stream is capturing$"):
        graphs(lambda x: {"gradient": parameter.grad}, torch.zeros(2, 1, 8), [parameter], phase=1, kind=0)
    assert parameter.grad is None
    assert step(graphs) == ["run"]


def test_a_copy_has_no_recordings(graphs):
    for _ in range(WARM_UP + 1):
        step(graphs)
    assert graphs.recordings
    assert not copy.deepcopy(graphs).recordings


@pytest.mark.parametrize(("step", "activation", "limit"), [
    (1, "leaky_relu", 640), (13, "leaky_relu", 890), (12, "leaky_relu", 450), (1, "snake", 1230)],
                         ids=["generator, phase 1", "generator, phase 2", "discriminator", "Snake, phase 1"])
def test_operations_of_a_step(step, activation, limit):
    """Of full v2's layers, whatever the width: what is launched, or interpreted, one by one where nothing is recorded."""
    module = build(configured("train", "model.capacity=4", "discriminator.capacity=4", "data.root=none",
                              f"model.activation={activation}"))
    module.phase1_steps, module.step = 10, step
    x, optimizers = 0.1 * torch.randn(1, 1, 65536), module.configure_optimizers()
    module.update_step(x, *optimizers)
    module.step = step
    assert count_operations(lambda: module.update_step(x, *optimizers)).total() <= limit
