"""Cutting a version."""

from datetime import UTC, datetime
from pathlib import Path

from prefect import flow

from figureground.catalog import load
from figureground.errors import ReleaseError
from figureground.types import Release
from flows.ingest import expand_sources
from flows.scheduling.run_monitor import watched
from tasks.datasets.release import rebuild, release
from tasks.datasets.verify import verify


@flow(name="release", validate_parameters=False, persist_result=False)
@watched("release")
def cut(catalog: str = "data_catalog.yaml", note: str = "", date: str = "") -> Release:
    """Cut a release of everything that is labelled, and verify what was written.

    Parameters
    ----------
    catalog
        The catalog's file.
    note
        Part of the release's name; "" takes the catalog's.
    date
        ``yyyymmdd``; "" means today (UTC).

    Raises
    ------
    ReleaseError
        When there is nothing to release, or a name is taken by another content.
    """
    settings = load(Path(catalog))
    found, refused = expand_sources(settings, None)
    if refused:
        raise ReleaseError("cannot release: " + "; ".join(f"{outcome.source_id}: {outcome.error}" for outcome in refused))
    made = release(found, settings, note or settings.releases.note, date or _today())
    return verify(Path(made.folder), settings)


@flow(name="rebuild", validate_parameters=False, persist_result=False)
@watched("rebuild")
def recut(manifest: str, catalog: str = "data_catalog.yaml", note: str = "", date: str = "") -> Release:
    """Cut a release again from its manifest and the storage, and verify what was written.

    Parameters
    ----------
    manifest
        The release's ``manifest.json``.
    catalog, note, date
        See `cut`.

    Raises
    ------
    ReleaseError
        When what comes out is not, byte for byte, what the manifest describes.
    """
    settings = load(Path(catalog))
    made = rebuild(Path(manifest), settings, note or settings.releases.note, date or _today())
    return verify(Path(made.folder), settings)


def _today() -> str:
    return datetime.now(UTC).strftime("%Y%m%d")
