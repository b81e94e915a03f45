"""The row classes: one for each table, the only place that says which columns a table has.

A field is a column, in the file's order. Its annotation gives the type, and its `Column` the meaning and the unit. A field with
a default may be missing in a file that is older than the column; the default is read then. `docs/tables.md` is made from
these classes. Nothing heavy is imported here, so that `figureground status` starts fast.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar, cast, get_type_hints


@dataclass(frozen=True, slots=True)
class Column:
    """What a column means and in which unit it is; "" when it has no unit."""

    meaning: str
    unit: str = ""


class Row:
    """A row of a table. ``stage`` names the table: its files are ``tables/<stage>/<source>.parquet``."""

    __slots__ = ()
    stage: ClassVar[str]


SourceId: TypeAlias = Annotated[str, Column("the source that it comes from")]
FrameId: TypeAlias = Annotated[str, Column("the frame that it is cut from")]
CropId: TypeAlias = Annotated[str, Column("the crop")]
FileName: TypeAlias = Annotated[str, Column("name of the file in the storage")]
Sha256: TypeAlias = Annotated[str, Column("SHA-256 of that file")]
CheckName: TypeAlias = Annotated[str, Column("name of the check")]
Signature: TypeAlias = Annotated[bytes, Column("bits by which near-duplicates are recognised; see figureground.similarity")]
Origin: TypeAlias = Annotated[str, Column("the source that it comes from; images of one source never go into two splits")]
Original: TypeAlias = Annotated[str, Column("the image file that it was read from")]
Unusable: TypeAlias = Annotated[str, Column("empty, or why it is not used; then there is no file")]
CropEdge: TypeAlias = Annotated[int, Column("the crop in its frame, half-open", "px")]
PersonEdge: TypeAlias = Annotated[float, Column("the detected box in the frame", "px")]
PreparedSize: TypeAlias = Annotated[int, Column("as prepared; 0 when it cannot be used", "px")]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRow(Row):
    """What was fetched: one row for a video, and one for each photo of an ``images`` source.

    A photo that cannot be fetched has no file; ``unreadable`` in the facts says why. The last six columns are filled for
    clips of a web page only. A table that is older than these columns is read as if they were empty.
    """

    stage: ClassVar[str] = "videos"

    source_id: SourceId
    path: Annotated[str, Column("where the catalog says that it is")]
    license: Annotated[str, Column("SPDX name or free text")]
    file: FileName
    sha256: Sha256
    title: Annotated[str, Column("title on its page")] = ""
    uploader: Annotated[str, Column("name of the uploader on its page")] = ""
    page: Annotated[str, Column("address of its page, without credentials")] = ""
    uploaded: Annotated[str, Column("date of the upload, as 2026-11-21; empty when unknown")] = ""
    site: Annotated[str, Column("name of the site, as yt-dlp gives it")] = ""
    clip_id: Annotated[str, Column("id of the clip on the site")] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingRow(Row):
    """What a web page, playlist, channel, feed or prefix lists or listed earlier: one row for each clip or file.

    Each ingest writes it for sources of ``kind: web`` and for prefixes; see docs/sources.md.
    """

    stage: ClassVar[str] = "listings"

    source_id: Annotated[str, Column("the source that it is, or would be")]
    site: Annotated[str, Column("name of the site, as yt-dlp gives it, or protocol of the storage")]
    clip_id: Annotated[str, Column("id of the clip on the site; site and clip_id together identify it")]
    page: Annotated[str, Column("its address, without credentials")]
    license: Annotated[str, Column("the licence that its page states, or else the catalog's; empty when unknown")]
    seconds: Annotated[float, Column("duration that its page states; NaN when unknown", "s")]
    bytes: Annotated[int, Column("size that its page states; 0 when unknown", "B")]
    examined: Annotated[bool, Column("whether its own page was read")]
    reason: Annotated[str, Column("empty, or why it is not used")]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenIdRow(Row):
    """The ids that the files of a folder, glob or dataset were given: one row for each file that is or was there.

    No id changes and none is given twice, whatever is laid beside a file or taken away.
    """

    stage: ClassVar[str] = "ids"

    path: Annotated[str, Column("the file's path below its source; bytes that are not UTF-8 as \\xe9, a backslash twice")]
    item_id: Annotated[str, Column("the source of a video, the frame of a photo or of a dataset's image")]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRow(Row):
    """Which frames were sampled. A frame or photo that cannot be read is a row with a reason.

    Facts of a video: how many frames were promised and decoded, whether it is ``truncated``, what was damaged, and with
    ``scenes`` the number of its ``shots``. Facts of photos: the number of ``pictures``, and how many of them are
    ``unreadable``.
    """

    stage: ClassVar[str] = "frames"

    frame_id: Annotated[str, Column("<source>-<index>, or <source>-<name of the photo>")]
    source_id: SourceId
    index: Annotated[int, Column("number of frames that were decoded, or of photos, before it")]
    seconds: Annotated[float, Column("timestamp in the container; 0 at the first frame and for photos", "s")]
    width: Annotated[int, Column("after rotation; 0 when it cannot be read", "px")]
    height: Annotated[int, Column("after rotation; 0 when it cannot be read", "px")]
    original: Annotated[str, Column("the video or photo that it was read from, as the catalog names it")]
    reason: Annotated[str, Column("empty, or why it cannot be read; then there is no file")]
    file: FileName
    sha256: Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class CropRow(Row):
    """One row for each person.

    The main person of a crop is the person whose box it was cut around (``person_*``), even when there are others in it
    (``others``). A crop whose main person is covered by another person by a fifth or more is rejected by the check
    ``occlusion``. ``track`` links a person over frames that are at most two seconds apart, by place, size and the colours of
    the clothes. Of 172 links over half a second in 15 clips, 167 agree with tracking the boxes frame by frame. Of the other
    five, inspected by eye, three are right, one is a hand, and one is another man. Facts: the number of people, how many were
    too small to crop, and the number of frames without people.
    """

    stage: ClassVar[str] = "crops"

    crop_id: Annotated[str, Column("<frame>-<number of the person>")]
    frame_id: FrameId
    source_id: SourceId
    seconds: Annotated[float, Column("timestamp of its frame", "s")]
    x0: CropEdge
    y0: CropEdge
    x1: CropEdge
    y1: CropEdge
    person_x0: PersonEdge
    person_y0: PersonEdge
    person_x1: PersonEdge
    person_y1: PersonEdge
    score: Annotated[float, Column("confidence of the detector", "0..1")]
    keypoints: Annotated[
        tuple[tuple[float, ...], ...], Column("17 of [x, y, confidence] in the crop, in COCO's order, or empty", "px")
    ]
    others: Annotated[tuple[tuple[float, ...], ...], Column("boxes [x0, y0, x1, y1] of other people in the crop", "px")]
    track: Annotated[int, Column("number of the person in the source; it stays the same over the frames")]
    face: Annotated[tuple[float, ...], Column("box [x0, y0, x1, y1] of the face in the crop, or empty", "px")]
    face_score: Annotated[float, Column("confidence of the face detector; NaN without a face", "0..1")]
    instances: Annotated[bytes, Column("result of instance segmentation; see figureground.people.instances")] = b""
    frame_width: Annotated[int, Column("width of the whole frame", "px")]
    frame_height: Annotated[int, Column("height of the whole frame", "px")]
    width: Annotated[int, Column("width of the crop", "px")]
    height: Annotated[int, Column("height of the crop", "px")]
    file: FileName
    sha256: Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureRow(Row):
    """Signatures for near-duplicates, written with the crops, and by a release for images that have none yet.

    So a release decodes no image a second time.
    """

    stage: ClassVar[str] = "signatures"

    sha256: Annotated[str, Column("SHA-256 of the crop's image file")]
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRow(Row):
    """One row for each crop and check: what can be measured on one crop alone. Facts: the ``crops`` that were measured."""

    stage: ClassVar[str] = "measures"

    crop_id: CropId
    check: CheckName
    value: Annotated[float, Column("measured on this crop alone; NaN when that is impossible", "the check's")]
    signature: Annotated[bytes, Column("what a check that compares crops needs to know of this crop, or empty")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow(Row):
    """The same after the checks that compare crops (docs/checks.md#duplicate). ``judge`` and the report read this table."""

    stage: ClassVar[str] = "scores"

    crop_id: CropId
    check: CheckName
    value: Annotated[float, Column("the measured value; NaN when that is impossible", "the check's")]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow(Row):
    """One row for each crop. Facts: the number of kept (an empty name) and rejected crops by ``reasons``."""

    stage: ClassVar[str] = "verdicts"

    crop_id: CropId
    kept: Annotated[bool, Column("whether it is worth labelling")]
    reason: Annotated[str, Column("empty, or the first check that rejected it")]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatteRow(Row):
    """Mattes of the kept crops. Facts: how many are so doubtful that each ``needs_person``, and the ``weights``."""

    stage: ClassVar[str] = "mattes"

    crop_id: CropId
    remover: Annotated[str, Column("the plug-in that made it")]
    score: Annotated[float, Column("confidence of the matte; those with low scores need an annotator most", "0..1")]
    file: FileName
    sha256: Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow(Row):
    """The tasks that were created in Label Studio. Facts: ``scenes``, and those without pre-annotations (``stopped``)."""

    stage: ClassVar[str] = "tasks"

    crop_id: CropId
    key: Annotated[str, Column("key of the task, which is in the task's data too")]
    project_id: Annotated[int, Column("number of the project in Label Studio")]
    task_id: Annotated[int, Column("number of the task in Label Studio")]
    prediction_sha256: Annotated[str, Column("SHA-256 of the mask that was pushed; empty for a blank task")]
    blank: Annotated[str, Column("empty, or why there is no prediction: measure, does not pay, no parts")]
    remover: Annotated[str, Column("the remover and its weights")]
    people: Annotated[int, Column("number of annotators that the task asks for")]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow(Row):
    """The labels that annotators made.

    A rejected crop has no file. The file of a kept crop is the soft alpha after the annotator's edits were fused into it: at
    least one half where the annotator painted. Facts: annotations that could not be used (``unusable``, with reasons; such
    tasks went back to the annotators), and where the next pull continues (``watermark``, ``recent``, ``answered``).
    """

    stage: ClassVar[str] = "labels"

    crop_id: CropId
    annotation_id: Annotated[int, Column("number of the annotation in Label Studio")]
    annotator: Annotated[str, Column("user name of the annotator in Label Studio")]
    seconds_spent: Annotated[float, Column("lead time as Label Studio counts it", "s")]
    origin: Annotated[str, Column("manual, prediction, prediction-changed, or imported with a dataset")]
    parent_prediction: Annotated[int, Column("number of the prediction in Label Studio that it started from; 0 for none")]
    verdict: Annotated[str, Column("keep, or why the annotator rejected the crop")]
    scenes: Annotated[tuple[str, ...], Column("the scenes that the annotator chose")]
    iou_with_matte: Annotated[float, Column("IoU of the label and the matte", "0..1")]
    boundary_iou_with_matte: Annotated[float, Column("boundary IoU of the label and the matte", "0..1")]
    changed: Annotated[float, Column("share of the pixels in which the annotator's mask differs from the matte", "0..1")]
    second_annotator: Annotated[str, Column("the annotator of a second annotation; empty without one")]
    second_verdict: Annotated[str, Column("keep, or why the second annotator rejected the crop")]
    agreement: Annotated[float, Column("IoU of the masks of both annotators; NaN unless both kept the crop", "0..1")]
    boundary_agreement: Annotated[float, Column("boundary IoU of the masks of both annotators", "0..1")]
    file: FileName
    sha256: Sha256
    parts: Annotated[str, Column("name in the storage of the map of part classes; empty when parts were not asked for")]
    parts_sha256: Annotated[str, Column("SHA-256 of that file")]
    classes: Annotated[int, Column("number of classes with the background; 0 without parts")]
    overlaps: Annotated[tuple[str, ...], Column("which classes were painted over each other, with the pixels")]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRow(Row):
    """The people that can be composited: one row for each cut-out of a composition. Facts: how many are ``usable``."""

    stage: ClassVar[str] = "people"

    person_id: Annotated[str, Column("the cut-out: its file's name without extension")]
    origin: Origin
    original: Original
    split: Annotated[str, Column("the split of its source in the release; empty when it is in none")]
    width: PreparedSize
    height: PreparedSize
    sides: Annotated[tuple[str, ...], Column("the sides of the image at which the person is cut off")]
    signature: Signature
    reason: Unusable
    file: FileName
    sha256: Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundRow(Row):
    """The backgrounds of a composition, one row for each image.

    Facts: how many are ``usable``, and the ``weights`` of the detector.
    """

    stage: ClassVar[str] = "backgrounds"

    background_id: Annotated[str, Column("its file's name without extension, or the frame's id")]
    origin: Origin
    original: Original
    width: PreparedSize
    height: PreparedSize
    horizon: Annotated[float, Column("row of the horizon over the height, from the catalog; NaN when it is not there", "0..1")]
    people: Annotated[int, Column("number of people that were detected in it; -1 when no detector ran")]
    signature: Signature
    reason: Unusable
    file: FileName
    sha256: Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeRow(Row):
    """One row for each synthetic or real pair of a composition, in order; ``recipes.parquet`` in its folder has the same bytes.

    Facts: what it was made from (``pools``), what was missing (``lacking``), and the ``digest`` of the folder.
    """

    stage: ClassVar[str] = "composites"

    picture_id: Annotated[str, Column("the sample id: a number, or the sample id of a real image")]
    split: Annotated[str, Column("train or val")]
    seed: Annotated[str, Column("16 hexadecimal digits that seed all its random draws; empty for real images")]
    background_id: Annotated[str, Column("its background; empty for real images")]
    people: Annotated[tuple[str, ...], Column("its people, from the farthest to the nearest; empty for real images")]
    boxes: Annotated[
        tuple[tuple[float, ...], ...], Column("box [x0, y0, x1, y1] of each person, before nearer people hide it", "px")
    ]
    recipe: Annotated[str, Column("JSON: window of the background, camera, light, places, augmentations, JPEG quality")]
    image: Annotated[str, Column("name of the image file in the folder")]
    image_sha256: Annotated[str, Column("SHA-256 of that file")]
    truth: Annotated[str, Column("name of its alpha's file in the folder")]
    truth_sha256: Annotated[str, Column("SHA-256 of that file")]


ROW_CLASSES: dict[str, type[Row]] = {
    row_class.stage: row_class
    for row_class in (
        VideoRow,
        ListingRow,
        GivenIdRow,
        FrameRow,
        CropRow,
        SignatureRow,
        MeasureRow,
        ScoreRow,
        VerdictRow,
        MatteRow,
        TaskRow,
        LabelRow,
        PersonRow,
        BackgroundRow,
        CompositeRow,
    )
}
"""The row class of each table, in the order in which the pipeline writes them."""

AnyRow = TypeVar("AnyRow", bound=Row)


def to_json(row: Row) -> dict[str, Any]:
    """Turn a row into what `json.dumps` can write, bytes as hexadecimal digits; `from_json` is the way back.

    >>> from_json(ScoreRow, to_json(ScoreRow(crop_id="a", check="size", value=64.0)))
    ScoreRow(crop_id='a', check='size', value=64.0)
    """
    values = ((field.name, getattr(row, field.name)) for field in fields(cast(Any, row)))
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in values}


def from_json(row_class: type[AnyRow], values: Mapping[str, Any]) -> AnyRow:
    """Make a row from what `to_json` gave."""
    binary = _binary(row_class.stage)
    return row_class(**{name: bytes.fromhex(value) if name in binary else to_tuple(value) for name, value in values.items()})


@cache
def _binary(stage: str) -> frozenset[str]:
    return frozenset(name for name, annotation in get_type_hints(ROW_CLASSES[stage]).items() if annotation is bytes)


def to_tuple(value: Any) -> Any:
    """Turn a list, and the lists in it, into tuples; leave anything else as it is."""
    return tuple(to_tuple(part) for part in value) if isinstance(value, list) else value
