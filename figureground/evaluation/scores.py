"""How good answers are on a whole release: per image and per dataset, by split and scene, with intervals over sources.

Per picture and class only the pixels shared and together are kept, so every figure is arithmetic on a small table.

Two means are called mIoU, and both are given by their own names:

``iou_per_image``
    The mean over pictures of each picture's IoU, over the pictures where the class is in the truth or the answer; of several
    classes the mean of the classes' means, without background. What portrait and parsing sets publish.
``iou_of_dataset``
    All pixels of all pictures shared, over all together (Everingham et al., "The Pascal Visual Object Classes Challenge",
    IJCV 2010), averaged over the classes without background; ``miou_with_background`` averages over all, as mmsegmentation
    does.

Pictures of one source resemble each other, so intervals come from drawing whole sources with replacement (a cluster
bootstrap: Field, Welsh, "Bootstrapping clustered data", JRSS B 2007).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from figureground import rng
from figureground.datasets.splits import SPLITS
from figureground.errors import ArrayError
from figureground.imaging import mask_metrics, masks
from figureground.types import Alpha, Mask

ERRORS = ("sad", "mse", "grad", "conn")
"""Of alphas, see `figureground.imaging.mask_metrics`; means over pictures."""
_ROUNDS = 2000
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """One picture's: pixels shared and together by class, boundary IoU by class but the background (NaN where neither has it).

    ``errors`` are those of `ERRORS`, empty where the truth is no alpha.
    """

    stem: str
    source: str
    split: str
    scenes: tuple[str, ...]
    shared: tuple[int, ...]
    together: tuple[int, ...]
    boundary: tuple[float, ...]
    errors: tuple[float, ...] = ()

    @property
    def iou(self) -> float:
        """The picture's mean IoU over its classes but the background, 1 when neither has any."""
        result = [a / b for a, b in zip(self.shared[1:], self.together[1:], strict=True) if b]
        return sum(result) / len(result) if result else 1.0


class Interval(NamedTuple):
    """A figure and where it lies in 95 of 100 draws of sources; NaN with fewer than two sources."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Group:
    """The figures of some pictures, by their names."""

    name: str
    pictures: int
    sources: int
    figures: Mapping[str, Interval]


def score_sample(
    stem: str,
    source: str,
    split: str,
    scenes: Sequence[str],
    answer: Mask | Alpha,
    truth: Mask | Alpha,
    names: Sequence[str],
) -> Row:
    """Score one answer.

    Parameters
    ----------
    stem, source, split, scenes
        The picture's.
    answer, truth
        Both class ids (uint8), or both alphas (float32), shape (h, w).
    names
        Of the classes, background first. An alpha is cut at one half for the IoU.

    Raises
    ------
    ArrayError
        When they are not of one kind and size, or an id has no name.
    """
    if answer.shape != truth.shape or answer.dtype != truth.dtype:
        raise ArrayError(
            f"{stem}: the answer is {answer.dtype} of shape {answer.shape}, the truth {truth.dtype} of {truth.shape}; "
            "expected the same"
        )
    errors: tuple[float, ...] = ()
    if truth.dtype == np.float32:
        errors = tuple(getattr(mask_metrics, name)(answer, truth) for name in ERRORS)
        answer, truth = (masks.to_mask(sample) for sample in (answer, truth))  # type: ignore[arg-type]
    if max(answer.max(), truth.max()) >= len(names):
        raise ArrayError(f"{stem}: holds the id {max(answer.max(), truth.max())}; expected 0 to {len(names) - 1}")
    a, b = (np.bincount(sample.ravel(), minlength=len(names)) for sample in (answer, truth))
    shared = np.bincount(truth[answer == truth].ravel(), minlength=len(names))
    together = a + b - shared
    boundary = tuple(
        mask_metrics.boundary_iou(*((side == at).astype(np.uint8) for side in (answer, truth))) if together[at] else np.nan
        for at in range(1, len(names))
    )
    return Row(stem, source, split, tuple(scenes), tuple(map(int, shared)), tuple(map(int, together)), boundary, errors)


def group_scores(rows: Sequence[Row], names: Sequence[str]) -> list[Group]:
    """Give the figures of all pictures, of each split, and of each scene; each with its interval."""
    return [Group(name, len(members), len(_sources(members)), summarise(members, names)) for name, members in _grouped(rows)]


def summarise(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Interval]:
    """Give all figures of some pictures.

    Parameters
    ----------
    rows
        At least one.
    names
        Of the classes, background first.

    Returns
    -------
    dict
        ``iou_per_image``, ``iou_of_dataset``, ``boundary_iou_per_image``, of several classes also with ``:<class>`` behind,
        ``miou_with_background``, and the means of `ERRORS` where the truth is an alpha.
    """
    sums = _sums(rows, _sources(rows))
    values, drawn = _figures(sums.sum(0), names), _figures(_draws(len(sums)) @ sums, names)
    return {name: _interval(float(value), drawn[name]) for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Difference:
    """The figures of some pictures by an old and a new one, and the new one's less the old one's."""

    name: str
    pictures: int
    sources: int
    old: Mapping[str, Interval]
    new: Mapping[str, Interval]
    gained: Mapping[str, Interval]


def compare_groups(old: Sequence[Row], new: Sequence[Row], names: Sequence[str]) -> list[Difference]:
    """Compare two answers to the same pictures, for all of them and for each split and scene.

    The same sources are drawn for both, so what makes a source hard for both does not blur what sets them apart.

    Raises
    ------
    ArrayError
        When the pictures are not the same.
    """
    stems = ([sample.stem for sample in old], [sample.stem for sample in new])
    if stems[0] != stems[1]:
        raise ArrayError(f"expected answers to the same pictures; {len(set(stems[0]) ^ set(stems[1]))} are in one only")
    result = []
    for (name, before), (_, after) in zip(_grouped(old), _grouped(new), strict=True):
        sources = _sources(before)
        sums = [_sums(some, sources) for some in (before, after)]
        draws = _draws(len(sources))
        values = [_figures(sample.sum(0), names) for sample in sums]
        drawn = [_figures(draws @ sample, names) for sample in sums]
        whole = [{key: _interval(float(value), drawn[at][key]) for key, value in values[at].items()} for at in (0, 1)]
        gained = {
            key: _interval(float(values[1][key] - values[0][key]), drawn[1][key] - drawn[0][key]) for key in values[0]
        }
        result.append(Difference(name, len(before), len(sources), whole[0], whole[1], gained))
    return result


def _grouped(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    result = [("all", list(rows))]
    splits = [split for split in SPLITS if any(sample.split == split for sample in rows)]
    if len(splits) > 1:
        result += [(f"split {split}", [sample for sample in rows if sample.split == split]) for split in splits]
    scenes = sorted({scene for sample in rows for scene in sample.scenes})
    return result + [(f"scene {scene}", [sample for sample in rows if scene in sample.scenes]) for scene in scenes]


def _sources(rows: Iterable[Row]) -> list[str]:
    return sorted({sample.source for sample in rows})


def _sums(rows: Sequence[Row], sources: Sequence[str]) -> Floats:
    """Add up by source what every figure is made of, shape (sources, columns)."""
    column = {source: at for at, source in enumerate(sources)}
    text = [_columns(sample) for sample in rows]
    sums = np.zeros((len(sources), len(text[0]) if text else 0))
    for sample, columns in zip(rows, text, strict=True):
        sums[column[sample.source]] += columns
    return sums


def _columns(sample: Row) -> Floats:
    """Give pictures, shared, together, IoU and how often, boundary IoU and how often, errors."""
    shared, together = np.array(sample.shared, float), np.array(sample.together, float)
    there = together > 0
    boundary = np.array(sample.boundary, float)
    known = ~np.isnan(boundary)
    iou = np.divide(shared, together, out=np.zeros_like(shared), where=there)
    return np.concatenate([[1.0], shared, together, iou, there, np.where(known, boundary, 0), known, sample.errors])


def _figures(sums: Floats, names: Sequence[str]) -> dict[str, Any]:
    """Give the figures of sums, shape (columns,) or (draws, columns)."""
    c = len(names)
    ends = np.cumsum([1, c, c, c, c, c - 1, c - 1])
    pictures, shared, together, iou, there, boundary, known = (
        sums[..., end - width : end] for end, width in zip(ends, (1, c, c, c, c, c - 1, c - 1), strict=True)
    )
    errors = sums[..., ends[-1] :]
    with np.errstate(divide="ignore", invalid="ignore"):
        by_class = {
            "iou_per_image": (iou / there)[..., 1:],
            "iou_of_dataset": (shared / together)[..., 1:],
            "boundary_iou_per_image": boundary / known,
        }
        result = {name: _mean(values) for name, values in by_class.items()}
        result["miou_with_background"] = _mean(shared / together)
        if c > 2:
            result |= {f"{name}:{names[at + 1]}": values[..., at] for name, values in by_class.items() for at in range(c - 1)}
        if errors.shape[-1]:
            result |= {name: errors[..., at] / pictures[..., 0] for at, name in enumerate(ERRORS)}
    return result


def _mean(values: Floats) -> Any:
    """Average over the classes that are there at all."""
    known = ~np.isnan(values)
    count = known.sum(-1)
    return np.divide(np.where(known, values, 0).sum(-1), count, out=np.full(count.shape, np.nan), where=count > 0)


def _draws(sources: int) -> Floats:
    """Say how often each source is drawn, shape (rounds, sources); the same for as many sources."""
    if sources < 2:
        return np.zeros((0, sources))
    return (
        rng.make_generator(1, "bootstrap", sources).multinomial(sources, np.full(sources, 1 / sources), _ROUNDS).astype(float)
    )


def _interval(value: float, drawn: Floats) -> Interval:
    known = drawn[~np.isnan(drawn)]
    if len(known) == 0:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(known, (2.5, 97.5))
    return Interval(value, float(low), float(high))
