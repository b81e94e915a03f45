"""The history of one image in sentences: from its video to the releases that hold it."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from figureground.checks import Check, limits
from figureground.datasets.manifest import Manifest
from figureground.mattes import confidence
from figureground.tables import CropRow, FrameRow, LabelRow, MatteRow, ScoreRow, TaskRow, VerdictRow, VideoRow


@dataclass(frozen=True, slots=True)
class Line:
    """One step: its subject (video, frame, crop, score, verdict, matte, task, label, release) and a sentence."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRows:
    """The rows of all tables of one source; a stage that has not run has none."""

    videos: list[VideoRow] = field(default_factory=list)
    frames: list[FrameRow] = field(default_factory=list)
    crops: list[CropRow] = field(default_factory=list)
    scores: list[ScoreRow] = field(default_factory=list)
    verdicts: list[VerdictRow] = field(default_factory=list)
    mattes: list[MatteRow] = field(default_factory=list)
    tasks: list[TaskRow] = field(default_factory=list)
    labels: list[LabelRow] = field(default_factory=list)


def describe(
    name: str, rows: SourceRows, checks: Callable[[], Mapping[str, Check]], releases: Callable[[str], Iterable[Line]]
) -> list[Line]:
    """Describe what the tables say of a frame with all its crops, or of one crop.

    Parameters
    ----------
    name
        The frame's or the crop's id.
    rows
        The tables of its source.
    checks
        Gives the recipe's checks by name; asked only when there are scores.
    releases
        Gives the lines of the releases that hold a sample id.

    Returns
    -------
    list of Line
        In the order of the stages; empty when neither a frame nor a crop has this id.
    """
    crops = [crop for crop in rows.crops if name in (crop.crop_id, crop.frame_id)]
    frames = [frame for frame in rows.frames if frame.frame_id in (name, *(crop.frame_id for crop in crops))]
    originals = {frame.original for frame in frames}
    videos = [video for video in rows.videos if len(rows.videos) == 1 or _is_original(video.path, originals)]
    if not crops and not frames:
        return []
    lines = [*map(_video, videos), *map(_frame, frames)]
    if not crops and not any(frame.reason for frame in frames):
        lines.append(Line("crop", "no person was cut out of this frame" if rows.crops else "not cropped yet"))
    for crop in crops:
        lines += [_crop(crop), *_stages(crop.crop_id, rows, checks), *releases(crop.crop_id)]
    return lines


def describe_release(name: str, release_manifest: Manifest, sample_id: str) -> Line | None:
    """Say in which split a release holds a sample; None when it does not."""
    sample = release_manifest.samples.get(sample_id)
    return Line("release", f"{name}: in {sample.split}, with annotation {sample.annotation.id}") if sample else None


def describe_from_manifest(name: str, release_manifest: Manifest, sample_id: str) -> list[Line]:
    """Describe a sample that only a release still lists, because the tables no longer do."""
    sample = release_manifest.samples[sample_id]
    source = release_manifest.sources[sample.source]
    x0, y0, x1, y1 = sample.box
    annotation = sample.annotation
    by = f"by {annotation.annotator}, {annotation.origin}, annotation {annotation.id}"
    return [
        Line("video", f"{source.path}, license {source.license}, sha256 {source.sha256}"),
        Line("frame", f"{sample.frame}: decoded frame {sample.index} at {sample.seconds:.3f} s"),
        Line("crop", f"x {x0}..{x1}, y {y0}..{y1}; it is no longer in the tables"),
        Line("label", "came with its dataset" if annotation.origin == "imported" else by),
        Line("release", f"{name}: in {sample.split}"),
    ]


def _is_original(path: str, originals: Iterable[str]) -> bool:
    """Tell whether a photo is the original of a frame; the path of a photo of a dataset begins with the dataset's folder."""
    return any(path == original or path.endswith(f"/{original}") for original in originals if original)


def _video(row: VideoRow) -> Line:
    return Line("video", f"{row.file} from {row.path}, license {row.license}, sha256 {row.sha256}")


def _frame(row: FrameRow) -> Line:
    if row.reason:
        return Line("frame", f"{row.frame_id}: cannot be read: {row.reason}")
    is_photo = not row.frame_id.endswith(f"-{row.index:06d}")
    number = f"photo {row.index}" if is_photo else f"decoded frame {row.index} at {row.seconds:.3f} s"
    return Line("frame", f"{row.frame_id}: {number}, {row.width}x{row.height} px, {row.file}")


def _crop(row: CropRow) -> Line:
    box = f"x {row.x0}..{row.x1}, y {row.y0}..{row.y1} of {row.frame_width}x{row.frame_height} px"
    others = f"{len(row.others)} other people" if len(row.others) != 1 else "1 other person"
    return Line("crop", f"{row.crop_id}: {box}, detected with score {row.score:.2f}, {others} in it, {row.file}")


def _stages(crop_id: str, rows: SourceRows, checks: Callable[[], Mapping[str, Check]]) -> Iterator[Line]:
    """Describe what each stage after cropping says of one crop."""
    scores = [row for row in rows.scores if row.crop_id == crop_id]
    recipe_checks = checks() if scores else {}
    yield from [_score(row, recipe_checks) for row in scores] or [Line("score", "not measured yet")]
    verdicts = [Line("verdict", _verdict(row)) for row in rows.verdicts if row.crop_id == crop_id]
    yield from verdicts or [Line("verdict", "not judged yet")]
    mattes = [Line("matte", _matte(row)) for row in rows.mattes if row.crop_id == crop_id]
    yield from mattes or [Line("matte", "none")]
    tasks = [Line("task", _task(row)) for row in rows.tasks if row.crop_id == crop_id]
    yield from tasks or [Line("task", "not pushed to Label Studio")]
    labels = [Line("label", _label(row)) for row in rows.labels if row.crop_id == crop_id]
    yield from labels or [Line("label", "none pulled")]


def _score(row: ScoreRow, checks: Mapping[str, Check]) -> Line:
    measured = "could not be measured" if math.isnan(row.value) else f"{row.value:.4g}"
    if row.check not in checks:
        return Line("score", f"{row.check} {measured}; the recipe no longer has this check")
    check = checks[row.check]
    listed = ", ".join(f"{name} {limit}" for name, limit in limits(dataclasses.asdict(check)).items())
    verdict = "accepted" if check.accepts(row.value) else "rejected"
    return Line("score", f"{row.check} {measured}: {verdict} by {listed or 'its fixed limit'}")


def _verdict(row: VerdictRow) -> str:
    return "kept" if row.kept else f"dropped by {row.reason}"


def _matte(row: MatteRow) -> str:
    doubt = ": an annotator must look at it" if confidence.needs_review(row.score) else ""
    return f"by {row.remover}, confidence {row.score:.2f}{doubt}, {row.file}"


def _task(row: TaskRow) -> str:
    more = f", blank: {row.blank}" if row.blank else ""
    more += f", for {row.people} annotators" if row.people > 1 else ""
    return f"task {row.task_id} in Label Studio's project {row.project_id}, key {row.key}{more}"


def _label(row: LabelRow) -> str:
    scenes = ", ".join(row.scenes) or "none chosen"
    overlap = "" if math.isnan(row.iou_with_matte) else f", {row.iou_with_matte:.3f} IoU with the matte"
    by = f"by {row.annotator} in {row.seconds_spent:.1f} s, {row.origin}"
    source = "as it came with its dataset" if row.origin == "imported" else by
    return f"{row.verdict} {source}, annotation {row.annotation_id}, scenes: {scenes}{overlap}, {row.file or 'no mask'}"
