"""Cutting a release: the labels that annotators kept, in a folder that never changes again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from figureground import __version__, layouts
from figureground.catalog import Catalog
from figureground.datasets import certificate, manifest, release_files, release_plan, splits
from figureground.datasets.manifest import Manifest
from figureground.datasets.release_plan import ReleasePlan
from figureground.errors import ReleaseError
from figureground.layouts import LayoutWithClasses
from figureground.parallel import map_ordered
from figureground.storage import atomic, hashing
from figureground.storage.store import Store
from figureground.types import Release, Source
from tasks import retried_task


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
        ``counts`` has the number of images in each split.

    Raises
    ------
    ReleaseError
        When there is nothing to release, a split would be empty, two splits would share footage, the note or date cannot
        be used, or the folder holds something else.
    StoreError
        When a file of the storage is missing or damaged, or the folder cannot be written.
    """
    name = release_plan.make_name(note, date)
    store = Store(catalog.storage_root)
    folder = store.path(f"releases/{name}")
    plan = _plan(store, sources, catalog)
    sealed = release_files.check_existing(folder, plan.manifest) if folder.exists() else _write(store, folder, plan)
    return Release(name, str(folder), sealed.digest, dict(sealed.counts))


@retried_task
def rebuild(file: Path, catalog: Catalog, note: str, date: str) -> Release:
    """Cut a release again, byte for byte, from its manifest and the storage; no table is read.

    Parameters
    ----------
    file
        Its ``manifest.json``.
    catalog
        Gives the storage, which keeps every image and label of a release under its hash.
    note, date
        The name of the folder that is made, see `release`.

    Raises
    ------
    ReleaseError
        When the manifest is altered, or the result is not what it describes.
    StoreError
        When an image or label is no longer in the storage.
    """
    name = release_plan.make_name(note, date)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ReleaseError(f"{file}: {error.strerror}. Expected the {manifest.FILE} of a release") from error
    if problem := manifest.check_seal(content):
        raise ReleaseError(f"{file}: {problem}. A release is only cut again from the manifest it was sealed with")
    original, store = manifest.parse(content), Store(catalog.storage_root)
    folder = store.path(f"releases/{name}")
    plan = _plan_again(store, original)
    if folder.exists():
        sealed = release_files.check_existing(folder, plan.manifest)
    else:
        sealed = _write(store, folder, plan, expected=original)
    return Release(name, str(folder), sealed.digest, dict(sealed.counts))


def _plan(store: Store, sources: Sequence[Source], catalog: Catalog) -> ReleasePlan:
    recipe, releases = catalog.releases, store.path("releases")
    assigned = release_plan.assign_splits(sources, recipe.val, recipe.test, releases)
    read = map_ordered(
        lambda source: release_plan.read_contribution(store, source, assigned[source.source_id]), sources, threads=2
    )
    contributions = {source.source_id: own for source, own in zip(sources, read, strict=True)}
    picks = release_plan.collect_picks(contributions)
    signatures = release_files.read_signatures(store, picks)
    videos = {source_id: own.record.sha256 for source_id, own in contributions.items() if own.record}
    similar = release_plan.find_similar_sources(picks, signatures, videos)
    assigned = splits.join_similar(assigned, sources, similar)
    splits.require_all(_count_images(contributions), assigned, recipe.val, recipe.test)
    picks = [release_plan.move_to(pick, assigned[pick.record.source]) for pick in picks]
    with_classes = {name for name, layout in catalog.layouts().items() if isinstance(layout, LayoutWithClasses)}
    settings = release_plan.resolve_layouts(recipe.settings(), with_classes, picks)
    return release_plan.plan(contributions, picks, settings, signatures, similar, releases)


def _count_images(contributions: Mapping[str, release_plan.Contribution]) -> dict[str, int]:
    return {source_id: len(own.picks) for source_id, own in contributions.items()}


def _plan_again(store: Store, original: Manifest) -> ReleasePlan:
    picks = [release_files.recall_pick(store, name, record) for name, record in sorted(original.samples.items())]
    signatures = release_files.compute_signatures(store, picks)
    videos = {source_id: record.sha256 for source_id, record in original.sources.items()}
    similar = release_plan.find_similar_sources(picks, signatures, videos)
    planned = original.model_copy(update={"files": {}, "digest": ""})
    return ReleasePlan(picks, planned, certificate.build(planned, signatures, similar))


def _write(store: Store, folder: Path, plan: ReleasePlan, expected: Manifest | None = None) -> Manifest:
    """Write everything beside the release's place, flush it, and rename it when it is the expected one."""
    log, planned = hashing.ReadLog(), plan.manifest
    with atomic.build_folder(folder) as build_folder:
        for name, layout_folder in planned.layouts.items():
            settings = planned.settings.get(name, {})
            purpose, side = f"{folder.name} as {name}", settings.get(layouts.LETTERBOX)
            samples = release_files.read_samples(store, plan.picks, purpose, side)
            layouts.build(name, settings).write(samples, build_folder / layout_folder, log)
        release_files.write_certificate(store, plan, build_folder)
        release_files.write_card(store, plan, build_folder)
        with atomic.flush_in_background(build_folder):
            sealed = manifest.write(planned, hashing.hash_folder(build_folder, log), build_folder / manifest.FILE)
            if expected and sealed.digest != expected.digest:
                raise ReleaseError(_describe_mismatch(expected, sealed))
            release_files.archive_samples(store, plan.picks)
        atomic.flush(build_folder / manifest.FILE)
        atomic.flush(build_folder)
        build_folder.chmod(0o755)
        build_folder.rename(folder)
        atomic.flush(folder.parent)
    return sealed


def _describe_mismatch(expected: Manifest, sealed: Manifest) -> str:
    problems = manifest.compare_files(manifest.file_hashes(expected), manifest.file_hashes(sealed))
    listed = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
    return (
        f"the result is not the release of digest {expected.digest}: {listed}. That was made by figureground {expected.code}, "
        f"this is {__version__}; use that version and its lock file"
    )
