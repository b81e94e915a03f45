"""The options that several commands share, and what every command does with them first."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.scheduling.log_records import OWN_LOGGERS, make_records_safe

if TYPE_CHECKING:
    from figureground.catalog import Catalog

CATALOG = Path("data_catalog.yaml")
MAX_STRETCH = 4 / 3

CatalogFile = Annotated[Path, typer.Option("--catalog", metavar="FILE", help="The catalog: sources, recipe and storage.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show the log, and tracebacks of errors.")]
SourceNames = Annotated[
    list[str] | None, typer.Argument(metavar="[SOURCE]...", help="Sources of the catalog; all if omitted.")
]
Note = Annotated[str, typer.Option("--note", help="The last part of the name; the catalog's note if omitted.")]
ReleaseFolder = Annotated[
    Path, typer.Argument(metavar="RELEASE", help="A release: its folder, or its name in the catalog's storage.")
]
Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="A checkpoint's folder, a folder of predictions, or a remover of the catalog.")
]
Network = Annotated[str, typer.Option("--network", help="unet, segnet, segresnet or deeplabv3.")]
NetworkSettings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the network; can be repeated.")
]
Classes = Annotated[int | None, typer.Option("--classes", help="1: soft alpha; 2: person and background; 5: body parts.")]
ImageSize = Annotated[
    int, typer.Option("--image-size", metavar="PIXELS", help="Width and height of the network's input; a multiple of 32.")
]
Steps = Annotated[
    int | None, typer.Option("--steps", min=1, help="Optimiser steps; 2500 if omitted.")
]
BatchSize = Annotated[int, typer.Option("--batch-size", help="Images in one optimiser step.")]
MaxLearningRate = Annotated[float, typer.Option("--max-learning-rate", help="The peak of the learning rate schedule.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="auto uses a GPU if there is one.")]
SplitNames = Annotated[list[str] | None, typer.Option("--split", help="train, val or test; can be repeated.")]
Into = Annotated[Path | None, typer.Option("--into", metavar="DIR", help="Output folder; in the storage if omitted.")]


def configure_logging(verbose: bool) -> None:
    """Show figureground's warnings and all errors, or the whole log.

    Parameters
    ----------
    verbose
        Whether ``--verbose`` was given.
    """
    make_records_safe()
    handler = ErrorStreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s") if verbose else _MessageFormatter())
    if not verbose:
        handler.addFilter(_is_shown)
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])


class ErrorStreamHandler(logging.Handler):
    """Writes records to what ``sys.stderr`` is at that moment: while bars are shown, rich puts a stream of its own there."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record as a line."""
        sys.stderr.write(f"{self.format(record)}\n")


class _MessageFormatter(logging.Formatter):
    """Writes a warning or an error without its traceback, as the commands print their own."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname.lower()}: {record.getMessage()}"


def _is_shown(record: logging.LogRecord) -> bool:
    """Whether a record is shown without ``--verbose``: errors of all, and warnings that figureground itself writes."""
    return record.levelno >= logging.ERROR or record.name.partition(".")[0] in OWN_LOGGERS


def open_catalog(
    catalog_file: Path, verbose: bool, *, shared: bool = True, runs: bool = True, reads_tables: bool = True
) -> "Catalog":
    """Read the catalog and configure Prefect for it, before anything slow is imported: a typo is reported at once.

    Parameters
    ----------
    catalog_file
        The catalog.
    verbose
        Show the logs of figureground and Prefect.
    shared, runs
        See `flows.scheduling.engine.configure_prefect`.
    reads_tables
        Refuse a storage whose tables have another format, see `figureground.tables.formats`.

    Returns
    -------
    Catalog
        The validated catalog.

    Raises
    ------
    CatalogError
        When the catalog is missing or has errors.
    StoreError
        When the storage has tables of another format.
    """
    configure_logging(verbose)
    from figureground.catalog import load
    from figureground.storage.store import Store
    from figureground.tables import formats
    from flows.scheduling.engine import configure_prefect

    catalog = load(catalog_file)
    if reads_tables:
        formats.require_current(Store(catalog.storage_root))
    configure_prefect(catalog.folder, verbose=verbose, shared=shared, runs=runs)
    return catalog


def locate_release(folder_or_name: Path, catalog_file: Path) -> Path:
    """Find a release by its folder, or by its name in the catalog's storage.

    Parameters
    ----------
    folder_or_name
        A folder, or the name of a release.
    catalog_file
        The catalog; it is read only when there is no such folder.

    Returns
    -------
    Path
        The folder; `folder_or_name` as it is when the storage has no such release either.
    """
    if folder_or_name.exists() or len(folder_or_name.parts) != 1 or not catalog_file.is_file():
        return folder_or_name
    from figureground.catalog import load
    from figureground.storage.store import Store

    stored = Store(load(catalog_file).storage_root).path(f"releases/{folder_or_name}")
    return stored if stored.is_dir() else folder_or_name
