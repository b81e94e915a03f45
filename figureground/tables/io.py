"""The tables between the stages: what each column is, reading, checking and writing them.

One parquet file per stage and source, written once and replaced whole. Its metadata keeps two things beside the rows:
``fingerprint``, a hash of everything the stage depended on, and ``facts``, what the stage found out that belongs to
no single row (for example that a video ended early). Two runs over the same input give the same bytes.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from figureground import __version__
from figureground.errors import StoreError
from figureground.storage.store import Store, sha256
from figureground.tables import evicted, statistics
from figureground.types import TableRef


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, arrow type, unit ("" when it has none) and meaning.

    ``absent`` is what is read where a row does not have it, in a table that is older than the column, too; None means that
    every row needs it.
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    absent: str | bytes | None = None


_TEXT, _INT, _REAL, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_BOXES = pa.list_(pa.list_(pa.float32()))
_FILE = (
    Column("file", _TEXT, "", "name in the storage"),
    Column("sha256", _TEXT, "", "hash of that file"),
)
_CROP_ID = Column("crop_id", _TEXT, "", "the crop")
_SOURCE_ID = Column("source_id", _TEXT, "", "the source it comes from")

SCHEMAS: dict[str, tuple[Column, ...]] = {
    "videos": (
        _SOURCE_ID,
        Column("path", _TEXT, "", "where the catalog says it is"),
        Column("license", _TEXT, "", "SPDX name or words"),
        *_FILE,
        Column("title", _TEXT, "", "what its page calls it", ""),
        Column("uploader", _TEXT, "", "who put it there", ""),
        Column("page", _TEXT, "", "its page's address, without anything secret", ""),
        Column("uploaded", _TEXT, "", "when, as 2026-11-21; empty when nobody says", ""),
        Column("site", _TEXT, "", "which site, as yt-dlp calls it", ""),
        Column("clip_id", _TEXT, "", "what the site calls it", ""),
    ),
    "listings": (
        Column("source_id", _TEXT, "", "the source that it is, or would be"),
        Column("site", _TEXT, "", "which site, as yt-dlp calls it, or a storage's protocol"),
        Column("clip_id", _TEXT, "", "what the site calls it: with the site, its identity"),
        Column("page", _TEXT, "", "its address, without anything secret"),
        Column("license", _TEXT, "", "the licence its page states, or else the catalog's; empty when nobody says"),
        Column("seconds", _REAL, "s", "how long its page says it is; NaN when it does not say"),
        Column("bytes", _INT, "B", "how big its page says it is; 0 when it does not say"),
        Column("examined", _BOOL, "", "its own page was looked at"),
        Column("reason", _TEXT, "", "empty, or why it is not taken"),
    ),
    "frames": (
        Column("frame_id", _TEXT, "", "<source>-<index>, or <source>-<the photo's name>"),
        _SOURCE_ID,
        Column("index", _INT, "", "how many frames were decoded, or photos stand, before it"),
        Column("seconds", _REAL, "s", "the container's timestamp, 0 at the first frame and for photos"),
        Column("width", _INT, "px", "after rotation; 0 when it cannot be read"),
        Column("height", _INT, "px", "after rotation; 0 when it cannot be read"),
        Column("original", _TEXT, "", "what it was taken from: the video or photo as the catalog names it"),
        Column("reason", _TEXT, "", "empty, or why nothing can be read; then there is no file"),
        *_FILE,
    ),
    "crops": (
        Column("crop_id", _TEXT, "", "<frame>-<number of the person>"),
        Column("frame_id", _TEXT, "", "the frame it is cut from"),
        _SOURCE_ID,
        Column("seconds", _REAL, "s", "when, as the frames table says"),
        *(Column(f"{c}", _INT, "px", "the crop in its frame, half-open") for c in ("x0", "y0", "x1", "y1")),
        *(Column(f"person_{c}", _REAL, "px", "the detected box in the frame") for c in ("x0", "y0", "x1", "y1")),
        Column("score", _REAL, "0..1", "the detector's confidence"),
        Column("keypoints", _BOXES, "px", "17 of [x, y, confidence] in the crop, COCO order, or empty"),
        Column("others", _BOXES, "px", "[x0, y0, x1, y1] of other people in the crop's coordinates"),
        Column("track", _INT, "", "the person's number in the source: one number follows one person over the frames"),
        Column("face", pa.list_(pa.float32()), "px", "[x0, y0, x1, y1] of the face in the crop, or empty"),
        Column("face_score", _REAL, "0..1", "the face detector's confidence; NaN when none was found or looked for"),
        Column("instances", pa.binary(), "", "what a segmentation network saw in it; see figureground.people.instances", b""),
        Column("frame_width", _INT, "px", "the whole frame's"),
        Column("frame_height", _INT, "px", "the whole frame's"),
        Column("width", _INT, "px", "the crop's"),
        Column("height", _INT, "px", "the crop's"),
        *_FILE,
    ),
    "signatures": (
        Column("sha256", _TEXT, "", "hash of a crop's picture"),
        Column(
            "signature", pa.binary(), "", "what tells pictures alike, one bit a sign; see figureground.similarity"
        ),
    ),
    "measures": (
        _CROP_ID,
        Column("check", _TEXT, "", "the check's name"),
        Column("value", _REAL, "the check's", "what it measured on this crop alone; NaN when it could not"),
        Column("signature", pa.binary(), "", "what a check that compares crops will know of this one, else empty"),
    ),
    "scores": (
        _CROP_ID,
        Column("check", _TEXT, "", "the check's name"),
        Column("value", _REAL, "the check's", "what it measured; NaN when it could not"),
    ),
    "verdicts": (
        _CROP_ID,
        Column("kept", _BOOL, "", "worth labelling"),
        Column("reason", _TEXT, "", "empty, or the first check that refused it"),
    ),
    "mattes": (
        _CROP_ID,
        Column("remover", _TEXT, "", "the plug-in that made it"),
        Column("score", _REAL, "0..1", "how sure it is; low ones need a person most"),
        *_FILE,
    ),
    "tasks": (
        _CROP_ID,
        Column("key", _TEXT, "", "the task's identity, also in the task's data"),
        Column("project_id", _INT, "", "Label Studio's number"),
        Column("task_id", _INT, "", "Label Studio's number"),
        Column("prediction_sha256", _TEXT, "", "hash of the mask that was pushed; empty for a blank task"),
        Column("blank", _TEXT, "", "empty, or why there is no prediction: measure, does not pay, no parts"),
        Column("remover", _TEXT, "", "which remover with which weights"),
        Column("people", _INT, "", "how many people are asked"),
    ),
    "labels": (
        _CROP_ID,
        Column("annotation_id", _INT, "", "Label Studio's number"),
        Column("annotator", _TEXT, "", "who"),
        Column("seconds_spent", _REAL, "s", "lead time as Label Studio counts it"),
        Column("origin", _TEXT, "", "manual, prediction, prediction-changed, or imported with a dataset"),
        Column("parent_prediction", _INT, "", "Label Studio's number of the prediction it started from; 0 when from none"),
        Column("verdict", _TEXT, "", "keep, or the annotator's reason to reject"),
        Column("scenes", pa.list_(pa.string()), "", "the scenes the annotator chose"),
        Column("iou_with_matte", _REAL, "0..1", "how much of the matte was kept"),
        Column("boundary_iou_with_matte", _REAL, "0..1", "the same along the border"),
        Column("changed", _REAL, "0..1", "share of the pixels where the annotator's mask is not the matte's"),
        Column("second_annotator", _TEXT, "", "who gave another opinion; empty when nobody did"),
        Column("second_verdict", _TEXT, "", "keep, or that annotator's reason to reject"),
        Column("agreement", _REAL, "0..1", "IoU of the two annotators' masks; NaN unless both kept it"),
        Column("boundary_agreement", _REAL, "0..1", "their boundary IoU"),
        *_FILE,
        Column("parts", _TEXT, "", "name in the storage of the class of each pixel; empty when no parts were asked for"),
        Column("parts_sha256", _TEXT, "", "hash of that file"),
        Column("classes", _INT, "", "how many classes there are, background too; 0 without parts"),
        Column("overlaps", pa.list_(pa.string()), "", "which classes were painted over each other, and the pixels"),
    ),
    "people": (
        Column("person_id", _TEXT, "", "the cutout: its name without ending"),
        Column("origin", _TEXT, "", "the source it comes from: pictures of one source never go into two splits"),
        Column("original", _TEXT, "", "the picture it was read from"),
        Column("split", _TEXT, "", "where a release put its source; empty when none did"),
        Column("width", _INT, "px", "the person's, as prepared; 0 when it cannot be used"),
        Column("height", _INT, "px", "the person's, as prepared; 0 when it cannot be used"),
        Column("sides", pa.list_(pa.string()), "", "the sides of the picture at which the person was cut"),
        Column(
            "signature", pa.binary(), "", "what tells pictures alike, one bit a sign; see figureground.similarity"
        ),
        Column("reason", _TEXT, "", "empty, or why it is not used; then there is no file"),
        *_FILE,
    ),
    "backgrounds": (
        Column("background_id", _TEXT, "", "its name without ending, or the frame's id"),
        Column("origin", _TEXT, "", "the source it comes from: pictures of one source never go into two splits"),
        Column("original", _TEXT, "", "the picture it was read from"),
        Column("width", _INT, "px", "as prepared; 0 when it cannot be used"),
        Column("height", _INT, "px", "as prepared; 0 when it cannot be used"),
        Column("horizon", _REAL, "0..1", "its row over the height, as the catalog says; NaN when it does not"),
        Column("people", _INT, "", "how many people were found in it; -1 when nobody looked"),
        Column(
            "signature", pa.binary(), "", "what tells pictures alike, one bit a sign; see figureground.similarity"
        ),
        Column("reason", _TEXT, "", "empty, or why it is not used; then there is no file"),
        *_FILE,
    ),
    "composites": (
        Column("picture_id", _TEXT, "", "the picture's number, which is its stem in the folder; or a real picture's own stem"),
        Column("split", _TEXT, "", "train or val"),
        Column("seed", _TEXT, "", "16 hexadecimal digits: all that is drawn for it comes from there; empty for real ones"),
        Column("background_id", _TEXT, "", "its background; empty for real ones"),
        Column("people", pa.list_(pa.string()), "", "its people, from the farthest to the nearest; empty for real ones"),
        Column("boxes", _BOXES, "px", "[x0, y0, x1, y1] of what is seen of each in the picture, before nearer ones hide it"),
        Column("recipe", _TEXT, "", "JSON: the background's window, camera, light, places, augmentations, JPEG quality"),
        Column("image", _TEXT, "", "the picture's name in the folder"),
        Column("image_sha256", _TEXT, "", "hash of that file"),
        Column("truth", _TEXT, "", "its alpha's name in the folder"),
        Column("truth_sha256", _TEXT, "", "hash of that file"),
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows with what is known about all of them."""

    rows: pd.DataFrame
    facts: Mapping[str, Any]


def name(stage: str, source_id: str) -> str:
    """Name a table in the storage.

    >>> name("frames", "park")
    'tables/frames/park.parquet'
    """
    return f"tables/{stage}/{source_id}.parquet"


def fingerprint(stage: str, inputs: Sequence[TableRef], **settings: Any) -> str:
    """Hash everything a stage depends on: its input tables, settings, weights and the code's version.

    Parameters
    ----------
    stage
        The stage's name.
    inputs
        The tables it reads.
    **settings
        Anything `json.dumps` can write; order does not matter.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    story = {
        "stage": stage,
        "code": __version__,
        "inputs": [[ref.stage, ref.source_id, ref.sha256] for ref in inputs],
        "settings": settings,
    }
    return hashlib.sha256(json.dumps(story, sort_keys=True).encode()).hexdigest()


def write(
    store: Store, stage: str, source_id: str, rows: pd.DataFrame, *, fingerprint: str, facts: Mapping[str, Any] | None = None
) -> TableRef:
    """Write one table, replacing the one before it as a whole.

    Parameters
    ----------
    store
        Where.
    stage, source_id
        Which table.
    rows
        Exactly the columns of ``SCHEMAS[stage]``, in any order. An empty frame without columns means no rows.
    fingerprint
        See `fingerprint`.
    facts
        What belongs to no single row; anything `json.dumps` can write.

    Raises
    ------
    StoreError
        When columns are missing, unknown or of another type, or the file cannot be written.
    """
    schema = _arrow_schema(stage)
    expected = schema.names
    if len(rows.columns) == 0 and len(rows) == 0:
        rows = pd.DataFrame({column: [] for column in expected})
    rows = rows.assign(**{name: absent for name, absent in _absent(stage).items() if name not in rows})
    if sorted(rows.columns) != sorted(expected):
        raise StoreError(
            f"table {name(stage, source_id)} needs the columns {', '.join(expected)}; found {', '.join(map(str, rows.columns))}"
        )
    metadata = {"fingerprint": fingerprint, "facts": json.dumps(dict(facts or {}), sort_keys=True)}
    metadata["seal"] = _seal(metadata["fingerprint"].encode(), metadata["facts"].encode())
    try:
        table = pa.Table.from_pylist(rows[expected].to_dict("records"), schema=schema.with_metadata(metadata))
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise StoreError(f"table {name(stage, source_id)} holds a value of the wrong type: {error}") from error
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    content = buffer.getvalue()
    store.write(name(stage, source_id), content)
    statistics.keep(store, stage, source_id, rows, len(rows), facts or {})
    return TableRef(stage, source_id, name(stage, source_id), sha256(content), len(rows))


def read(store: Store, ref: TableRef) -> Table:
    """Read a table and check that it is the one that was meant and of its stage's schema.

    Raises
    ------
    StoreError
        When it is missing, damaged or of another schema.
    """
    return _table(_parse(store.read(ref.file, ref.sha256), ref.stage, ref.file))


def dicts(rows: pd.DataFrame, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Give rows as pandas' ``to_dict("records")`` does, in a third of its time."""
    for values in zip(*(rows[column].tolist() for column in columns), strict=True):
        yield dict(zip(columns, values, strict=True))


def records(store: Store, ref: TableRef) -> "Records":
    """Read a table of which few rows are wanted: each becomes Python only when it is asked for.

    Raises
    ------
    StoreError
        As `read`.
    """
    return Records(_parse(store.read(ref.file, ref.sha256), ref.stage, ref.file))


class Records(Mapping[str, dict[str, Any]]):
    """A table's rows by their first column, in the table's order.

    Examples
    --------
    >>> rows = Records(pa.table({"crop_id": ["a", "b"], "score": [0.5, 0.25]}))
    >>> list(rows), rows["b"], "c" in rows
    (['a', 'b'], {'crop_id': 'b', 'score': 0.25}, False)
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._places = {str(key): place for place, key in enumerate(table.column(0).to_pylist())}

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._table.slice(self._places[key], 1).to_pylist()[0]  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def column(self, name: str) -> list[Any]:
        """Give one column's values."""
        return self._table.column(name).to_pylist()  # type: ignore[no-any-return]


def find(store: Store, stage: str, source_id: str) -> TableRef | None:
    """Find the table a stage left for a source, or None when there is none that can be read."""
    found = _open(store, stage, source_id)
    return found[0] if found else None


def latest(store: Store, stage: str, source_id: str) -> Table | None:
    """Read the table a stage left for a source, or None when there is none that can be read."""
    found = _open(store, stage, source_id)
    return _table(found[1]) if found else None


def fresh(store: Store, stage: str, source_id: str, fingerprint: str) -> TableRef | None:
    """Find a table that is still right: same fingerprint, readable, and every file it names verifies or was dropped on purpose.

    Returns
    -------
    TableRef or None
        None means that the stage has to run.
    """
    found = _open(store, stage, source_id)
    if found is None or found[2] != fingerprint:
        return None
    rows, away = found[1], evicted.listed(store, stage, source_id, found[0].sha256)
    if "file" in rows.column_names and not all(
        store.verifies(file, digest) or (file in away and not store.exists(file))
        for file, digest in zip(rows["file"].to_pylist(), rows["sha256"].to_pylist(), strict=True)
        if file
    ):
        return None
    return found[0]


def sources(store: Store, stage: str) -> list[str]:
    """List the sources that have a table of this stage, sorted."""
    folder = f"tables/{stage}"
    return [file[len(folder) + 1 : -len(".parquet")] for file in store.names(folder) if file.endswith(".parquet")]


def _open(store: Store, stage: str, source_id: str) -> tuple[TableRef, pa.Table, str] | None:
    file = name(stage, source_id)
    if not store.exists(file):
        return None
    content = store.read(file)
    try:
        table = _parse(content, stage, file)
    except StoreError:
        return None  # a damaged table is one that has to be made again
    mark = (table.schema.metadata or {}).get(b"fingerprint", b"").decode(errors="replace")
    return TableRef(stage, source_id, file, sha256(content), len(table)), table, mark


def _parse(content: bytes, stage: str, file: str) -> pa.Table:
    try:
        table = pq.read_table(io.BytesIO(content), page_checksum_verification=True)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:  # one changed bit can be any of these
        raise StoreError(f"{file} is not a readable parquet table: {error}; run the stage that makes it again") from error
    metadata = table.schema.metadata or {}
    sealed = _seal(metadata.get(b"fingerprint", b""), metadata.get(b"facts", b""))
    if b"fingerprint" not in metadata or metadata.get(b"seal", sealed.encode()) != sealed.encode():
        raise StoreError(f"{file} is damaged: what it says of its rows was changed; run the stage that makes it again")
    expected = _arrow_schema(stage)
    for column, absent in _absent(stage).items():
        if column not in table.schema.names:  # the table is older than the column
            field = expected.field(column)
            table = table.append_column(field, pa.repeat(pa.scalar(absent, field.type), len(table)))
    if sorted(table.schema.names) == sorted(expected.names):
        table = table.select(expected.names)
    if table.schema.remove_metadata() != expected:
        raise StoreError(
            f"{file} has another schema than this version writes; expected {', '.join(expected.names)}, "
            f"found {', '.join(table.schema.names)}; run the stage that makes it again"
        )
    return table


def _seal(fingerprint: bytes, facts: bytes) -> str:
    """Hash what parquet's own checksums, those of its pages, leave out."""
    return hashlib.sha256(fingerprint + b"\n" + facts).hexdigest()


def _table(table: pa.Table) -> Table:
    facts = json.loads((table.schema.metadata or {}).get(b"facts", b"{}"))
    return Table(pd.DataFrame({column: table[column].to_pylist() for column in table.column_names}), facts)


def _absent(stage: str) -> dict[str, str | bytes]:
    """Give the columns that a row may lack, and what is read then."""
    return {column.name: column.absent for column in SCHEMAS[stage] if column.absent is not None}


def _arrow_schema(stage: str) -> pa.Schema:
    return pa.schema([pa.field(column.name, column.type) for column in SCHEMAS[stage]])
