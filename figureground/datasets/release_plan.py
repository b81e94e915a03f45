"""Deciding what a release holds: which samples, in which split, in which layouts. Nothing is written."""

import logging
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from figureground import tables
from figureground.annotation.label_interface import KEEP
from figureground.datasets import certificate, funnel, manifest, provenance, splits
from figureground.datasets.manifest import Manifest, PreviousRecord, SourceRecord
from figureground.datasets.provenance import Pick
from figureground.datasets.splits import Split
from figureground.errors import ReleaseError
from figureground.similarity import duplicates
from figureground.similarity.duplicates import AnySignature
from figureground.storage.store import Store
from figureground.tables import Table
from figureground.types import Source

_log = logging.getLogger(__name__)
_NEEDED = ("videos", "frames", "crops")
_OPTIONAL = ("mattes", "tasks", "verdicts")


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """A release that is still to be written: its samples, its manifest without files, its leak certificate."""

    picks: Sequence[Pick]
    manifest: Manifest
    certificate: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a source brings: its samples, its own record if it has samples, and a sentence about its labels."""

    picks: Sequence[Pick]
    record: SourceRecord | None
    summary: str


def make_name(note: str, date: str) -> str:
    """Give the name of a release's folder.

    Raises
    ------
    ReleaseError
        When the note or the date cannot be part of it.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", note):
        near = re.sub(r"[^A-Za-z0-9]+", "-", note).strip("-")[:64]
        raise ReleaseError(
            f"the note {note!r} cannot be part of a folder's name; expected 1 to 64 letters, digits, '-' and '_', the first a "
            f"letter or digit. Try --note {near or 'community'}"
        )
    try:
        if not re.fullmatch(r"\d{8}", date, re.ASCII):
            raise ValueError("not eight digits")
        datetime.strptime(date, "%Y%m%d")
    except ValueError as error:
        raise ReleaseError(f"the date {date!r} is no yyyymmdd, such as 20261130: {error}") from error
    return f"{manifest.FOLDER_PREFIX}{date}_{note}"


def assign_splits(sources: Sequence[Source], val: float, test: float, releases: Path) -> dict[str, Split]:
    """Give every source its split: what an earlier release held out stays held out, unless the catalog sets its split."""
    earlier = splits.most_held_out_by_source(manifest.read_released_splits(releases))
    assigned = splits.keep_held_out(splits.assign(sources, val, test), sources, earlier)
    for source_id, was in earlier.items():
        now = assigned.get(source_id, was)
        if splits.most_held_out((now, was)) != now:
            message = "%s was in %s in an earlier release and is now in %s, as the catalog says: mind what models saw"
            _log.warning(message, source_id, was, now)
    return assigned


def read_contribution(store: Store, source: Source, split: Split) -> Contribution:
    """Read one source's tables and keep only what the release needs of them: the tables of all sources would not fit in memory.

    Raises
    ------
    ReleaseError
        When the source has labels but a table that they refer to is missing or lacks a row.
    """
    by_stage = _read_tables(store, source.source_id)
    picks = provenance.picks(source, split, by_stage) if "labels" in by_stage and len(by_stage["labels"].rows) else []
    counts = funnel.as_counts(funnel.count(source.source_id, by_stage)) if picks else {}
    record = provenance.source(by_stage, counts) if picks else None
    return Contribution(picks, record, _summarise_labels(source.source_id, by_stage))


def collect_picks(contributions: Mapping[str, Contribution]) -> list[Pick]:
    """Give the samples of all sources, by sample id.

    Raises
    ------
    ReleaseError
        When there is none, or two sources have a crop of the same id.
    """
    picks = sorted((pick for own in contributions.values() for pick in own.picks), key=lambda pick: pick.sample_id)
    if not picks:
        summaries = "; ".join(own.summary for own in contributions.values()) or "no source was given"
        raise ReleaseError(
            f"nothing to release: {summaries}. Expected at least one label whose verdict is {KEEP!r}. "
            "Run `figureground push`, annotate in Label Studio, then `figureground pull`"
        )
    if len({pick.sample_id for pick in picks}) < len(picks):
        raise ReleaseError("two sources have a crop of the same id; expected unique ids. Rename one source in the catalog")
    return picks


def find_similar_sources(
    picks: Sequence[Pick], signatures: Mapping[str, AnySignature], videos: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """Group sources that hold the same video or near-duplicate images; those of one chain are one group.

    Parameters
    ----------
    picks
        All samples.
    signatures
        Sample id to signature.
    videos
        Source to the hash of its video.
    """
    by_source: dict[str, list[AnySignature]] = defaultdict(list)
    for pick in picks:
        by_source[pick.record.source].append(signatures[pick.sample_id])
    first = {videos[source_id]: source_id for source_id in sorted(by_source, reverse=True)}
    same_video = ((first[videos[source_id]], source_id) for source_id in sorted(by_source))
    clusters = duplicates.cluster(by_source, [*duplicates.find_similar_groups(by_source), *same_video])
    return [cluster for cluster in clusters if len(cluster) > 1]


def resolve_layouts(
    settings: Mapping[str, Mapping[str, Any]], with_classes: Collection[str], picks: Sequence[Pick]
) -> dict[str, dict[str, Any]]:
    """Give the layouts' settings; a layout with classes whose setting is open gets as many as every sample has.

    Parameters
    ----------
    settings
        Layout to its settings in the catalog.
    with_classes
        The layouts that can hold class maps.
    picks
        All samples.

    Raises
    ------
    ReleaseError
        When a layout asks for more classes than a sample has.
    """
    available = min((_classes(pick) for pick in picks), default=2)
    for name, own in settings.items():
        if (classes := own.get("classes", available)) > available:
            pick = next(pick for pick in picks if _classes(pick) == available)
            raise ReleaseError(
                f"releases.layouts: {name} asks for {classes} classes; {pick.sample_id} of source {pick.record.source} has "
                f"{available}. Leave that source out, or ask for at most {available}"
            )
    return {name: {"classes": available} | dict(own) if name in with_classes else dict(own) for name, own in settings.items()}


def plan(
    contributions: Mapping[str, Contribution],
    picks: Sequence[Pick],
    layouts: Mapping[str, Mapping[str, Any]],
    signatures: Mapping[str, AnySignature],
    similar: Sequence[Sequence[str]],
    releases: Path,
) -> ReleasePlan:
    """Make the manifest and the certificate of samples whose splits are final.

    Parameters
    ----------
    contributions
        Source to what it brings.
    picks
        All samples, see `move_to`.
    layouts
        See `resolve_layouts`.
    signatures
        Sample id to signature.
    similar
        See `find_similar_sources`.
    releases
        The folder of the earlier releases.

    Raises
    ------
    ReleaseError
        When two splits would share a source, a video or an image.
    """
    records = {source_id: own.record for source_id, own in sorted(contributions.items()) if own.record}
    planned = manifest.build(layouts, records, {pick.sample_id: pick.record for pick in picks})
    planned = planned.model_copy(update={"previous": _find_previous(releases, planned)})
    images = {f"{pick.record.split}/{pick.sample_id}.jpg": (pick.record.sha256, 0) for pick in picks}
    if leaks := manifest.find_leaks(planned, images):
        raise ReleaseError(
            "the release would leak between its splits: " + "; ".join(leaks) + ". "
            "Give these sources the same `split:` in the catalog, or leave one out"
        )
    return ReleasePlan(picks, planned, certificate.build(planned, signatures, similar))


def move_to(pick: Pick, split: Split) -> Pick:
    """Give a sample in another split."""
    return pick if pick.record.split == split else replace(pick, record=replace(pick.record, split=split))


def _find_previous(releases: Path, planned: Manifest) -> PreviousRecord | None:
    """Find the latest release with other samples: cutting the same samples again is no change."""
    for file in sorted(releases.glob(f"{manifest.FOLDER_PREFIX}*/{manifest.FILE}"), reverse=True):
        content = file.read_bytes()
        if manifest.check_seal(content):
            _log.warning("%s is altered and is not used as the previous release", file)
            continue
        earlier = manifest.parse(content)
        if manifest.have_same_samples(earlier, planned):
            return earlier.previous
        compared = manifest.compare_samples(earlier, planned)
        changes = {change: len(sample_ids) for change, sample_ids in compared.items() if sample_ids}
        return PreviousRecord(name=file.parent.name, digest=earlier.digest, changes=changes)
    return None


def _classes(pick: Pick) -> int:
    class_map = pick.record.annotation.parts
    return class_map.classes if class_map else 2


def _read_tables(store: Store, source_id: str) -> dict[str, Table]:
    if (labels := tables.latest(store, "labels", source_id)) is None:
        return {}
    by_stage = {stage: tables.latest(store, stage, source_id) for stage in (*_NEEDED, *_OPTIONAL)}
    if missing := [stage for stage in _NEEDED if by_stage[stage] is None]:
        raise ReleaseError(
            f"source {source_id} has labels but no readable table {', '.join(missing)}; run `figureground ingest {source_id}`"
        )
    return {stage: table for stage, table in (by_stage | {"labels": labels}).items() if table is not None}


def _summarise_labels(source_id: str, by_stage: Mapping[str, Table]) -> str:
    if "labels" not in by_stage:
        return f"source {source_id} has not been pulled"
    labels = by_stage["labels"].rows
    counts = labels["verdict"].value_counts().sort_index()
    listed = ", ".join(f"{count} {verdict or 'without a verdict'}" for verdict, count in counts.items())
    return f"source {source_id} has {len(labels)} labels{f' ({listed})' if listed else ''}"
