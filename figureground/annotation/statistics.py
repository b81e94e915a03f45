"""Annotation statistics: does pre-annotation save time, by scene, remover and annotator? Numbers only.

Every estimate has the number of labels it comes from and a 95 % interval: Wilson's for shares (E. B. Wilson, 1927), that of
the order statistics for medians (none below six values), Welch's for the ratio of times (see
`figureground.annotation.preannotation_gate`, also for the stopping rule). The annotator of a blank task did not see the
matte before drawing: how well the matte fits there is free of the pull that a shown mask has on annotators, which is why it
is estimated apart.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from figureground.annotation import preannotation_gate
from figureground.annotation.label_interface import KEEP
from figureground.annotation.preannotation_gate import Z_95, Gate, TimedAnnotation

_NO_SCENE = "no scene"
_INTERVAL_FROM = 6  # of fewer values not even the smallest and the largest hold the median with 95 %


@dataclass(frozen=True, slots=True)
class AnnotationRecord:
    """What became of one task: how long it took, what the annotator did to the matte, and the second annotator.

    ``changed``, ``boundary_iou``, ``agreement`` and ``boundary_agreement`` are 0 to 1, NaN where there is none.
    """

    timing: TimedAnnotation
    source_id: str
    annotator: str
    verdict: str
    origin: str
    changed: float
    boundary_iou: float
    second_annotator: str
    second_verdict: str
    agreement: float
    boundary_agreement: float

    @property
    def kept(self) -> bool:
        """Whether the annotator kept the crop."""
        return self.verdict == KEEP


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, the ends of its interval, and how many labels it is from; NaN where there are too few."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """A group's statistics: of pre-annotated tasks except ``blind``, ``drawn`` and ``gate``; seconds are medians."""

    name: str
    remover: str
    accepted: Estimate
    changed: Estimate
    boundary: Estimate
    seconds: Estimate
    drawn: Estimate
    blind: Estimate
    gate: Gate


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two annotators agree on a scene: on keeping a crop (a share), and the masks' IoU (medians)."""

    name: str
    verdict: Estimate
    iou: Estimate
    boundary: Estimate


@dataclass(frozen=True, slots=True)
class AnnotationStatistics:
    """The statistics of all sources. ``gated`` tells whether the catalog lets the stopping rule act."""

    kept: int
    rejected: int
    blank: int
    annotated_twice: int
    timed: int
    mean_seconds: float
    names: tuple[str, ...]
    scenes: tuple[GroupStatistics, ...]
    annotators: tuple[GroupStatistics, ...]
    agreements: tuple[Agreement, ...]
    gated: bool
    labels_at_least: int


def estimate_share(hits: int, count: int) -> Estimate:
    """Estimate a share with Wilson's interval.

    >>> share = estimate_share(8, 10)
    >>> round(share.value, 2), round(share.low, 2), round(share.high, 2)
    (0.8, 0.49, 0.94)
    """
    if count == 0:
        return _no_estimate()
    share, square = hits / count, Z_95**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = Z_95 * math.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half), count)


def estimate_median(values: Iterable[float]) -> Estimate:
    """Estimate a median, with the interval between the two values that hold it in 95 % of all samples.

    >>> estimate_median([3, 1, 2])
    Estimate(value=2, low=nan, high=nan, count=3)
    >>> estimate_median(range(1, 102))
    Estimate(value=51, low=40, high=62, count=101)
    """
    known = sorted(value for value in values if not math.isnan(value))
    count = len(known)
    if count == 0:
        return _no_estimate()
    if count < _INTERVAL_FROM:
        return Estimate(median(known), math.nan, math.nan, count)
    reach = Z_95 * math.sqrt(count) / 2
    low, high = max(0, math.floor(count / 2 - reach) - 1), min(count - 1, math.ceil(count / 2 + reach))
    return Estimate(median(known), known[low], known[high], count)


def _no_estimate() -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, 0)


def compute_statistics(
    records: Sequence[AnnotationRecord], *, gated: bool, labels_at_least: int
) -> AnnotationStatistics:
    """Compute the statistics.

    Parameters
    ----------
    records
        Of all sources.
    gated, labels_at_least
        What the catalog's ``preannotation_gate`` says.
    """
    kept = [record for record in records if record.kept]
    by_scene = _group(kept, lambda record: [(scene, record.timing.remover) for scene in _scenes(record)])
    by_annotator = _group(kept, lambda record: [(record.annotator, record.timing.remover)])
    twice = [record for record in records if record.second_annotator]
    pairs = _group(twice, lambda record: [(scene, "") for scene in _scenes(record)])
    timed = [record.timing.seconds for record in kept if record.timing.seconds > 0]
    winsorised = preannotation_gate.winsorise(timed)
    return AnnotationStatistics(
        kept=len(kept),
        rejected=len(records) - len(kept),
        blank=sum(record.timing.blank for record in kept),
        annotated_twice=len(twice),
        timed=len(timed),
        mean_seconds=fmean(winsorised) if winsorised else math.nan,
        names=tuple(sorted({record.annotator for record in records})),
        scenes=tuple(_describe_group(group, rows, labels_at_least) for group, rows in by_scene.items()),
        annotators=tuple(_describe_group(group, rows, labels_at_least) for group, rows in by_annotator.items()),
        agreements=tuple(_compare_pairs(name, rows) for (name, _), rows in pairs.items()),
        gated=gated,
        labels_at_least=labels_at_least,
    )


def _scenes(record: AnnotationRecord) -> tuple[str, ...]:
    return record.timing.scenes or (_NO_SCENE,)


def _group(
    records: Iterable[AnnotationRecord], groups_of: Callable[[AnnotationRecord], Sequence[tuple[str, str]]]
) -> Mapping[tuple[str, str], list[AnnotationRecord]]:
    groups: dict[tuple[str, str], list[AnnotationRecord]] = {}
    for record in records:
        for group in groups_of(record):
            groups.setdefault(group, []).append(record)
    return dict(sorted(groups.items()))


def _describe_group(
    group: tuple[str, str], records: Sequence[AnnotationRecord], labels_at_least: int
) -> GroupStatistics:
    shown = [record for record in records if not record.timing.blank]
    blank = [record for record in records if record.timing.blank]
    return GroupStatistics(
        name=group[0],
        remover=group[1],
        accepted=estimate_share(sum(record.origin == "prediction" for record in shown), len(shown)),
        changed=estimate_median(record.changed for record in shown),
        boundary=estimate_median(record.boundary_iou for record in shown),
        seconds=estimate_median(record.timing.seconds or math.nan for record in shown),
        drawn=estimate_median(record.timing.seconds or math.nan for record in blank),
        blind=estimate_median(record.boundary_iou for record in blank),
        gate=preannotation_gate.apply_rule((record.timing for record in records), labels_at_least),
    )


def _compare_pairs(name: str, records: Sequence[AnnotationRecord]) -> Agreement:
    same = sum(record.kept == (record.second_verdict == KEEP) for record in records)
    return Agreement(
        name,
        estimate_share(same, len(records)),
        estimate_median(record.agreement for record in records),
        estimate_median(record.boundary_agreement for record in records),
    )
