"""A network learns: plain torch, every chance of a step drawn from the step's own number.

So what a training does next depends on its weights, its optimizer and one number. A killed one carries on from what it last
kept and ends, on a CPU with as many threads, with the same weights to the last bit. That, and a loop of one screen, is why
this is no Lightning: its checkpoints keep where an epoch was but not what its loaders' chances would have been.
"""

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from figureground import plugins, rng
from figureground.errors import AssetError
from figureground.storage import atomic
from figureground.training.batches import iterate_in_order, load_batches
from figureground.training.checkpoints import Point
from figureground.training.letterbox import LetterboxedSamples
from figureground.training.settings import TrainingSettings

_log = logging.getLogger(__name__)
STATE = "state.pt"
Weights = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Machine:
    """What it runs on. ``workers`` prepare pictures in processes of their own, 0: nobody but this one."""

    device: str
    bfloat16: bool
    compiled: bool
    workers: int

    @classmethod
    def select(cls, device: Literal["auto", "cpu", "cuda"] = "auto") -> "Machine":
        """Take a GPU where there is one, with bfloat16 and a compiled network; both are slower on most CPUs.

        Raises
        ------
        AssetError
            When a GPU is asked for and there is none.
        """
        there = torch.cuda.is_available()
        if device == "cuda" and not there:
            raise AssetError("this machine has no GPU that torch can use; take --device cpu")
        if device == "cpu" or not there:
            return cls("cpu", False, False, 0)
        return cls("cuda", torch.cuda.is_bf16_supported(), True, min(8, os.cpu_count() or 1))


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """The weights, all looks, the one they are of, and how many pictures a second were learnt from and looked at.

    ``chosen`` is None where nothing was there to choose by: the weights are the last.
    """

    weights: Weights
    curve: tuple[Point, ...]
    chosen: Point | None
    learnt_per_second: float
    looked_per_second: float


def train_network(
    how: TrainingSettings,
    train_samples: LetterboxedSamples,
    val_samples: LetterboxedSamples,
    bench: Path,
    machine: Machine,
    report_progress: Callable[[int, int], None] | None = None,
    keep_every_seconds: float = 60.0,
) -> TrainingResult:
    """Teach a network, or carry on where a killed run left off.

    Parameters
    ----------
    how
        All that decides the result.
    train_samples
        The pictures to learn from.
    val_samples
        The validation pictures: of the weights that do as well on them as the best the last are kept, see `as_good_as`; the
        last of all when there are none.
    bench
        A folder of this training alone; what it needs to carry on is kept there.
    machine
        Where it runs.
    report_progress
        Hears after each step how many are done, and of how many.
    keep_every_seconds
        How often it keeps what it needs to carry on, besides after each look.

    Raises
    ------
    AssetError
        When there is nothing to learn from, or the loss is no number any more.
    """
    if not len(train_samples):
        raise AssetError("there is no picture to learn from: the release has none in its split train")
    return _Course(how, train_samples, val_samples, bench, machine, keep_every_seconds).run(report_progress)


class _Course:
    def __init__(
        self,
        how: TrainingSettings,
        train_samples: LetterboxedSamples,
        val_samples: LetterboxedSamples,
        bench: Path,
        machine: Machine,
        keep_every_seconds: float,
    ) -> None:
        self.how, self.train_samples, self.val_samples, self.machine = how, train_samples, val_samples, machine
        self.file, self.keep_every = bench / STATE, keep_every_seconds
        torch.manual_seed(_torch_seed(how.seed, "weights"))
        built = plugins.build("networks", how.network, how.settings).build(how.classes)
        self.module = built.to(machine.device, memory_format=torch.channels_last)
        kind = torch.optim.Adam if how.plain else torch.optim.AdamW
        decay = {} if how.plain else {"weight_decay": how.weight_decay}
        self.optimizer = kind(self.module.parameters(), lr=how.learning_rate, **decay)
        self.step, self.loss, self.counted, self.curve = 0, 0.0, 0, list[Point]()
        self.kept: Weights = {}
        self.chosen: Point | None = None
        self.best: list[float] = []
        self.learning = self.looking = 0.0
        self._carry_on()
        self.runs = torch.compile(self.module) if machine.compiled else self.module

    def run(self, report_progress: Callable[[int, int], None] | None) -> TrainingResult:
        begun = self.step
        score_after = {math.ceil(self.how.steps * part / self.how.validations) for part in range(1, self.how.validations + 1)}
        kept = time.monotonic()
        batches = load_batches(self.how, self.train_samples, begun, self.machine.workers)
        for step in range(begun, self.how.steps):
            start = time.perf_counter()
            self._learn(step, *next(batches))
            self.step = step + 1
            self.learning += time.perf_counter() - start
            if self.step in score_after:
                self._look()
            if self.step in score_after or time.monotonic() - kept >= self.keep_every:
                self._keep()
                kept = time.monotonic()
            if report_progress:
                report_progress(self.step, self.how.steps)
        trained, validated = (self.step - begun) * self.how.batch, len(self.val_samples) * len(score_after)
        speeds = trained / self.learning if self.learning else math.nan, validated / self.looking if self.looking else math.nan
        return TrainingResult(self.kept if self.chosen else _copied(self.module), tuple(self.curve), self.chosen, *speeds)

    @property
    def _chooses(self) -> bool:
        return bool(len(self.val_samples)) and not self.how.plain

    def _learn(self, step: int, images: torch.Tensor, truths: torch.Tensor) -> None:
        torch.manual_seed(_torch_seed(self.how.seed, "step", step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.how.learning_rate * _rate(step, self.how)
        self.runs.train()
        pixels, truths = _moved(images, self.machine), truths.to(self.machine.device, non_blocking=True)
        with self._precision():
            logits = self.runs(pixels)
        loss = compute_loss(logits.float(), truths, plain=self.how.plain)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if not self.how.plain:
            nn.utils.clip_grad_norm_(self.module.parameters(), 5.0)
        self.optimizer.step()
        self.loss += loss.item()
        self.counted += 1
        if not math.isfinite(self.loss):
            raise AssetError(f"the loss is no number any more after {step + 1} steps; take a smaller --max-learning-rate")

    def _look(self) -> None:
        """Score the validation pictures and keep the weights when they do as well as the best so far."""
        start = time.perf_counter()
        scores = self._scores()
        self.looking += time.perf_counter() - start
        score = float(np.mean(scores)) if scores else 0.0
        last = Point(step=self.step, pictures=self.step * self.how.batch, loss=self._mean_loss(), score=score)
        self.curve.append(last)
        if self._chooses and is_as_good(scores, self.best):
            self.kept, self.chosen = _copied(self.module), last
        if not self.best or score > np.mean(self.best):
            self.best = scores
        self.loss, self.counted = 0.0, 0
        _log.info("step %d of %d: loss %.4f, score %.4f", self.step, self.how.steps, last.loss, last.score)

    def _mean_loss(self) -> float:
        return self.loss / max(self.counted, 1)

    def _scores(self) -> list[float]:
        return [
            sample
            for images, truths in iterate_in_order(self.val_samples, self.how)
            for sample in compute_scores(self._asked(images), truths.numpy(), self.how.classes)
        ]

    def _asked(self, images: torch.Tensor) -> NDArray[np.float32]:
        self.module.eval()
        with torch.inference_mode(), self._precision():
            logits = self.module(_moved(images, self.machine)).float()
        result: NDArray[np.float32] = compute_probabilities(logits).cpu().numpy()
        return result

    def _precision(self) -> Any:
        return torch.autocast(self.machine.device, torch.bfloat16) if self.machine.bfloat16 else nullcontext()

    def _keep(self) -> None:
        """Keep all that the next step depends on, in one file that is there whole or not at all."""
        state = {
            "step": self.step,
            "network": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "loss": self.loss,
            "counted": self.counted,
            "curve": [point.model_dump() for point in self.curve],
            "kept": self.kept,
            "chosen": self.chosen and self.chosen.model_dump(),
            "best": self.best,
        }
        with atomic.write_beside(self.file) as temporary:
            torch.save(state, temporary)

    def _carry_on(self) -> None:
        if not self.file.is_file():
            return
        state: Mapping[str, Any] = torch.load(self.file, map_location=self.machine.device, weights_only=True)
        self.module.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.loss, self.counted = state["step"], state["loss"], state["counted"]
        self.curve, self.kept, self.best = [Point(**point) for point in state["curve"]], dict(state["kept"]), state["best"]
        self.chosen = state["chosen"] and Point(**state["chosen"])
        _log.info("carrying on after step %d of %d", self.step, self.how.steps)


def compute_loss(logits: torch.Tensor, truths: torch.Tensor, *, plain: bool = False) -> torch.Tensor:
    """Say how wrong logits are.

    Cross entropy plus one minus the soft Dice overlap of every class but the background (Milletari et al., "V-Net", 3DV 2016);
    of an alpha the binary cross entropy with soft truth plus the same overlap.

    Parameters
    ----------
    logits
        Shape (n, classes, h, w), float32.
    truths
        Shape (n, h, w), uint8: class ids, or of one class the alpha's levels.
    plain
        Leave the overlap away.
    """
    if logits.shape[1] == 1:
        alpha = truths.unsqueeze(1) / 255.0
        entropy = functional.binary_cross_entropy_with_logits(logits, alpha)
        guessed, known = logits.sigmoid(), alpha
    else:
        entropy = functional.cross_entropy(logits, truths.long())
        guessed = logits.softmax(1)[:, 1:]
        known = functional.one_hot(truths.long(), logits.shape[1]).permute(0, 3, 1, 2)[:, 1:].to(guessed.dtype)
    if plain:
        return entropy
    shared, both = (guessed * known).sum((0, 2, 3)), guessed.sum((0, 2, 3)) + known.sum((0, 2, 3))
    return entropy + 1 - ((2 * shared + 1) / (both + 1)).mean()


def compute_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Give what logits mean: alphas of one class, else probabilities; (n, classes, h, w), float32, 0 to 1."""
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)


def compute_scores(
    guessed: NDArray[np.float32], truths: NDArray[np.uint8], classes: int
) -> Iterator[float]:
    """Give each picture's mean IoU over its classes but the background; of an alpha the soft IoU, Σ min / Σ max."""
    for at in range(len(guessed)):
        guess, truth = guessed[at], truths[at]
        if classes == 1:
            known = truth / 255.0
            most = np.maximum(guess[0], known).sum()
            yield float(np.minimum(guess[0], known).sum() / most) if most else 1.0
            continue
        ids = guess.argmax(0)
        ratios = []
        for sample in range(1, classes):
            together = ((ids == sample) | (truth == sample)).sum()
            if together:
                ratios.append(((ids == sample) & (truth == sample)).sum() / together)
        yield float(np.mean(ratios)) if ratios else 1.0


def is_as_good(scores: Sequence[float], best: Sequence[float]) -> bool:
    """Tell whether scores of pictures are as good as the best of the same pictures, within one standard error.

    The one-standard-error rule (Breiman, Friedman, Olshen, Stone: "Classification and Regression Trees", 1984), for pairs: of
    what few pictures cannot tell apart, what was taught longest is taken, not what luck puts first.

    Parameters
    ----------
    scores, best
        One a picture; `best` is empty when there is none yet.

    Returns
    -------
    bool
        Of a single picture always, as it has no standard error.

    Examples
    --------
    >>> is_as_good([0.5, 0.6, 0.4], [0.6, 0.5, 0.5]), is_as_good([0.5, 0.6, 0.4], [0.6, 0.69, 0.5])
    (True, False)
    """
    if len(best) < 2:
        return True
    worse = np.subtract(best, scores)
    return bool(worse.mean() <= worse.std(ddof=1) / math.sqrt(len(worse)))


def _rate(step: int, how: TrainingSettings) -> float:
    """Give the share of the largest learning rate that a step has."""
    if how.plain:
        return 1.0
    rising = max(1, how.steps // 10)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, how.steps - rising)))


def _moved(images: torch.Tensor, machine: Machine) -> torch.Tensor:
    """Bring (n, h, w, 3) bytes to the device as (n, 3, h, w) numbers from 0 to 1, channels last in memory."""
    there = images.to(machine.device, non_blocking=True)
    return there.permute(0, 3, 1, 2).float().div_(255).contiguous(memory_format=torch.channels_last)


def _copied(module: nn.Module) -> Weights:
    result = module.state_dict().items()
    return {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in result}


def _torch_seed(seed: int, *of: object) -> int:
    return rng.derive_seed(seed, *of) >> 1
