"""What a source's page says: facts, warnings, the funnel, and figures of frames, crops, mattes and labels."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from figureground.mattes import confidence
from figureground.parallel import map_ordered
from figureground.reports import source_report
from figureground.reports.source_report import Figure, Group, SourceReport, Step
from figureground.reports.source_tables import SourceTables, describe_limit, person_box
from figureground.tables import CropRow, FrameRow, LabelRow, MatteRow

_T = TypeVar("_T")

KEEP = "keep"
"""The verdict of an annotator who did not reject the crop."""


@dataclass(frozen=True, slots=True)
class FigureCounts:
    """How many figures a page shows of each kind, at most."""

    frames: int
    kept: int
    rejected: int
    labels: int
    tuned: int


ON_SOURCE_PAGE = FigureCounts(frames=4, kept=48, rejected=12, labels=0, tuned=200)
ON_PIPELINE_PAGE = FigureCounts(frames=2, kept=8, rejected=6, labels=6, tuned=0)


def summarize(source: SourceTables, counts: FigureCounts) -> SourceReport:
    """Give the content of a source's page.

    Parameters
    ----------
    source
        Its tables.
    counts
        How many figures are shown.

    Raises
    ------
    StoreError
        When an image is missing or damaged.
    """
    kept = [row for row in source.crops if not source.reasons.get(row.crop_id)]
    has_tuner = counts.tuned and {"crops", "scores"} <= source.stages
    return SourceReport(
        source_id=source.source_id,
        facts=tuple(_facts(source)),
        warnings=tuple(_warnings(source, len(kept))),
        steps=tuple(_steps(source)),
        tuner=_tuner(source, counts.tuned) if has_tuner else None,
        frames=tuple(_frames(source, counts.frames)),
        kept=_kept(source, kept, counts.kept) if kept else None,
        dropped=tuple(_rejected(source, reason, counts.rejected) for reason in _by_count(source.reasons.values())),
        labels=tuple(_labels(source, counts.labels)) if counts.labels else (),
    )


def _tuner(source: SourceTables, with_image: int) -> dict[str, Any]:
    """Give all crops with what was measured; some of them, spread evenly, with an image."""
    values: dict[str, dict[str, float]] = {row.crop_id: {} for row in source.crops}
    for row in source.scores:
        values[row.crop_id][row.check] = row.value
    shown = {row.crop_id: row for row in source_report.spread(source.crops, with_image)}
    images = dict(zip(shown, map_ordered(source.image, shown.values()), strict=True))
    return source_report.tuner(source.checks, [(crop_id, images.get(crop_id), of) for crop_id, of in values.items()])


def _facts(source: SourceTables) -> Iterable[tuple[str, str]]:
    for video in source.videos:
        yield from (("from", video.path), ("licence", video.license))
        if attribution := ", ".join(text for text in (video.title, video.uploader, video.uploaded) if text):
            yield "by", attribution
    facts, frames = source.facts.get("frames", {}), source.frames
    if frames:
        yield "video", ", ".join(_video(facts, frames[0]))
    yield "frames", ", ".join([f"{len(frames):,} taken", *([f"{facts['decoded']:,} decoded"] if "decoded" in facts else [])])


def _video(facts: Mapping[str, Any], frame: FrameRow) -> Iterable[str]:
    yield f"{frame.width}×{frame.height} pixels"
    if "seconds" in facts:
        yield f"{facts['seconds']:.1f} seconds"
    if "fps" in facts:
        yield f"{facts['fps']:.4g} frames a second"
    if "codec" in facts:
        yield str(facts["codec"])


def _warnings(source: SourceTables, kept: int) -> Iterable[str]:
    facts = source.facts.get("frames", {})
    if facts.get("truncated"):
        yield (
            f"The video ends early: its header promises {facts.get('promised')} frames, {facts.get('decoded')} could be read. "
            "What was read is used."
        )
    if facts.get("corrupt"):
        yield f"{facts['corrupt']} packets or frames are damaged; {facts.get('smeared', 0)} frames were left out because of it."
    if facts.get("unreadable"):
        yield f"{facts['unreadable']} of {facts['pictures']} photos cannot be read; the frames table gives each one's reason."
    if "crops" in source.stages and not source.crops:
        people = source.facts["crops"].get("people", 0)
        why = f"all {people} people found are too small to cut out" if people else "no person was found"
        yield f"This source gives no crops: {why} in its {len(source.frames)} frames."
    if source.crops and "verdicts" not in source.stages:
        yield "The crops have not been judged yet; run ingest again."
    elif source.crops and not kept:
        yield f"All {len(source.crops)} crops were dropped; the reasons stand below."


def _steps(source: SourceTables) -> Iterable[Step]:
    steps = list(_funnel(source))
    most = max((count for _, count, _ in steps), default=0)
    return [Step(name, count, count / most if most else 0.0, reason) for name, count, reason in steps]


def _funnel(source: SourceTables) -> Iterable[tuple[str, int, str]]:
    facts = source.facts.get("crops", {})
    if "frames" in source.stages:
        yield "frames taken", len(source.frames), ""
    if "people" in facts:
        yield "people found", facts["people"], ""
    if facts.get("too_small"):
        yield "dropped: too small to cut", facts["too_small"], "small"
    if "crops" in source.stages:
        yield "crops", len(source.crops), ""
    reasons = Counter(source.reasons.values())
    for reason in _by_count(source.reasons.values()):
        yield f"dropped: {reason}", reasons[reason], reason
    if "verdicts" in source.stages:
        yield "kept", reasons[""], ""
    if "mattes" in source.stages:
        yield "mattes", len(source.mattes), ""


def _by_count(reasons: Iterable[str]) -> list[str]:
    counts = Counter(reason for reason in reasons if reason)
    return sorted(counts, key=lambda reason: (-counts[reason], reason))


def _frames(source: SourceTables, at_most: int) -> Iterable[Figure]:
    """Show the busiest frame and others spread evenly, with people where there are any."""
    if not source.frames:
        return ()
    people, best = source.people_of, source.busiest_frame()
    rest = [frame for frame in source.frames if frame is not best and (not people or frame.frame_id in people)]
    chosen = sorted([best, *source_report.spread(rest, at_most - 1)], key=lambda frame: frame.index)
    return [_frame(source, frame) for frame in chosen]


def _frame(source: SourceTables, frame: FrameRow) -> Figure:
    boxes = [
        (person_box(row), row.crop_id.rsplit("-", 1)[1], source.reasons.get(row.crop_id, ""))
        for row in source.people_of.get(frame.frame_id, [])
    ]
    caption = f"{frame.frame_id} at {frame.seconds:.2f} s"
    return source_report.frame_figure(frame.frame_id, source.image(frame), boxes, caption)


def _kept(source: SourceTables, kept: Sequence[CropRow], at_most: int) -> Group:
    def figure(row: CropRow) -> Figure:
        matte = source.matte_of.get(row.crop_id)
        alpha = source.alpha(matte) if matte and matte.file else None
        size = f"{row.width}×{row.height}"
        note = f"{size}, {_describe_matte(matte)}" if matte else f"{size}, person {row.score:.2f}"
        return source_report.kept_figure(row.crop_id, source.image(row), alpha, row.crop_id, note)

    removers = sorted({row.remover for row in source.mattes})
    title = "Kept crops" if "verdicts" in source.stages else "Crops, not judged yet"
    if not removers:
        return Group(title, "No mattes yet.", _drawn(figure, source_report.spread(kept, at_most)), len(kept))
    scores = {crop_id: row.score for crop_id, row in source.matte_of.items()}
    by_confidence = sorted(kept, key=lambda row: (scores.get(row.crop_id, -1.0), row.crop_id))
    doubtful = sum(map(confidence.needs_review, scores.values()))
    text = (
        f"Crop, matte over a checkerboard, outline; made by {', '.join(removers)}. The lowest confidence comes first; "
        f"{doubtful} of {len(scores)} are below {confidence.REVIEW_BELOW} and need an annotator."
    )
    return Group(title, text, _drawn(figure, by_confidence[:at_most]), len(kept))


def _describe_matte(matte: MatteRow) -> str:
    return f"matte {matte.score:.2f}" + (", needs an annotator" if confidence.needs_review(matte.score) else "")


def _rejected(source: SourceTables, reason: str, at_most: int) -> Group:
    rows = [row for row in source.crops if source.reasons.get(row.crop_id) == reason]
    limit = describe_limit(source.checks[reason]) if reason in source.checks else ""

    def figure(row: CropRow) -> Figure:
        note = source.describe_value(row.crop_id, reason)
        return source_report.dropped_figure(row.crop_id, source.image(row), reason, row.crop_id, note)

    text = f"The limit is {limit}." if limit else ""
    title = f"Dropped because of {reason}: {len(rows)}"
    return Group(title, text, _drawn(figure, source_report.spread(rows, at_most)), len(rows))


_ORIGINS = {
    "prediction-changed": ("Corrected by the annotator", "The matte's outline, what was changed, the label's outline."),
    "manual": ("Drawn by the annotator", "Without looking at the matte first."),
    "prediction": ("Accepted as it was", "The annotator found nothing to change."),
}


def _labels(source: SourceTables, at_most: int) -> Iterable[Group]:
    labels = [row for row in source.labels if row.crop_id in source.crop_of]

    def figure(row: LabelRow) -> Figure:
        image = source.image(source.crop_of[row.crop_id])
        if row.verdict != KEEP or not row.file:
            return source_report.dropped_figure(row.crop_id, image, row.verdict or "no verdict", row.crop_id, row.verdict)
        matte = source.matte_of.get(row.crop_id)
        before = source.alpha(matte) if row.origin != "prediction" and matte and matte.file else None
        return source_report.label_figure(row.crop_id, image, before, source.alpha(row), row.crop_id, _describe_label(row))

    for origin, (title, text) in _ORIGINS.items():
        kept = [row for row in labels if row.origin == origin and row.verdict == KEEP]
        if kept:
            yield Group(f"{title}: {len(kept)}", text, _drawn(figure, source_report.spread(kept, at_most)), len(kept))
    if rejected := [row for row in labels if row.verdict != KEEP]:
        text = "Not released; the annotator's reason stands below each."
        yield Group(f"Rejected by the annotator: {len(rejected)}", text, _drawn(figure, rejected[:at_most]), len(rejected))


def _describe_label(row: LabelRow) -> str:
    iou = row.iou_with_matte
    return f"IoU with the matte {iou:.3f}" if iou == iou else ""


def _drawn(figure: Callable[[_T], Figure], rows: Sequence[_T]) -> tuple[Figure, ...]:
    return tuple(map_ordered(figure, rows))
