"""Does pre-annotation pay? What people's work says, by scene, remover and annotator, and the page that shows it.

Every figure stands beside the number of labels it comes from and a 95 % interval: Wilson's for shares (E. B. Wilson, 1927),
that of the order statistics for medians (none below six), Welch's for the ratio of times (see
`figureground.annotation.preannotation_gate`, also for how long times are kept from deciding). Of a blank task nobody saw the
matte before drawing:
how well the matte fits there is free of the pull that a shown mask has on people, which is why it is told apart.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from figureground.annotation import preannotation_gate
from figureground.annotation.label_interface import KEEP
from figureground.annotation.preannotation_gate import NINETY_FIVE, Gate, Work
from figureground.reports import charts
from figureground.reports.source_report import rendered

_NOBODY = "no scene"
_FEW = 6  # of fewer values not even the smallest and the largest hold the median with 95 %


@dataclass(frozen=True, slots=True)
class Deed:
    """What became of one task: the `work` of its annotator, what it did to the matte, and who else looked at it.

    ``changed``, ``boundary_iou``, ``agreement`` and ``boundary_agreement`` are 0 to 1, NaN where there is none.
    """

    work: Work
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
        """Whether the annotator kept the picture."""
        return self.verdict == KEEP


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, the ends of its interval, and how many labels it is from; NaN where there are too few."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Row:
    """A group's figures: of pre-annotated tasks but for ``blind``, ``drawn`` and ``gate``; seconds are medians."""

    name: str
    remover: str
    accepted: Figure
    changed: Figure
    boundary: Figure
    seconds: Figure
    drawn: Figure
    blind: Figure
    gate: Gate


@dataclass(frozen=True, slots=True)
class Accord:
    """How far two people agree on a scene: on keeping a picture (a share), and the masks' IoU (medians)."""

    name: str
    verdict: Figure
    agreement: Figure
    boundary: Figure


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows; ``gated`` tells whether the catalog lets the gate act."""

    facts: tuple[tuple[str, str], ...]
    scenes: tuple[Row, ...]
    annotators: tuple[Row, ...]
    accords: tuple[Accord, ...]
    gated: bool
    labels_at_least: int


def share(hits: int, count: int) -> Figure:
    """Give a share with Wilson's interval.

    >>> found = share(8, 10)
    >>> round(found.value, 2), round(found.low, 2), round(found.high, 2)
    (0.8, 0.49, 0.94)
    """
    if count == 0:
        return _nothing(0)
    rate, square = hits / count, NINETY_FIVE**2
    middle = (rate + square / (2 * count)) / (1 + square / count)
    half = NINETY_FIVE * math.sqrt(rate * (1 - rate) / count + square / (4 * count**2)) / (1 + square / count)
    return Figure(rate, max(0.0, middle - half), min(1.0, middle + half), count)


def middle(values: Iterable[float]) -> Figure:
    """Give a median, with the interval between those two values that it lies between in 95 % of all samples.

    >>> middle([3, 1, 2])
    Figure(value=2, low=nan, high=nan, count=3)
    >>> middle(range(1, 102))
    Figure(value=51, low=40, high=62, count=101)
    """
    there = sorted(value for value in values if not math.isnan(value))
    count = len(there)
    if count == 0:
        return _nothing(0)
    if count < _FEW:
        return Figure(median(there), math.nan, math.nan, count)
    reach = NINETY_FIVE * math.sqrt(count) / 2
    low, high = max(0, math.floor(count / 2 - reach) - 1), min(count - 1, math.ceil(count / 2 + reach))
    return Figure(median(there), there[low], there[high], count)


def _nothing(count: int) -> Figure:
    return Figure(math.nan, math.nan, math.nan, count)


def page(deeds: Sequence[Deed], *, gated: bool, labels_at_least: int) -> Page:
    """Compute what the page shows.

    Parameters
    ----------
    deeds
        Of all sources.
    gated, labels_at_least
        What the catalog's ``preannotation_gate`` says.
    """
    kept = [deed for deed in deeds if deed.kept]
    by_scene = _grouped(kept, lambda deed: [(scene, deed.work.remover) for scene in _scenes(deed)])
    by_annotator = _grouped(kept, lambda deed: [(deed.annotator, deed.work.remover)])
    twice = [deed for deed in deeds if deed.second_annotator]
    pairs = _grouped(twice, lambda deed: [(scene, "") for scene in _scenes(deed)])
    return Page(
        facts=_facts(deeds, twice),
        scenes=tuple(_row(group, some, labels_at_least) for group, some in by_scene.items()),
        annotators=tuple(_row(group, some, labels_at_least) for group, some in by_annotator.items()),
        accords=tuple(_accord(name, some) for (name, _), some in pairs.items()),
        gated=gated,
        labels_at_least=labels_at_least,
    )


def _scenes(deed: Deed) -> tuple[str, ...]:
    return deed.work.scenes or (_NOBODY,)


def _grouped(
    deeds: Iterable[Deed], groups: Callable[[Deed], Sequence[tuple[str, str]]]
) -> Mapping[tuple[str, str], list[Deed]]:
    found: dict[tuple[str, str], list[Deed]] = {}
    for deed in deeds:
        for group in groups(deed):
            found.setdefault(group, []).append(deed)
    return dict(sorted(found.items()))


def _row(group: tuple[str, str], deeds: Sequence[Deed], labels_at_least: int) -> Row:
    shown, blank = ([deed for deed in deeds if deed.work.blank == is_blank] for is_blank in (False, True))
    return Row(
        name=group[0],
        remover=group[1],
        accepted=share(sum(deed.origin == "prediction" for deed in shown), len(shown)),
        changed=middle(deed.changed for deed in shown),
        boundary=middle(deed.boundary_iou for deed in shown),
        seconds=middle(deed.work.seconds or math.nan for deed in shown),
        drawn=middle(deed.work.seconds or math.nan for deed in blank),
        blind=middle(deed.boundary_iou for deed in blank),
        gate=preannotation_gate.gate((deed.work for deed in deeds), labels_at_least),
    )


def _accord(name: str, deeds: Sequence[Deed]) -> Accord:
    same = sum(deed.kept == (deed.second_verdict == KEEP) for deed in deeds)
    agreement, boundary = (middle(values) for values in zip(*((d.agreement, d.boundary_agreement) for d in deeds), strict=True))
    return Accord(name, share(same, len(deeds)), agreement, boundary)


def _facts(deeds: Sequence[Deed], twice: Sequence[Deed]) -> tuple[tuple[str, str], ...]:
    kept = [deed for deed in deeds if deed.kept]
    timed = [deed.work.seconds for deed in kept if deed.work.seconds > 0]
    fenced = preannotation_gate.fenced(timed)
    return (
        ("labels", f"{len(kept):,} kept, {len(deeds) - len(kept):,} rejected"),
        ("annotators", ", ".join(sorted({deed.annotator for deed in deeds})) or "nobody"),
        ("left blank", f"{sum(deed.work.blank for deed in kept):,} of the kept ones"),
        ("seen by two", f"{len(twice):,}"),
        ("lead time", f"known of {len(timed):,}; mean {fmean(fenced):.1f} s" if fenced else "not known"),
    )


def verdict(row: Row, page: Page) -> str:
    """Say in words what a scene's gate says."""
    least = min(len(row.gate.corrected), len(row.gate.drawn))
    if row.gate.looks == 0:
        return f"too few to tell: {least} of {page.labels_at_least} of the smaller kind"
    sure = row.gate.ratio is not None and row.gate.ratio.high < 1
    found = "does not pay" if row.gate.stopped else "pays" if sure else "not proven to cost time"
    return found if page.gated else f"{found} (the catalog has no preannotation_gate: nothing is stopped)"


def html(page: Page) -> str:
    """Write the page: one HTML file that needs no other; the same for the same content."""
    scenes = [
        (row.name if len({one.remover for one in page.scenes}) == 1 else f"{row.name}, {row.remover}", row)
        for row in page.scenes
    ]
    return rendered(
        "meter.html",
        title="Does pre-annotation pay?",
        page=page,
        verdicts=[verdict(row, page) for row in page.scenes],
        ratios=charts.ratios([(name, row.gate.ratio) for name, row in scenes]),
        times=charts.times([(name, row.gate.corrected, row.gate.drawn) for name, row in scenes]),
        routes=charts.shares([(name, row.accepted.value, row.accepted.count) for name, row in scenes]),
    )
