"""The files of a release: samples read from the storage, and all that lies beside the layouts' own files."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from figureground import progress
from figureground.annotation import class_resolution
from figureground.datasets import card, certificate, manifest, samples
from figureground.datasets.manifest import Manifest, SampleRecord
from figureground.datasets.provenance import Pick
from figureground.datasets.release_plan import ReleasePlan
from figureground.errors import ArrayError, ReleaseError
from figureground.imaging import crops, masks
from figureground.parallel import map_ordered
from figureground.similarity import duplicates, signatures
from figureground.similarity.duplicates import Signature
from figureground.storage import archive, hashing
from figureground.storage.store import Store
from figureground.types import Sample

_log = logging.getLogger(__name__)
_BATCH = 8
"""How many samples a thread takes at a time: each takes less than a millisecond."""


def recall_pick(store: Store, sample_id: str, record: SampleRecord) -> Pick:
    """Find the files of an earlier release's sample: in the archive by their hashes, or where they were made."""
    image, label = f"crops/{record.source}/{sample_id}.jpg", f"labels/{record.source}/{sample_id}.png"
    pick = Pick(
        sample_id,
        record,
        _archived_or(store, record.sha256, image),
        _archived_or(store, record.annotation.sha256, label),
    )
    class_map = record.annotation.parts
    if class_map is None:
        return pick
    return replace(
        pick, class_map_file=_archived_or(store, class_map.sha256, class_resolution.class_map_file(record.source, sample_id))
    )


def _archived_or(store: Store, sha256: str, made: str) -> str:
    archived = archive.name(sha256)
    return archived if store.exists(archived) else made


def read_signatures(store: Store, picks: Sequence[Pick]) -> dict[str, bytes]:
    """Give the packed signature of each sample by its id; what the storage does not keep yet is computed and kept."""
    packed: dict[str, bytes] = {}
    by_source: dict[str, list[Pick]] = defaultdict(list)
    for pick in picks:
        by_source[pick.record.source].append(pick)
    for source_id, own in sorted(by_source.items()):
        known = signatures.read(store, source_id)
        if new := [pick for pick in own if pick.record.sha256 not in known]:
            computed = compute_signatures(store, new)
            known |= {pick.record.sha256: computed[pick.sample_id] for pick in new}
            signatures.write(store, source_id, known)
        packed |= {pick.sample_id: duplicates.pack(known[pick.record.sha256]) for pick in own}
    return packed


def compute_signatures(store: Store, picks: Sequence[Pick]) -> dict[str, Signature]:
    """Compute the signature of each sample from its image."""
    computed = progress.track(map_ordered(lambda pick: _signature(store, pick), picks), "compare", "release", len(picks))
    return {pick.sample_id: signature for pick, signature in zip(picks, computed, strict=True)}


def _signature(store: Store, pick: Pick) -> Signature:
    try:
        return duplicates.compute_jpeg_signature(store.read(pick.image_file, pick.record.sha256))
    except ArrayError as error:
        raise ReleaseError(f"{pick.image_file}: {error}") from error


def read_samples(store: Store, picks: Sequence[Pick], purpose: str, letterbox: int | None) -> Iterator[Sample]:
    """Give the samples one after another, as a layout writes them.

    Parameters
    ----------
    store
        The storage.
    picks
        Which samples.
    purpose
        What the progress bar says.
    letterbox
        The side of the square that they are fitted into, pixels; None leaves them as they are.
    """
    tracked = progress.track(picks, "release", purpose, len(picks))
    read = map_ordered(lambda pick: _read_sample(store, pick), tracked, batch_size=_BATCH)
    return map_ordered(lambda sample: samples.letterboxed(sample, letterbox), read) if letterbox else read


def _read_sample(store: Store, pick: Pick) -> Sample:
    record = pick.record
    image = store.read(pick.image_file, record.sha256)
    label = masks.Stored(store.read(pick.label_file, record.annotation.sha256), pick.label_file)
    sample = Sample(pick.sample_id, record.split, record.scenes, image, label, sha256=record.sha256)
    class_map = record.annotation.parts
    if class_map is None:
        return sample
    ids = class_resolution.decode_png(store.read(pick.class_map_file, class_map.sha256), class_map.classes, pick.class_map_file)
    return replace(sample, parts=ids, parts_of=class_map.classes)


def write_certificate(store: Store, plan: ReleasePlan, into: Path) -> None:
    """Write the leak certificate, with a thumbnail of the closest samples of each two splits."""
    by_id = {pick.sample_id: pick for pick in plan.picks}
    (into / certificate.FILE).write_bytes(certificate.to_bytes(plan.certificate))
    for pair in plan.certificate["pairs"]:
        left, right = (store.read(by_id[name].image_file, by_id[name].record.sha256) for name in pair["closest"])
        (into / pair["thumbnail"]).parent.mkdir(exist_ok=True)
        (into / pair["thumbnail"]).write_bytes(certificate.thumbnail(left, right))


def write_card(store: Store, plan: ReleasePlan, into: Path) -> None:
    """Write the dataset card with its charts and examples."""
    (into / card.FOLDER).mkdir()
    facts = card.compute_facts(plan.manifest, plan.certificate)
    (into / card.FILE).write_bytes(card.render_facts(facts).encode())
    for name, counts in (("funnel", facts["funnel"]), ("pictures", facts["shares"])):
        (into / card.FOLDER / f"{name}.svg").write_bytes(card.draw_chart(counts).encode())
    by_id = {pick.sample_id: pick for pick in plan.picks}
    shown = [_read_sample(store, by_id[name]) for name in card.choose_examples(plan.manifest)]
    pairs = [(crops.decode(sample.image, sample.sample_id), sample.alpha) for sample in shown]
    (into / card.FOLDER / "examples.jpg").write_bytes(card.draw_examples(pairs))


def archive_samples(store: Store, picks: Sequence[Pick]) -> None:
    """Keep every released image, label and class map in the storage under its hash."""
    for _ in map_ordered(lambda pick: _archive(store, pick), picks, batch_size=_BATCH):
        pass


def _archive(store: Store, pick: Pick) -> None:
    archive.keep(store, pick.image_file, pick.record.sha256)
    archive.keep(store, pick.label_file, pick.record.annotation.sha256)
    if pick.record.annotation.parts:
        archive.keep(store, pick.class_map_file, pick.record.annotation.parts.sha256)


def check_existing(folder: Path, planned: Manifest) -> Manifest:
    """Give the manifest of a release that exists already, when it is the planned one.

    Raises
    ------
    ReleaseError
        When the folder is no release, is damaged, or holds another release.
    """
    try:
        content = (folder / manifest.FILE).read_bytes()
    except OSError as error:
        raise ReleaseError(f"{folder} exists and is no release ({error}); choose another --note, or move it away") from error
    existing = manifest.parse(content)
    hashes = hashing.hash_folder(folder)
    hashes.pop(manifest.FILE)
    problems = [manifest.check_seal(content), *manifest.compare_files(manifest.file_hashes(existing), hashes)]
    if damaged := [problem for problem in problems if problem]:
        raise ReleaseError(f"{folder} exists and is damaged: " + "; ".join(damaged) + ". Move it away, then run again")
    if manifest.seal(planned, manifest.file_hashes(existing)).digest != existing.digest:
        raise ReleaseError(
            f"{folder} exists with another content, and a release is never changed. Differences: "
            + "; ".join(manifest.describe_changes(existing, planned))
            + ". Choose another --note"
        )
    _log.info("release %s is already there, unchanged", folder.name)
    return existing
