"""Cutting a release: labels the annotators kept, in a folder that never changes again."""

import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from figureground import __version__, layouts, progress, tables
from figureground.annotation import class_resolution
from figureground.annotation.label_interface import KEEP
from figureground.catalog import Catalog
from figureground.datasets import card, certificate, manifest, provenance, samples, splits
from figureground.datasets.manifest import Manifest, PreviousRecord, SampleRecord, SourceRecord
from figureground.datasets.provenance import Pick
from figureground.datasets.splits import Split
from figureground.errors import ArrayError, ReleaseError
from figureground.imaging import crops, masks
from figureground.parallel import map_ordered
from figureground.similarity import duplicates, signatures
from figureground.similarity.duplicates import Look, Signature
from figureground.storage import archive, atomic, hashing  # fmt: skip
from figureground.storage.store import Store
from figureground.types import Release, Sample, Source
from tasks import retried_task
from tasks.datasets.summarise import summarise

_log = logging.getLogger(__name__)
_TOGETHER = 8
"""How many samples a thread takes at a time: each takes less than a millisecond."""
_NEEDED = ("videos", "frames", "crops", "labels")


@retried_task
def release(sources: Sequence[Source], catalog: Catalog, note: str, date: str) -> Release:
    """Cut a release from the labels of these sources.

    The folder ``releases/CustomSeg_Person_<date>_<note>`` is built beside its place and renamed when it is complete. It
    is never overwritten: the same content again is left untouched, another content is refused.

    Parameters
    ----------
    sources
        Already expanded; those without kept labels are left out.
    catalog
        Its ``releases`` give the layouts and the shares of val and test.
    note
        Letters, digits, ``-`` and ``_``.
    date
        ``yyyymmdd``.

    Returns
    -------
    Release
        ``counts`` has the pictures of each split.

    Raises
    ------
    ReleaseError
        When there is nothing to release, a split would be empty, two splits would share footage, the note or date cannot
        be used, or the folder holds something else.
    StoreError
        When a file of the storage is missing or damaged, or the folder cannot be written.
    """
    name = _name(note, date)
    kept = Store(catalog.storage_root)
    folder = kept.path(f"releases/{name}")
    picks, plan, proof = _plan(kept, sources, catalog)
    sealed = _held(folder, plan) if folder.exists() else _make(kept, folder, picks, plan, proof)
    return Release(name, str(folder), sealed.digest, dict(sealed.counts))


@retried_task
def rebuild(file: Path, catalog: Catalog, note: str, date: str) -> Release:
    """Cut a release again, bit for bit, from its manifest and the storage; no table is read.

    Parameters
    ----------
    file
        Its ``manifest.json``.
    catalog
        Gives the storage, where every picture and label of a release is kept under its hash.
    note, date
        The name of the folder that is made, see `release`.

    Raises
    ------
    ReleaseError
        When the manifest is altered, or what comes out is not what it describes.
    StoreError
        When a picture or label is not in the storage any more.
    """
    name = _name(note, date)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ReleaseError(f"{file}: {error.strerror}. Expected the {manifest.FILE} of a release") from error
    if problem := manifest.check_seal(content):
        raise ReleaseError(f"{file}: {problem}. A release is only cut again from the manifest it was sealed with")
    held, kept = manifest.parse(content), Store(catalog.storage_root)
    folder = kept.path(f"releases/{name}")
    picks = [_remembered(kept, stem, record) for stem, record in sorted(held.samples.items())]
    looks = _looks(kept, picks)
    joined = _joined(picks, looks, {source_id: one.sha256 for source_id, one in held.sources.items()})
    plan = held.model_copy(update={"files": {}, "digest": ""})
    proof = certificate.build(plan, looks, joined)
    sealed = _held(folder, plan) if folder.exists() else _make(kept, folder, picks, plan, proof, expected=held)
    return Release(name, str(folder), sealed.digest, dict(sealed.counts))


def _remembered(kept: Store, stem: str, record: SampleRecord) -> Pick:
    """Find a sample's files by their hashes, or where they were made when nothing was archived."""
    made = f"crops/{record.source}/{stem}.jpg", f"labels/{record.source}/{stem}.png"
    archived = archive.name(record.sha256), archive.name(record.annotation.sha256)
    picture, label = (old if kept.exists(old) else new for old, new in zip(archived, made, strict=True))
    return Pick(stem, record, picture, label, _remembered_parts(kept, stem, record))


def _remembered_parts(kept: Store, stem: str, record: SampleRecord) -> str:
    if record.annotation.parts is None:
        return ""
    archived = archive.name(record.annotation.parts.sha256)
    return archived if kept.exists(archived) else class_resolution.file(record.source, stem)


def _name(note: str, date: str) -> str:
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


def _plan(kept: Store, sources: Sequence[Source], catalog: Catalog) -> tuple[list[Pick], Manifest, dict[str, Any]]:
    """Decide what goes where: the samples, the manifest without files, the leak certificate."""
    recipe = catalog.releases
    earlier = splits.most_held_out_by_source(manifest.read_released_splits(kept.path("releases")))
    assigned = splits.staying(splits.assign(sources, recipe.val, recipe.test), sources, earlier)
    _warn(assigned, earlier)
    asked = map_ordered(lambda source: _found_out(kept, source, assigned[source.source_id], catalog), sources, threads=2)
    found = {source.source_id: one for source, one in zip(sources, asked, strict=True)}
    per_source = {source_id: one.picks for source_id, one in sorted(found.items())}
    records = {source_id: one.record for source_id, one in sorted(found.items()) if one.record}
    picks = sorted((pick for some in per_source.values() for pick in some), key=lambda pick: pick.stem)
    if not picks:
        raise ReleaseError(_nothing([one.said for one in found.values()]))
    if len({pick.stem for pick in picks}) < len(picks):
        raise ReleaseError("two sources have a crop of the same id; expected ids used once. Rename one source in the catalog")
    looks = _remembered_looks(kept, picks)
    joined = _joined(picks, looks, {source_id: record.sha256 for source_id, record in records.items()})
    assigned = splits.together(assigned, sources, joined)
    picks = [_moved(pick, assigned[pick.record.source]) for pick in picks]
    splits.require({source_id: len(some) for source_id, some in per_source.items()}, assigned, recipe.val, recipe.test)
    plan = manifest.build(_layouts(catalog, picks), records, {pick.stem: pick.record for pick in picks})
    plan = plan.model_copy(update={"previous": _previous(kept, plan)})
    if leaks := manifest.find_leaks(plan, _pictures(picks)):
        raise ReleaseError(
            "the release would leak between its splits: " + "; ".join(leaks) + ". "
            "Give these sources the same `split:` in the catalog, or leave one out"
        )
    return picks, plan, certificate.build(plan, looks, joined)


class _Found(NamedTuple):
    """What a source brings: its samples, its own record when it has any, and in words what was there."""

    picks: list[Pick]
    record: SourceRecord | None
    said: str


def _found_out(kept: Store, source: Source, split: Split, catalog: Catalog) -> _Found:
    """Read one source's tables and keep no more of them than the release needs: all sources' tables would not fit."""
    found = _tables(kept, source.source_id)
    said = _looked(source.source_id, found)
    picks = provenance.picks(source, split, found) if "labels" in found and len(found["labels"].rows) else []
    record = provenance.source(found, _funnel(source.source_id, catalog, found)) if picks else None
    return _Found(picks, record, said)


def _funnel(source_id: str, catalog: Catalog, tables_: Mapping[str, tables.Table]) -> dict[str, int]:
    """Give what became of a source's people in the order things happened; what nobody counted is left out."""
    found = summarise(source_id, catalog, tables_)
    numbers = {"frames": found.frames}
    numbers |= {f"refused: {reason}": count for reason, count in sorted(found.refused.items())}
    numbers |= {"people": found.people, "too small to crop": found.too_small, "crops": found.crops}
    numbers |= {f"dropped: {reason}": count for reason, count in sorted(found.dropped.items())}
    numbers |= {"kept": found.kept, "pushed": found.pushed, "labelled": found.labelled}
    numbers |= {f"rejected: {reason or 'no verdict'}": count for reason, count in sorted(found.rejected.items())}
    return {name: count for name, count in numbers.items() if count}


def _warn(assigned: Mapping[str, Split], earlier: Mapping[str, Split]) -> None:
    for source_id, was in earlier.items():
        now = assigned.get(source_id, was)
        if splits.SPLITS.index(now) < splits.SPLITS.index(was):
            message = "%s was in %s in an earlier release and is now in %s, as the catalog says: mind what models saw"
            _log.warning(message, source_id, was, now)


def _previous(kept: Store, plan: Manifest) -> PreviousRecord | None:
    """Find the latest release with other samples: cutting the same again is no change."""
    for file in sorted(kept.path("releases").glob(f"{manifest.FOLDER_PREFIX}*/{manifest.FILE}"), reverse=True):
        content = file.read_bytes()
        if manifest.check_seal(content):
            _log.warning("%s is altered and not taken for the release before", file)
            continue
        held = manifest.parse(content)
        if manifest.have_same_samples(held, plan):
            return held.previous
        changes = {word: len(stems) for word, stems in manifest.compare_samples(held, plan).items() if stems}
        return PreviousRecord(name=file.parent.name, digest=held.digest, changes=changes)
    return None


def _remembered_looks(kept: Store, picks: Sequence[Pick]) -> dict[str, bytes]:
    """Look only at the pictures that nobody has looked at, and remember these, too; signatures come packed."""
    looks: dict[str, bytes] = {}
    by_source: dict[str, list[Pick]] = defaultdict(list)
    for pick in picks:
        by_source[pick.record.source].append(pick)
    for source_id, some in sorted(by_source.items()):
        known = signatures.of_source(kept, source_id)
        if new := [pick for pick in some if pick.record.sha256 not in known]:
            seen = _looks(kept, new)
            known |= {pick.record.sha256: seen[pick.stem] for pick in new}
            signatures.keep(kept, source_id, known)
        looks |= {pick.stem: duplicates.pack(known[pick.record.sha256]) for pick in some}
    return looks


def _looks(kept: Store, picks: Sequence[Pick]) -> dict[str, Signature]:
    """Look at every picture once, at a few pixels."""
    found = map_ordered(lambda pick: _signature(kept, pick), picks)
    return {pick.stem: one for pick, one in zip(picks, progress.track(found, "compare", "release", len(picks)), strict=True)}


def _signature(kept: Store, pick: Pick) -> Signature:
    try:
        return duplicates.of_jpeg(kept.read(pick.picture, pick.record.sha256))
    except ArrayError as error:
        raise ReleaseError(f"{pick.picture}: {error}") from error


def _joined(picks: Sequence[Pick], looks: Mapping[str, Look], videos: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Give the sources that hold the same video or pictures alike, those of one chain together."""
    groups: dict[str, list[Look]] = defaultdict(list)
    for pick in picks:
        groups[pick.record.source].append(looks[pick.stem])
    first = {videos[source_id]: source_id for source_id in sorted(groups, reverse=True)}
    pairs = [*duplicates.between(groups), *((first[videos[source_id]], source_id) for source_id in sorted(groups))]
    clusters = duplicates.cluster(groups, pairs)
    return [cluster for cluster in clusters if len(cluster) > 1]


def _moved(pick: Pick, split: Split) -> Pick:
    return pick if pick.record.split == split else replace(pick, record=replace(pick.record, split=split))


def _tables(kept: Store, source_id: str) -> dict[str, tables.Table]:
    if (labels := tables.latest(kept, "labels", source_id)) is None:
        return {}
    found = {stage: tables.latest(kept, stage, source_id) for stage in (*_NEEDED[:-1], "mattes", "tasks", "verdicts")}
    if missing := [stage for stage in _NEEDED[:-1] if found[stage] is None]:
        raise ReleaseError(
            f"source {source_id} has labels but no readable table {', '.join(missing)}; run `figureground ingest {source_id}`"
        )
    return {stage: table for stage, table in (found | {"labels": labels}).items() if table is not None}


def _nothing(said: Sequence[str]) -> str:
    looked = "; ".join(said) or "no source was given"
    return (
        f"nothing to release: {looked}. Expected at least one label whose verdict is {KEEP!r}. "
        "Run `figureground push`, annotate in Label Studio, then `figureground pull`"
    )


def _looked(source_id: str, found: Mapping[str, tables.Table]) -> str:
    if "labels" not in found:
        return f"source {source_id} has not been pulled"
    verdicts = found["labels"].rows["verdict"].value_counts().sort_index()
    said = ", ".join(f"{count} {verdict or 'without a verdict'}" for verdict, count in verdicts.items())
    return f"source {source_id} has {len(found['labels'].rows)} labels{f' ({said})' if said else ''}"


def _layouts(catalog: Catalog, picks: Sequence[Pick]) -> dict[str, dict[str, Any]]:
    """Give the layouts' settings; one that knows classes and is told nothing gets the most that all samples have."""
    drawn = (pick.record.annotation.parts for pick in picks)
    most = min((found.classes if found else 2 for found in drawn), default=2)
    knowing = {name for name, one in catalog.layouts().items() if hasattr(one, "classes")}
    settings = catalog.releases.settings()
    for name, own in settings.items():
        if (classes := own.get("classes", most)) > most:
            pick = next(pick for pick in picks if (found := pick.record.annotation.parts) is None or found.classes == most)
            raise ReleaseError(
                f"releases.layouts: {name} asks for {classes} classes; {pick.stem} of source {pick.record.source} has {most}. "
                f"Leave that source out, or ask for at most {most}"
            )
    return {name: {"classes": most} | own if name in knowing else own for name, own in settings.items()}


def _pictures(picks: Sequence[Pick]) -> dict[str, tuple[str, int]]:
    return {f"{pick.record.split}/{pick.stem}.jpg": (pick.record.sha256, 0) for pick in picks}


def _held(folder: Path, plan: Manifest) -> Manifest:
    """Give the manifest of a release that is already there and is the planned one."""
    try:
        content = (folder / manifest.FILE).read_bytes()
    except OSError as error:
        raise ReleaseError(f"{folder} exists and is no release ({error}); choose another --note, or move it away") from error
    held = manifest.parse(content)
    problems = [manifest.check_seal(content), *manifest.compare_files(manifest.file_hashes(held), _found(folder))]
    if damaged := [problem for problem in problems if problem]:
        raise ReleaseError(f"{folder} exists and is damaged: " + "; ".join(damaged) + ". Move it away, then run again")
    if manifest.seal(plan, manifest.file_hashes(held)).digest != held.digest:
        raise ReleaseError(
            f"{folder} exists with another content, and a release is never changed. Differences: "
            + "; ".join(manifest.describe_changes(held, plan))
            + ". Choose another --note"
        )
    _log.info("release %s is already there, unchanged", folder.name)
    return held


def _found(folder: Path) -> manifest.FileHashes:
    found = hashing.hash_folder(folder)
    found.pop(manifest.FILE)
    return found


def _make(
    kept: Store, folder: Path, picks: Sequence[Pick], plan: Manifest, proof: Mapping[str, Any], expected: Manifest | None = None
) -> Manifest:
    """Write everything beside the release's place, flush it, then rename it, if it is the expected one."""
    log = hashing.ReadLog()
    with atomic.build_folder(folder) as bench:
        for layout, place in plan.layouts.items():
            settings = plan.settings.get(layout, {})
            fitted = _fitted(_samples(kept, picks, f"{folder.name} as {layout}"), settings.get(layouts.LETTERBOX))
            layouts.build(layout, settings).write(fitted, bench / place, log)
        _certify(kept, picks, proof, bench)
        _introduce(kept, picks, plan, proof, bench)
        with atomic.flush_in_background(bench):
            sealed = manifest.write(plan, hashing.hash_folder(bench, log), bench / manifest.FILE)
            if expected and sealed.digest != expected.digest:
                raise ReleaseError(_otherwise(expected, sealed))
            for _ in map_ordered(lambda pick: _archive(kept, pick), picks, batch_size=_TOGETHER):
                pass
        atomic.flush(bench / manifest.FILE)
        atomic.flush(bench)
        bench.chmod(0o755)
        bench.rename(folder)
        atomic.flush(folder.parent)
    return sealed


def _archive(kept: Store, pick: Pick) -> None:
    archive.keep(kept, pick.picture, pick.record.sha256)
    archive.keep(kept, pick.label, pick.record.annotation.sha256)
    if pick.record.annotation.parts:
        archive.keep(kept, pick.parts, pick.record.annotation.parts.sha256)


def _otherwise(expected: Manifest, sealed: Manifest) -> str:
    differing = manifest.compare_files(manifest.file_hashes(expected), manifest.file_hashes(sealed))
    listed = "; ".join(differing[:5]) + (f"; and {len(differing) - 5} more" if len(differing) > 5 else "")
    return (
        f"what came out is not the release of digest {expected.digest}: {listed}. It was made by figureground {expected.code}, "
        f"this is {__version__}; use that version and its lock file"
    )


def _certify(kept: Store, picks: Sequence[Pick], proof: Mapping[str, Any], bench: Path) -> None:
    """Write the certificate, with a picture of each two splits' closest samples."""
    by_stem = {pick.stem: pick for pick in picks}
    (bench / certificate.FILE).write_bytes(certificate.written(proof))
    for pair in proof["pairs"]:
        one, other = (kept.read(by_stem[stem].picture, by_stem[stem].record.sha256) for stem in pair["closest"])
        (bench / pair["thumbnail"]).parent.mkdir(exist_ok=True)
        (bench / pair["thumbnail"]).write_bytes(certificate.thumbnail(one, other))


def _introduce(kept: Store, picks: Sequence[Pick], plan: Manifest, proof: Mapping[str, Any], bench: Path) -> None:
    """Write the card with its chart and examples."""
    (bench / card.FOLDER).mkdir()
    facts = card.facts(plan, proof)
    (bench / card.FILE).write_bytes(card.written(facts).encode())
    for name, counted in (("funnel", facts["funnel"]), ("pictures", facts["shares"])):
        (bench / card.FOLDER / f"{name}.svg").write_bytes(card.chart(counted).encode())
    by_stem = {pick.stem: pick for pick in picks}
    shown = [_sample(kept, by_stem[stem]) for stem in card.chosen(plan)]
    pairs = [(crops.decode(sample.image, sample.stem), sample.alpha) for sample in shown]
    (bench / card.FOLDER / "examples.jpg").write_bytes(card.examples(pairs))


def _fitted(found: Iterator[Sample], side: int | None) -> Iterator[Sample]:
    return map_ordered(lambda sample: samples.letterboxed(sample, side), found) if side else found


def _samples(kept: Store, picks: Sequence[Pick], what: str) -> Iterator[Sample]:
    """Give the samples, each read by the thread that its layout writes it in."""
    return map_ordered(
        lambda pick: _sample(kept, pick), progress.track(picks, "release", what, len(picks)), batch_size=_TOGETHER
    )


def _sample(kept: Store, pick: Pick) -> Sample:
    stem, split, scenes = pick.stem, pick.record.split, pick.record.scenes
    image = kept.read(pick.picture, pick.record.sha256)
    label = kept.read(pick.label, pick.record.annotation.sha256)
    sample = Sample(stem, split, scenes, image, masks.Stored(label, pick.label), sha256=pick.record.sha256)
    drawn = pick.record.annotation.parts
    if drawn is None:
        return sample
    ids = class_resolution.from_png(kept.read(pick.parts, drawn.sha256), drawn.classes, pick.parts)
    return replace(sample, parts=ids, parts_of=drawn.classes)
