"""Where a sample comes from: the tables of one source, joined into the records of a manifest. No file is read."""

import os
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from figureground.annotation.label_interface import KEEP
from figureground.datasets.manifest import (
    AnnotationRecord,
    AttributionRecord,
    ClassMapRecord,
    MatteRecord,
    SampleRecord,
    SecondAnnotationRecord,
    SourceRecord,
)
from figureground.datasets.splits import Split
from figureground.errors import ReleaseError
from figureground.storage.hashing import sha256
from figureground.tables import Table, dicts
from figureground.types import Source


@dataclass(frozen=True, slots=True)
class Pick:
    """One sample to release: its record, and the names of its files in the storage ("" without a class map)."""

    sample_id: str
    record: SampleRecord
    image_file: str
    label_file: str
    class_map_file: str = ""


def source(tables: Mapping[str, Table], funnel: Mapping[str, int] | None = None) -> SourceRecord:
    """Give a source's record from its tables.

    Parameters
    ----------
    tables
        Stage to table; ``videos`` is needed, the others' facts may name ``weights``.
    funnel
        See `figureground.datasets.funnel.as_counts`.

    Returns
    -------
    SourceRecord
        The path and hash of its video; of several photos the folder they share and the hash of their hashes.
    """
    rows = tables["videos"].rows
    video = rows.iloc[0]
    weights = {name: digest for table in tables.values() for name, digest in dict(table.facts.get("weights") or {}).items()}
    path, digest = (video["path"], video["sha256"]) if len(rows) == 1 else _describe_photos(rows)
    page = {name: str(video.get(name, "")) for name in ("title", "uploader", "page", "uploaded", "site")}
    return SourceRecord(
        path=public_path(path),
        sha256=digest,
        license=video["license"],
        attribution=AttributionRecord(**page) if page["page"] else None,
        weights=weights,
        funnel=dict(funnel or {}),
    )


def _describe_photos(rows: pd.DataFrame) -> tuple[str, str]:
    """Give the folder that photos share, and the hash of their hashes."""
    hashes = sorted(photo_hash for photo_hash in rows["sha256"] if photo_hash)
    return os.path.commonpath(list(rows["path"])), sha256("\n".join(hashes).encode())


def public_path(path: str) -> str:
    """Give a source's path without what a release must not contain: passwords and signatures of addresses, local folders.

    >>> public_path("https://user:secret@example.org/clip.mp4?signature=abc"), public_path("/home/anna/clips/a.mp4")
    ('https://example.org/clip.mp4', 'a.mp4')
    """
    if "://" in path:
        parts = urlsplit(path)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    local = PurePath(path)
    return local.name if local.is_absolute() or path.startswith(("~", "..")) else path


def picks(entry: Source, split: Split, tables: Mapping[str, Table]) -> list[Pick]:
    """Pick every crop of a source whose label says keep and has a mask.

    Parameters
    ----------
    entry
        The source; a label without scenes gets the source's. Scenes that annotators were not offered are always added.
    split
        The source's split.
    tables
        Stage to table: ``videos``, ``frames``, ``crops`` and ``labels`` are needed, ``mattes`` and ``tasks`` may be missing.

    Raises
    ------
    ReleaseError
        For two labels of one crop, or a label whose crop or frame is no longer in the tables.
    """
    frames, crops, mattes = (_rows(tables, stage) for stage in _USED_COLUMNS)
    not_offered = set(tables["tasks"].facts.get("scenes_not_offered", ())) if "tasks" in tables else set()
    always = not_offered & set(entry.scenes)
    license_ = tables["videos"].rows.iloc[0]["license"]
    picked = []
    for label in _kept(entry.source_id, tables["labels"]):
        crop = _row(crops, label["crop_id"], "crops", entry)
        frame = _row(frames, crop["frame_id"], "frames", entry)
        matte = mattes.get(label["crop_id"])
        record = SampleRecord(
            split=split,
            scenes=tuple(sys.intern(scene) for scene in sorted({*(label["scenes"] or entry.scenes), *always})),
            source=entry.source_id,
            license=license_,
            frame=crop["frame_id"],
            index=frame["index"],
            seconds=frame["seconds"],
            box=(crop["x0"], crop["y0"], crop["x1"], crop["y1"]),
            person=_person(crop),
            sha256=crop["sha256"],
            matte=MatteRecord(remover=sys.intern(matte["remover"]), sha256=matte["sha256"]) if matte else None,
            annotation=AnnotationRecord(
                id=label["annotation_id"],
                annotator=sys.intern(label["annotator"]),
                origin=sys.intern(label["origin"]),
                sha256=label["sha256"],
                iou_with_matte=_known(label["iou_with_matte"]),
                parts=ClassMapRecord(sha256=label["parts_sha256"], classes=label["classes"]) if label["parts"] else None,
                second=_second(label),
            ),
        )
        picked.append(Pick(label["crop_id"], record, crop["file"], label["file"], label["parts"]))
    return picked


def _second(label: Mapping[str, Any]) -> SecondAnnotationRecord | None:
    if not label["second_annotator"]:
        return None
    agreement = {"iou": _known(label["agreement"]), "boundary_iou": _known(label["boundary_agreement"])}
    return SecondAnnotationRecord(annotator=label["second_annotator"], verdict=label["second_verdict"], **agreement)


def _known(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _person(crop: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Give the detected box in the crop's pixels; portraits are resized, so it is scaled with them."""
    across, down = crop["width"] / (crop["x1"] - crop["x0"]), crop["height"] / (crop["y1"] - crop["y0"])
    x0, x1 = (min(max(0, round((crop[side] - crop["x0"]) * across)), crop["width"]) for side in ("person_x0", "person_x1"))
    y0, y1 = (min(max(0, round((crop[side] - crop["y0"]) * down)), crop["height"]) for side in ("person_y0", "person_y1"))
    return x0, y0, x1, y1


def _kept(source_id: str, labels: Table) -> list[dict[str, Any]]:
    rows = [row for row in dicts(labels.rows, [str(name) for name in labels.rows]) if row["verdict"] == KEEP and row["file"]]
    counts = Counter(str(row["crop_id"]) for row in rows)
    if repeated := sorted(crop_id for crop_id, count in counts.items() if count > 1):
        raise ReleaseError(
            f"source {source_id}: the labels table keeps two labels of {', '.join(repeated)}; expected one a crop. "
            "Keep one annotation a task in Label Studio, then run `figureground pull`"
        )
    return sorted(rows, key=lambda row: str(row["crop_id"]))


_USED_COLUMNS = {
    "frames": ("frame_id", "index", "seconds"),
    "crops": (
        "crop_id", "frame_id", "x0", "y0", "x1", "y1", "person_x0", "person_y0", "person_x1", "person_y1",
        "width", "height", "file", "sha256",
    ),
    "mattes": ("crop_id", "remover", "sha256"),
}  # fmt: skip
"""The columns that are read of each table; the first one is the row's id."""


def _rows(tables: Mapping[str, Table], stage: str) -> dict[str, dict[str, Any]]:
    if stage not in tables:
        return {}
    rows, columns = tables[stage].rows, _USED_COLUMNS[stage]
    return {row[columns[0]]: row for row in dicts(rows, [column for column in columns if column in rows])}


def _row(rows: Mapping[str, dict[str, Any]], name: str, stage: str, entry: Source) -> dict[str, Any]:
    if name not in rows:
        raise ReleaseError(
            f"source {entry.source_id}: a label needs {name}, which is not in the {stage} table: the recipe changed "
            f"after it was labelled. Run `figureground ingest {entry.source_id}`, push and pull, or restore the recipe"
        )
    return rows[name]
