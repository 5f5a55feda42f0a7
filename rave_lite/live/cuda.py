"""Plays an exported file on a GPU, a block as one CUDA graph: a single launch per block."""

from pathlib import Path

import numpy as np
import torch

from rave_lite.errors import InputError
from rave_lite.export.precision import proposed_precision
from rave_lite.live.engine import block_size
from rave_lite.live.player import Player


class CudaPlayer(Player):
    """`Player` for blocks of `block` samples: one call is captured as a CUDA graph, `process` replays it.

    Attributes work as usual: the graph reads them from the same memory. Once `learn_source`, `learn_target`, `calibrate` or
    `envelope` has been set another graph plays, which does all of that. Raises InputError without a CUDA device, and for a
    file whose blocks differ from one to the next (as of most that convert the sampling rate).
    """

    def __init__(self, path: Path, block: int):
        super().__init__(path, "cuda")
        if block <= 0 or block % self.hop or not self.recordable:
            raise InputError(f"{path}: blocks of {block} cannot be recorded: " + (
                f"they are no multiple of its hop, {self.hop}" if self.recordable else
                "the file converts the sampling rate; export it at the model's own"))
        self.gpu_input = torch.zeros(1, self.channels[0], block, device="cuda")
        self.host_input = torch.zeros(1, self.channels[0], block).pin_memory()
        self.host_output = torch.zeros(1, self.channels[1], block).pin_memory()
        self.graph, self.gpu_output = self.record()
        self.calibrating = self.graph, self.gpu_output
        if "learn_source" in self.attributes:
            statistics = [(value, value.clone()) for name, value in self.live.named_buffers() if ".norm." in name]
            super().set("learn_source", 1.0)
            if "envelope" in self.attributes:
                super().set("envelope", 1.0)
            self.calibrating = self.record()
            if "envelope" in self.attributes:
                super().set("envelope", 0.0)
            super().set("learn_source", 0.0)
            super().set("reset_source", 1.0)
            for value, before in statistics:  # of adaptive normalisation
                value.copy_(before)
        self.reset()

    def record(self) -> tuple[torch.cuda.CUDAGraph, torch.Tensor]:
        """A graph of a block, and where it writes its output."""
        graph = torch.cuda.CUDAGraph()
        with torch.inference_mode():
            side_stream = torch.cuda.Stream()
            with torch.cuda.stream(side_stream):
                for _ in range(4):  # TorchScript compiles, cuBLAS allocates its workspace
                    self.live(self.gpu_input)
            side_stream.synchronize()
            with torch.cuda.graph(graph):
                output = self.live(self.gpu_input)
        return graph, output

    def set(self, name: str, value: float | bool) -> None:
        super().set(name, value)
        if name in ("learn_source", "learn_target", "calibrate", "envelope") and value:
            self.graph, self.gpu_output = self.calibrating

    def process(self, block: np.ndarray) -> np.ndarray:
        """`(channels in, block) -> (channels out, block)`: the next block of the stream."""
        with self.between_blocks, torch.inference_mode():
            self.host_input[0].copy_(torch.from_numpy(block))
            self.gpu_input.copy_(self.host_input, non_blocking=True)
            self.graph.replay()
            self.host_output.copy_(self.gpu_output, non_blocking=True)
            torch.cuda.current_stream().synchronize()
            return self.host_output[0].numpy().copy()


def open_player(path: Path, device: str, block: int | None) -> tuple[Player, int, str]:
    """The fastest player of a file on `device`, its block size, and what to tell the user, "" for nothing.

    On CUDA a block is recorded as a CUDA graph, or played plain where it cannot be. `block` None: see `block_size`. Raises
    InputError as `Player` and `block_size` do.
    """
    player = Player(path, device)
    size = block_size(block, player)
    if device != "cuda":
        return player, size, ""
    ours, better = getattr(player.live, "precision", ""), proposed_precision()
    hint = f"; a file exported with precision={better} plays faster on this GPU" if ours == "float32" != better else ""
    if not player.recordable:
        return player, size, "blocks are played without a CUDA graph: this file's may differ from each other" + hint
    return CudaPlayer(path, size), size, "a block is one CUDA graph" + hint
