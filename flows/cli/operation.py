"""Commands that run figureground unattended and look after its storage."""

import sys
from typing import Annotated

import typer

from flows.cli.options import CATALOG, CatalogFile, Verbose, configure_logging, open_catalog
from flows.cli.output import console, print_message

PANEL = "Operation"

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL)
def schedule(catalog: CatalogFile = CATALOG, verbose: Verbose = False) -> None:
    """Run the scheduled flows until stopped: nightly ingest, frequent pull, weekly release."""
    open_catalog(catalog, verbose, shared=False)
    from flows.scheduling.schedules import serve_schedules

    serve_schedules(catalog.resolve(), print_message)


@commands.command(rich_help_panel=PANEL)
def status(
    catalog: CatalogFile = CATALOG,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    verbose: Verbose = False,
) -> None:
    """Show for every source what is pending, running, failed, waiting for annotators, labelled and released."""
    configure_logging(verbose)
    from figureground.catalog import load
    from flows.cli.status_fast_path import render_status
    from tasks.operation.catalog_cache import write_cache
    from tasks.operation.status import read_status

    state = read_status(write_cache(catalog, load(catalog, build_plugins=False)))
    sys.stdout.write(render_status(state, as_json=as_json))


@commands.command(rich_help_panel=PANEL)
def prune(
    catalog: CatalogFile = CATALOG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")] = False,
    verbose: Verbose = False,
) -> None:
    """Remove files over the catalog's disk budget that can be made again, and temporary files of killed runs."""
    settings = open_catalog(catalog, verbose, runs=False)
    from figureground.storage.disk_budget import format_size
    from figureground.storage.store import Store
    from tasks.operation.prune import prune_storage

    if not dry_run:
        for file in Store(settings.storage_root).remove_temporary_files():
            print_message(f"{file}: removed, a killed run left it")
    pruned = prune_storage(settings, dry_run=dry_run)
    for part in pruned:
        subject = f"{part.source_id}: {part.files} {part.kind}" if part.source_id else part.kind
        print_message(f"{subject}, {format_size(part.bytes)}: {part.outcome}")
    if not pruned:
        console.print("everything is within its budget")


@commands.command(rich_help_panel=PANEL)
def upgrade(catalog: CatalogFile = CATALOG, verbose: Verbose = False) -> None:
    """Take over a storage that an older figureground wrote. All files, tables, tasks and labels stay."""
    settings = open_catalog(catalog, verbose, runs=False, reads_tables=False)
    from flows.upgrade import upgrade as take_over

    taken = take_over(settings)
    for source in taken:
        kept = f"kept: {', '.join(source.kept)}" if source.kept else ""
        repeated = f"run once more with the next ingest: {', '.join(source.repeated)}" if source.repeated else ""
        print_message(f"{source.source_id}: {source.reason or '; '.join(filter(None, (kept, repeated)))}")
    if not taken:
        console.print("nothing to take over: the storage has the current format")
