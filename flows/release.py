"""Making a release, and making one again from its manifest."""

from datetime import UTC, datetime
from pathlib import Path

from prefect import flow

from figureground.errors import ReleaseError
from figureground.types import Release
from flows.ingest import expand_sources
from flows.scheduling.run_monitor import monitor_run
from tasks.datasets.release import rebuild, release
from tasks.datasets.verify import verify


@flow(name="release", validate_parameters=False, persist_result=False)
def cut(catalog: str = "data_catalog.yaml", note: str = "", date: str = "", *, nested: bool = False) -> Release:
    """Make a release of everything that is labelled, and verify what was written.

    Parameters
    ----------
    catalog
        The catalog's file.
    note
        Part of the release's name; "" takes the catalog's.
    date
        ``yyyymmdd``; "" means today (UTC).
    nested
        The flow is a part of another monitored run, see `flows.scheduling.run_monitor.monitor_run`.

    Raises
    ------
    ReleaseError
        When there is nothing to release, or a name is taken by another content.
    """
    with monitor_run("release", catalog, nested=nested) as run:
        settings = run.catalog
        expanded, refused = expand_sources(settings, None)
        if refused:
            raise ReleaseError("cannot release: " + "; ".join(f"{outcome.source_id}: {outcome.error}" for outcome in refused))
        released = release(expanded, settings, note or settings.releases.note, date or _today())
        return verify(Path(released.folder), settings)


@flow(name="rebuild", validate_parameters=False, persist_result=False)
def recut(manifest: str, catalog: str = "data_catalog.yaml", note: str = "", date: str = "") -> Release:
    """Make a release again from its manifest and the storage, and verify what was written.

    Parameters
    ----------
    manifest
        The release's ``manifest.json``.
    catalog, note, date
        See `cut`.

    Raises
    ------
    ReleaseError
        When the result is not, byte for byte, what the manifest describes.
    """
    with monitor_run("rebuild", catalog) as run:
        settings = run.catalog
        released = rebuild(Path(manifest), settings, note or settings.releases.note, date or _today())
        return verify(Path(released.folder), settings)


def _today() -> str:
    return datetime.now(UTC).strftime("%Y%m%d")
