"""Which samples a training uses, in which order and how augmented: everything is drawn from the seed and the turn."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch

from figureground import rng
from figureground.training import augmentation
from figureground.training.letterbox import LetterboxedSamples
from figureground.training.settings import TrainingSettings


class _BudgetedSamples(torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor]]):  # type: ignore[misc]  # torch's types are not read here
    """The samples in the order in which they are used, from the first to the last of the budget."""

    def __init__(self, how: TrainingSettings, samples: LetterboxedSamples) -> None:
        self.how, self.samples = how, samples

    def __len__(self) -> int:
        return self.how.steps * self.how.batch

    def __getitem__(self, turn: int) -> tuple[torch.Tensor, torch.Tensor]:
        epoch, position = divmod(turn, len(self.samples))
        square = self.samples[_order(len(self.samples), self.how.seed, epoch)[position]]
        if not self.how.plain:
            square = augmentation.augment(square, rng.derive_seed(self.how.seed, "picture", turn), soft=self.how.soft)
        return torch.from_numpy(square.image), torch.from_numpy(square.truth)


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> list[int]:
    return rng.shuffle_indices(count, seed, "epoch", epoch)


def load_batches(
    how: TrainingSettings, samples: LetterboxedSamples, first_step: int, workers: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Give the batches of all steps from `first_step` on: images (n, h, w, 3) uint8 and ground truths.

    Parameters
    ----------
    how
        Seed, steps and batch size decide which sample comes when, and how it is augmented.
    samples
        The train split.
    first_step
        0, or where an interrupted training continues.
    workers
        Processes that prepare batches; 0 prepares them here.
    """
    turns = [range(step * how.batch, (step + 1) * how.batch) for step in range(first_step, how.steps)]
    loader = torch.utils.data.DataLoader(
        _BudgetedSamples(how, samples),
        batch_sampler=turns,
        num_workers=workers,
        pin_memory=workers > 0,
        multiprocessing_context="spawn" if workers else None,
    )
    yield from loader


def iterate_in_order(samples: LetterboxedSamples, how: TrainingSettings) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Give every sample once, in the stored order, in batches."""
    for start in range(0, len(samples), how.batch):
        batch = [samples[at] for at in range(start, min(start + how.batch, len(samples)))]
        yield tuple(torch.from_numpy(np.stack(kind)) for kind in zip(*batch, strict=True))
