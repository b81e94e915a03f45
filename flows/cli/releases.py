"""Commands that make, check and compare releases."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import (
    CATALOG,
    CatalogFile,
    Note,
    ReleaseFolder,
    Verbose,
    configure_logging,
    locate_release,
    open_catalog,
)
from flows.cli.output import console, format_counts, print_message, running_flow

PANEL = "Releases"

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL)
def release(
    note: Note = "",
    date: Annotated[str, typer.Option("--date", metavar="YYYYMMDD", help="The date in the name; today (UTC) if omitted.")] = "",
    manifest: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Make the release of this manifest.json again.")
    ] = None,
    catalog: CatalogFile = CATALOG,
    verbose: Verbose = False,
) -> None:
    """Make a release of everything that is labelled, or an old release again, and verify it."""
    open_catalog(catalog, verbose)
    from flows.release import cut, recut

    with running_flow():
        released = recut(str(manifest), str(catalog), note, date) if manifest else cut(str(catalog), note, date)
    console.print(
        f"released and verified: {released.name} ({format_counts(released.counts)})\n  {released.folder}", soft_wrap=True
    )


@commands.command(rich_help_panel=PANEL)
def compose(
    note: Note = "",
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="Processes that make images at the same time; 0: one per CPU core.")
    ] = 0,
    sample_id: Annotated[str, typer.Option("--sample-id", metavar="ID", help="Make only this sample again, into --into.")] = "",
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="Output folder of --sample-id.")] = Path("remade"),
    catalog: CatalogFile = CATALOG,
    verbose: Verbose = False,
) -> None:
    """Put people on new backgrounds: synthetic training pairs with exact ground truth, disjoint splits, and a page."""
    settings = open_catalog(catalog, verbose)
    from flows.compose import compose as run_compose
    from flows.compose import remake

    if sample_id:
        files, differing = remake(catalog, sample_id, into, note)
        for file in files:
            print_message(str(file))
        console.print(f"not as in the composition: {', '.join(differing)}" if differing else "the same as in the composition")
        return
    with running_flow():
        composed = run_compose(str(catalog), note, workers)
    for message in composed.lacking:
        print_message(message)
    counts = format_counts(composed.release.counts)
    console.print(f"composed and verified: {composed.release.name} ({counts})\n  {composed.release.folder}", soft_wrap=True)
    console.print(f"page: {settings.storage_root}/{composed.page}", soft_wrap=True)


@commands.command(rich_help_panel=PANEL)
def verify(release: ReleaseFolder, catalog: CatalogFile = CATALOG, verbose: Verbose = False) -> None:
    """Check every file of a release against its manifest, and that no source is in two splits."""
    configure_logging(verbose)
    from tasks.datasets.verify import verify as verify_release
    from tasks.datasets.verify_composites import verify_composites

    folder = locate_release(release, catalog)
    verified = verify_composites(folder) if (folder / "composition.json").is_file() else verify_release(folder)
    console.print(f"{verified.name} is whole: {format_counts(verified.counts)}; digest {verified.digest}", soft_wrap=True)


@commands.command(rich_help_panel=PANEL)
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The older release: its folder, or its name in the storage.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The newer release: its folder, or its name in the storage.")],
    page: Annotated[
        Path | None, typer.Option("--page", metavar="FILE", help="Also write an HTML page.")
    ] = None,
    catalog: CatalogFile = CATALOG,
    verbose: Verbose = False,
) -> None:
    """List the samples that a newer release added, dropped or annotated again."""
    configure_logging(verbose)
    from tasks.datasets.verify import diff as compare_manifests
    from tasks.datasets.verify import diff_page

    folders = locate_release(old, catalog), locate_release(new, catalog)
    if page:
        page.write_text(diff_page(*folders), encoding="utf-8")
        console.print(f"page: {page}", soft_wrap=True)
    for change, sample_ids in compare_manifests(*folders).items():
        console.print(f"{change}: {len(sample_ids)}")
        for sample_id in sample_ids:
            console.print(f"  {sample_id}")
