"""The command line. Every command reports what it did; an error is one message on stderr and exit code 1."""

import sys
import traceback
from typing import Annotated

import typer
from rich.markup import escape

from figureground import __version__
from figureground.errors import FiguregroundError
from figureground.shortage import describe_shortage, find_shortage
from flows.cli import annotation, data, models, operation, releases, set_up
from flows.cli.output import error_console
from flows.cli.streams import make_streams_tolerant
from flows.scheduling.interruption import Interrupted, end_process

app = typer.Typer(
    name="figureground",
    help="From community video to a released person-segmentation dataset.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
for group in (set_up, data, annotation, releases, models, operation):
    app.add_typer(group.commands)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"figureground {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line.

    A `FiguregroundError`, and a lack of memory and the like, become one message and exit code 1; a signal 128 and its number.
    """
    make_streams_tolerant()
    try:
        app()
    except Interrupted:
        end_process()
    except FiguregroundError as error:
        if "--verbose" in sys.argv:
            traceback.print_exc()
        error_console.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        raise SystemExit(1) from None
    except Exception as error:
        if not (lacking := find_shortage(error)):
            raise
        if "--verbose" in sys.argv:
            traceback.print_exc()
        error_console.print(f"[bold red]error:[/] {escape(describe_shortage(lacking, error))}", soft_wrap=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
