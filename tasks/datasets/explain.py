"""The story of one image: from its video to the releases that hold it."""

import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from figureground import tables
from figureground.catalog import Catalog
from figureground.checks import limits
from figureground.datasets import manifest
from figureground.errors import ReleaseError, StoreError
from figureground.mattes import confidence
from figureground.storage.store import Store

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One step of a story: its subject (video, frame, crop, score, verdict, matte, task, label, release) and the words."""

    subject: str
    text: str


def explain(name: str, catalog: Catalog) -> list[Line]:
    """Tell what became of one image.

    Parameters
    ----------
    name
        A frame's or a crop's id; a sample's stem is its crop's id. A frame's story is that of all its crops.
    catalog
        Gives the storage and the limits the scores are told with.

    Returns
    -------
    list of Line
        In the order things happened.

    Raises
    ------
    StoreError
        When neither the tables nor a release know the name, with the nearest names they know.
    """
    store = Store(catalog.storage_root)
    rows = _tables(store, name)
    crops = [crop for crop in rows["crops"] if name in (crop["crop_id"], crop["frame_id"])]
    frames = [frame for frame in rows["frames"] if frame["frame_id"] in (name, *(crop["frame_id"] for crop in crops))]
    if not crops and not frames:
        return list(_told_by_releases(store, name)) or _unknown(store, name)
    originals = {frame["original"] for frame in frames}
    fetched = [row for row in rows["videos"] if len(rows["videos"]) == 1 or _is_of(row["path"], originals)]
    story = [*map(_video, fetched), *map(_frame, frames)]
    if not crops and not any(frame["reason"] for frame in frames):
        story.append(Line("crop", "no person was cut out of this frame" if rows["crops"] else "not cropped yet"))
    for crop in crops:
        story += [_crop(crop), *_told_of(crop["crop_id"], rows, catalog), *_releases(store, crop["crop_id"])]
    return story


def _is_of(path: str, originals: Collection[str]) -> bool:
    """Tell whether a photo is one of some frames' originals; those of a dataset are told with its folder before."""
    return any(path == original or path.endswith(f"/{original}") for original in originals if original)


def _tables(store: Store, name: str) -> dict[str, list[Row]]:
    """Read all tables of the source an id belongs to: the longest that its name begins with."""
    known = {source_id for stage in ("frames", "crops") for source_id in tables.sources(store, stage)}
    source_id = max((known_id for known_id in known if name.startswith(f"{known_id}-")), key=len, default="")
    refs = {stage: tables.find(store, stage, source_id) if source_id else None for stage in tables.SCHEMAS}
    return {stage: list(tables.read(store, ref).rows.to_dict("records")) if ref else [] for stage, ref in refs.items()}


def _video(row: Row) -> Line:
    return Line("video", f"{row['file']} from {row['path']}, license {row['license']}, sha256 {row['sha256']}")


def _frame(row: Row) -> Line:
    if row["reason"]:
        return Line("frame", f"{row['frame_id']}: cannot be read: {row['reason']}")
    size = f"{row['width']}x{row['height']} px"
    photo = not row["frame_id"].endswith(f"-{row['index']:06d}")
    when = f"photo {row['index']}" if photo else f"decoded frame {row['index']} at {row['seconds']:.3f} s"
    return Line("frame", f"{row['frame_id']}: {when}, {size}, {row['file']}")


def _crop(row: Row) -> Line:
    box = f"x {row['x0']}..{row['x1']}, y {row['y0']}..{row['y1']} of {row['frame_width']}x{row['frame_height']} px"
    others = f"{len(row['others'])} other people" if len(row["others"]) != 1 else "1 other person"
    return Line("crop", f"{row['crop_id']}: {box}, found with score {row['score']:.2f}, {others} in it, {row['file']}")


def _told_of(crop_id: str, rows: Mapping[str, list[Row]], catalog: Catalog) -> Iterator[Line]:
    """Tell of one crop what each stage after the cropping says."""
    own = {stage: [row for row in rows[stage] if row["crop_id"] == crop_id] for stage in _STAGES}
    checks = catalog.checks() if own["scores"] else {}
    yield from (_score(row, checks) for row in own["scores"])
    for stage, (subject, words, nothing) in _STAGES.items():
        if stage != "scores":
            yield from (Line(subject, words(row)) for row in own[stage])
        if not own[stage]:
            yield Line(subject, nothing)


def _score(row: Row, checks: Mapping[str, Any]) -> Line:
    check, value = row["check"], row["value"]
    measured = "could not be measured" if value is None or math.isnan(value) else f"{value:.4g}"
    if check not in checks:
        return Line("score", f"{check} {measured}; the recipe does not ask for it any more")
    found = limits(dataclasses.asdict(checks[check]))
    told = ", ".join(f"{name} {held}" for name, held in found.items())
    accepted = checks[check].accepts(math.nan if value is None else value)
    return Line("score", f"{check} {measured}: {'accepted' if accepted else 'refused'} by {told or 'its fixed limit'}")


def _matte(row: Row) -> str:
    doubt = ": it needs a person" if confidence.needs_review(row["score"]) else ""
    return f"by {row['remover']}, sure by {row['score']:.2f}{doubt}, {row['file']}"


def _verdict(row: Row) -> str:
    return "kept" if row["kept"] else f"dropped by {row['reason']}"


def _task(row: Row) -> str:
    more = f", blank: {row['blank']}" if row["blank"] else ""
    more += f", for {row['people']} people" if row["people"] > 1 else ""
    return f"task {row['task_id']} in Label Studio's project {row['project_id']}, key {row['key']}{more}"


def _label(row: Row) -> str:
    scenes = ", ".join(row["scenes"]) or "none chosen"
    overlap = row["iou_with_matte"]
    alike = "" if overlap is None or math.isnan(overlap) else f", {overlap:.3f} IoU with the matte"
    by = f"by {row['annotator']} in {row['seconds_spent']:.1f} s, {row['origin']}"
    who = f"{row['verdict']} " + ("as it came with its dataset" if row["origin"] == "imported" else by)
    return f"{who}, annotation {row['annotation_id']}, scenes: {scenes}{alike}, {row['file'] or 'no mask'}"


_STAGES: dict[str, tuple[str, Any, str]] = {
    "scores": ("score", _score, "not measured yet"),
    "verdicts": ("verdict", _verdict, "not judged yet"),
    "mattes": ("matte", _matte, "none"),
    "tasks": ("task", _task, "not pushed to Label Studio"),
    "labels": ("label", _label, "none pulled"),
}
"""Stage to its line's subject, the words for a row, and the words when there is none."""


def _manifests(store: Store) -> Iterator[tuple[str, manifest.Manifest | ReleaseError]]:
    for file in sorted(store.path("releases").glob(f"*/{manifest.FILE}")):
        try:
            yield file.parent.name, manifest.parse(file.read_bytes())
        except ReleaseError as error:
            yield file.parent.name, error


def _releases(store: Store, stem: str) -> Iterator[Line]:
    found = False
    for name, held in _manifests(store):
        if isinstance(held, ReleaseError):
            yield Line("release", f"{name} cannot be read: {held}")
        elif sample := held.samples.get(stem):
            found = True
            yield Line("release", f"{name}: in {sample.split}, with annotation {sample.annotation.id}")
    if not found:
        yield Line("release", "in none")


def _told_by_releases(store: Store, stem: str) -> Iterator[Line]:
    """Tell what manifests remember of a sample the tables know nothing of any more."""
    for name, held in _manifests(store):
        if isinstance(held, ReleaseError) or stem not in held.samples:
            continue
        sample = held.samples[stem]
        source = held.sources[sample.source]
        yield Line("video", f"{source.path}, license {source.license}, sha256 {source.sha256}")
        yield Line("frame", f"{sample.frame}: decoded frame {sample.index} at {sample.seconds:.3f} s")
        x0, y0, x1, y1 = sample.box
        yield Line("crop", f"x {x0}..{x1}, y {y0}..{y1}; the tables know it no more")
        by = f"by {sample.annotation.annotator}, {sample.annotation.origin}, annotation {sample.annotation.id}"
        yield Line("label", "came with its dataset" if sample.annotation.origin == "imported" else by)
        yield Line("release", f"{name}: in {sample.split}")


def _unknown(store: Store, name: str) -> list[Line]:
    refs = [tables.find(store, "crops", source_id) for source_id in tables.sources(store, "crops")]
    known = [crop_id for ref in refs if ref for crop_id in tables.read(store, ref).rows["crop_id"]]
    near = ", ".join(get_close_matches(name, known, n=3, cutoff=0.5))
    raise StoreError(
        f"no frame, crop or sample is called {name!r} in {store.root}; "
        + (f"the nearest are {near}" if near else f"{len(known)} crops are known; ids look like park-000120-00")
    )
