"""Commands that exchange crops and labels with Label Studio."""

from typing import Annotated

import typer

from flows.cli.options import CATALOG, CatalogFile, SourceNames, Verbose, open_catalog
from flows.cli.output import console, print_message, report_failures, running_flow

PANEL = "Annotation"

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL)
def push(sources: SourceNames = None, catalog: CatalogFile = CATALOG, verbose: Verbose = False) -> None:
    """Create a task in Label Studio for every pre-annotated crop, exactly once."""
    settings = open_catalog(catalog, verbose)
    from flows.annotate import push_all
    from tasks.datasets.summarise import summarise

    with running_flow():
        outcomes = push_all(str(catalog), sources)
    for outcome in outcomes:
        if not outcome.error:
            console.print(f"{outcome.source_id}: {summarise(outcome.source_id, settings).pushed} tasks in Label Studio")
    report_failures(outcomes)


@commands.command(rich_help_panel=PANEL)
def pull(sources: SourceNames = None, catalog: CatalogFile = CATALOG, verbose: Verbose = False) -> None:
    """Download the annotations from Label Studio as labels."""
    settings = open_catalog(catalog, verbose)
    from flows.annotate import pull_all
    from tasks.datasets.summarise import summarise

    with running_flow():
        outcomes = pull_all(str(catalog), sources)
    for outcome in outcomes:
        if not outcome.error:
            funnel = summarise(outcome.source_id, settings)
            console.print(
                f"{outcome.source_id}: {funnel.labelled} of {funnel.pushed} tasks labelled, "
                f"{funnel.rejected.total()} of them rejected"
            )
    report_failures(outcomes)


@commands.command(rich_help_panel=PANEL)
def webhook(
    catalog: CatalogFile = CATALOG,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The port to listen on.")] = 8090,
    address: Annotated[str, typer.Option("--address", metavar="URL", help="The URL at which Label Studio reaches it.")] = "",
    every: Annotated[
        float, typer.Option("--every", min=0.1, metavar="MINUTES", help="Also pull this often, without a message.")
    ] = 15.0,
    verbose: Verbose = False,
) -> None:
    """Pull whenever Label Studio's webhook reports an annotation, and at regular intervals, until stopped."""
    open_catalog(catalog, verbose)
    from flows.scheduling.webhook import receive_webhooks

    receive_webhooks(catalog, host=host, port=port, address=address, every_minutes=every, say=print_message)


@commands.command("annotation-stats", rich_help_panel=PANEL)
def annotation_stats(catalog: CatalogFile = CATALOG, verbose: Verbose = False) -> None:
    """Measure whether pre-annotation saves time: per scene, remover and annotator, with charts."""
    settings = open_catalog(catalog, verbose, runs=False)
    from figureground.reports.annotation_statistics import describe_gate
    from tasks.annotation.annotation_stats import report_annotation_statistics

    page, statistics = report_annotation_statistics(settings)
    for row in statistics.scenes:
        ratio = f"correcting takes {row.gate.ratio.estimate:.2f} times as long as drawing; " if row.gate.ratio else ""
        print_message(f"{row.name} ({row.remover}): {ratio}{describe_gate(row, statistics)}")
    console.print(f"charts: {page}", soft_wrap=True)
