"""Commands that set figureground up: the demo, the check of everything outside, a local Label Studio."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from figureground.errors import FiguregroundError
from flows.cli.options import CATALOG, CatalogFile, Verbose, open_catalog
from flows.cli.output import console, format_counts, print_funnels, running_flow

if TYPE_CHECKING:
    from flows.demo import DemoResult

PANEL = "Set-up"

commands = typer.Typer()
studio = typer.Typer(help="A local Label Studio server on this machine.", no_args_is_help=True)
commands.add_typer(studio, name="studio", rich_help_panel=PANEL)


@commands.command(rich_help_panel=PANEL)
def init(
    folder: Annotated[Path | None, typer.Argument(metavar="FOLDER", help="A folder with videos or photos.")] = None,
    license_name: Annotated[
        str | None, typer.Option("--license", metavar="NAME", help="What may be done with the footage, such as CC-BY-4.0.")
    ] = None,
    scenes: Annotated[
        list[str] | None, typer.Option("--scene", metavar="NAME", help="Where it was filmed, such as street; can be repeated.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="The name of the source; the folder's name if omitted.")] = "",
    catalog: CatalogFile = CATALOG,
) -> None:
    """Write a first catalog for a folder of videos or photos. Asks for what is not given."""
    from figureground.catalog import load, starter

    folder = folder or Path(_ask("Folder with videos or photos", "FOLDER"))
    contents = starter.count_files(folder)
    license_name = license_name or _ask("License of the footage, such as CC-BY-4.0, or `own` for your own", "--license NAME")
    text = starter.render(folder, contents, license_name, scenes or [], name, catalog.absolute().parent)
    starter.write(catalog, text)
    try:
        load(catalog, build_plugins=False)
    except FiguregroundError:
        catalog.unlink()
        raise
    console.print(f"{catalog} written: {contents.videos} videos, {contents.photos} photos", soft_wrap=True, markup=False)
    option = "" if catalog == CATALOG else f" --catalog {catalog}"
    console.print(f"next: figureground doctor --fetch{option}, then figureground ingest{option}", soft_wrap=True, markup=False)


def _ask(question: str, option: str) -> str:
    """Ask the person at the terminal; without a terminal, say which option is missing."""
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"missing {option}: there is no terminal to ask at")
    answer: str = typer.prompt(question)
    return answer


@commands.command(rich_help_panel=PANEL)
def demo(
    catalog: CatalogFile = CATALOG,
    keep: Annotated[bool, typer.Option("--keep", help="Leave Label Studio running.")] = False,
    verbose: Verbose = False,
) -> None:
    """Run the whole pipeline on the catalog's sources, with a local Label Studio and a simulated annotator."""
    open_catalog(catalog, verbose, reads_tables=False)
    from flows.demo import run_demo

    with running_flow():
        result = run_demo(catalog, keep=keep, announce=lambda text: console.print(f"[bold]{text}[/]"))
    print_funnels(result.funnels)
    _print_demo(result, keep)


def _print_demo(result: "DemoResult", keep: bool) -> None:
    release, catalog_file = result.release, result.catalog_file
    console.print(
        f"\nreleased and verified: [bold]{release.name}[/] ({format_counts(release.counts)})\n  {release.folder}",
        soft_wrap=True,
    )
    console.print(f"pipeline page: [bold]{result.page}[/]", soft_wrap=True)
    console.print(f"one contact sheet per source: {', '.join(map(str, result.contact_sheets))}", soft_wrap=True)
    if keep:
        server = result.studio
        console.print(
            f"Label Studio runs at {server.url}: log in as {server.username} with the password {server.password}",
            soft_wrap=True,
        )
        console.print(f"stop it with: figureground studio down --catalog {catalog_file}", soft_wrap=True)
    else:
        console.print(f"to label by hand: figureground studio up --catalog {catalog_file}", soft_wrap=True)
    console.print(
        f"then: figureground pull --catalog {catalog_file} && figureground release --note mine --catalog {catalog_file}",
        soft_wrap=True,
    )


@commands.command(rich_help_panel=PANEL)
def doctor(
    catalog: CatalogFile = CATALOG,
    fetch: Annotated[bool, typer.Option("--fetch", help="Download missing weights first.")] = False,
    verbose: Verbose = False,
) -> None:
    """Check the weights, the storage and Label Studio, and whether annotators can see the images."""
    settings = open_catalog(catalog, verbose, runs=False, reads_tables=False)
    from flows.ingest import fetch_weights
    from tasks.operation.doctor import examine

    if fetch:
        fetch_weights(settings)
    findings = examine(settings)
    for finding in findings:
        mark = "[green]ok  [/]" if finding.passed else "[red]fail[/]"
        console.print(f"{mark} {escape(finding.subject)}: {escape(finding.message)}", soft_wrap=True)
    if failed := [finding.subject for finding in findings if not finding.passed]:
        raise FiguregroundError(f"{len(failed)} of {len(findings)} checks failed: {', '.join(failed)}")


@studio.command("up")
def studio_up(
    catalog: CatalogFile = CATALOG,
    port: Annotated[int | None, typer.Option("--port", help="The port; 8080, or a free one, if omitted.")] = None,
    verbose: Verbose = False,
) -> None:
    """Start the local Label Studio and leave it running."""
    settings = open_catalog(catalog, verbose, runs=False, reads_tables=False)
    from figureground.clients.local_label_studio import start

    with console.status("starting Label Studio (the first start takes a minute)"):
        server = start(settings, port)
    console.print(
        f"Label Studio runs at {server.url}: log in as {server.username} with the password {server.password}", soft_wrap=True
    )
    if server.url != settings.label_studio.url.rstrip("/"):
        console.print(f"set label_studio.url to {server.url} before you push: the catalog has {settings.label_studio.url}")


@studio.command("down")
def studio_down(catalog: CatalogFile = CATALOG, verbose: Verbose = False) -> None:
    """Stop the local Label Studio."""
    settings = open_catalog(catalog, verbose, runs=False, reads_tables=False)
    from figureground.clients.local_label_studio import stop

    console.print("stopped" if stop(settings) else "it was not running")
