"""The Lightning data module."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from rave_lite.data.catalogue import Catalogue
from rave_lite.data.clip import audible, search_and_cut
from rave_lite.data.windows import CountFrom, Pieces, Windows, bounded, judged, match_lengths, pieces
from rave_lite.errors import InputError


class Recordings(L.LightningDataModule):
    """Endless training batches `(batch_size, channels, window)`; for validation, held-out and training pieces one by one.

    Batches depend on `seed` and the module's step alone: a resumed run goes on where it stopped. Several processes share
    each batch: together they train on the same windows as one alone. `gap`: s; `workers`: processes that compose windows
    beside the training one; `augmentation`: as for `Windows`, not applied to pieces. Raises InputError where `batch_size`
    is not positive, or cannot be shared equally.
    """

    def __init__(self, catalogue: Catalogue, *, window: int, batch_size: int, gap: float, seed: int, workers: int = 0,
                 augmentation: Callable[[np.ndarray, int, int], np.ndarray] | None = None):
        super().__init__()
        if batch_size < 1:
            raise InputError(f"{batch_size}; at least 1", where="data.batch_size")
        self.batch_size, self.workers = batch_size, workers
        self.windows = Windows(catalogue.train, length=window, sample_rate=catalogue.sample_rate, gap=gap, seed=seed,
                               augmentation=augmentation)
        self.catalogue, self.seed = catalogue, seed

    @cached_property
    def held_out(self) -> Pieces:
        """The held-out pieces without silence, of many some; the clips are read to find it."""
        rate = self.catalogue.sample_rate
        return Pieces(bounded(judged(self.catalogue.held_out, rate), rate))

    @cached_property
    def training_pieces(self) -> Pieces:
        """As many training pieces of like lengths, without silent ones; the clips are read to find those."""
        rate, held_out = self.catalogue.sample_rate, self.held_out.clips
        train = search_and_cut(pieces(self.catalogue.train, rate), rate, len(held_out), self.seed)
        return Pieces(audible(match_lengths(held_out, train, self.seed), rate))

    def first(self, count: int) -> Tensor:
        """The first `count` training windows, `(count, channels, window)`."""
        return torch.stack([self.windows[i] for i in range(count)])

    def sources(self, step: int) -> list[str]:
        """The files in the training batch of a step."""
        return sorted(set().union(*map(self.windows.sources, range(step * self.batch_size, (step + 1) * self.batch_size))))

    def train_dataloader(self) -> DataLoader:
        step: Any = self.trainer.lightning_module.step if self.trainer else 0
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if self.batch_size % world:
            raise InputError(f"{self.batch_size} windows cannot be shared equally by {world} processes; "
                             f"say {-(-self.batch_size // world) * world}", where="data.batch_size")
        share = CountFrom(step * self.batch_size, every=self.batch_size, share=rank, shares=world)
        return self._loader(self.windows, self.batch_size // world, sampler=share)

    def val_dataloader(self) -> list[DataLoader]:
        """Loaders of the held-out and of the training pieces, in the order of `RAVETraining.validation_step`."""
        return [self._loader(self.held_out, 1), self._loader(self.training_pieces, 1)]

    def _loader(self, dataset, batch_size: int, **options) -> DataLoader:
        return DataLoader(dataset, batch_size, num_workers=self.workers, persistent_workers=self.workers > 0,
                          pin_memory=torch.cuda.is_available(), generator=torch.Generator(), **options)
