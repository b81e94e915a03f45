"""Commands from video to pre-annotated crops, and for single sources and crops."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from flows.cli.options import CATALOG, CatalogFile, SourceNames, Verbose, open_catalog
from flows.cli.output import console, print_funnels, print_message, report_failures, running_flow

PANEL = "Data"

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL)
def ingest(sources: SourceNames = None, catalog: CatalogFile = CATALOG, verbose: Verbose = False) -> None:
    """Fetch videos, sample frames, crop people, score and select the crops, predict their mattes, and write reports."""
    settings = open_catalog(catalog, verbose)
    from flows.ingest import ingest as run_ingest
    from tasks.datasets.summarise import summarise

    with running_flow():
        outcomes = run_ingest(str(catalog), sources)
    done = [outcome.source_id for outcome in outcomes if not outcome.error and not outcome.left]
    funnels = [summarise(source_id, settings) for source_id in done]
    print_funnels(funnels)
    for funnel in funnels:
        for reason in funnel.why:
            console.print(f"{funnel.source_id}: rejected: {reason}", soft_wrap=True, markup=False)
        if funnel.refused.total() > len(funnel.why):
            console.print(f"{funnel.source_id}: {funnel.refused.total() - len(funnel.why)} more are in the table of frames")
        if funnel.crops == 0:
            console.print(f"{funnel.source_id}: no people found in {funnel.frames} frames, so there is nothing to label")
    if any(settings.source(settings.entry_of(source_id)).kind != "layout" for source_id in done):
        console.print(f"reports: {settings.storage_root}/reports/", soft_wrap=True)
    report_failures(outcomes)


@commands.command(rich_help_panel=PANEL)
def judge(sources: SourceNames = None, catalog: CatalogFile = CATALOG, verbose: Verbose = False) -> None:
    """Select crops again from the stored scores, after you changed a limit in the catalog. Decodes no video."""
    settings = open_catalog(catalog, verbose)
    from flows.judge import rejudge
    from tasks.datasets.summarise import summarise

    outcomes = rejudge(settings, sources)
    print_funnels([summarise(outcome.source_id, settings) for outcome in outcomes if not outcome.error and not outcome.left])
    report_failures(outcomes)


@commands.command(rich_help_panel=PANEL)
def explain(
    sample_id: Annotated[str, typer.Argument(metavar="ID", help="A crop's id, which is also its sample id in a release.")],
    catalog: CatalogFile = CATALOG,
    verbose: Verbose = False,
) -> None:
    """Show the history of one image, from its video to its releases."""
    settings = open_catalog(catalog, verbose, runs=False)
    from tasks.datasets.explain import explain as trace

    table = Table.grid(padding=(0, 2))
    for line in trace(sample_id, settings):
        table.add_row(f"[bold]{escape(line.subject)}[/]", escape(line.text))
    console.print(table)


@commands.command(rich_help_panel=PANEL)
def forget(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The name of a source.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    catalog: CatalogFile = CATALOG,
    verbose: Verbose = False,
) -> None:
    """Delete a source: its video and everything made from it. Lists the releases that still contain it."""
    settings = open_catalog(catalog, verbose, runs=False)
    from tasks.datasets.forget import find_source_ids
    from tasks.datasets.forget import forget as delete_source

    if not yes:
        names = ", ".join(find_source_ids(source, settings))
        typer.confirm(f"Delete everything made from {names} in {settings.storage_root}? This cannot be undone.", abort=True)
    deleted = delete_source(source, settings)
    console.print(f"{', '.join(deleted.sources)}: {deleted.files} files removed")
    for name, count in deleted.releases.items():
        console.print(
            f"the release {name} still contains {count} images of it: remove its folder and make a new release", soft_wrap=True
        )
    for name in deleted.unreadable:
        console.print(f"the release {name} cannot be read: check it yourself", soft_wrap=True)
    if deleted.tasks:
        console.print(f"{deleted.tasks} tasks deleted in Label Studio", soft_wrap=True)
    if source in settings.sources:
        console.print(f"remove {source} from {catalog}, or the next ingest fetches it again", soft_wrap=True)
    if deleted.reason:
        numbers = ", ".join(map(str, deleted.task_ids))
        console.print(
            f"not all of its tasks in Label Studio could be deleted: {deleted.reason}", soft_wrap=True, markup=False
        )
        print_message(f"left are tasks {numbers}: then run `figureground forget {source} --yes` again")
        raise typer.Exit(1)
