"""The command line. Every command reports what it did; an error is one message on stderr and exit code 1."""

import sys
from typing import Annotated

import typer

from figureground import __version__
from figureground.errors import FiguregroundError
from figureground.shortage import describe_shortage, find_shortage
from flows.cli import annotation, data, models, operation, releases, set_up
from flows.cli.output import error_console, print_error
from flows.cli.streams import make_streams_tolerant
from flows.scheduling.interruption import Interrupted, end_process
from flows.scheduling.log_records import format_traceback

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


def _print_unexpected(_type: type[BaseException], error: BaseException, _traceback: object) -> None:
    """Print what nobody expected as Python does, except that no secret and no control sequence in it reaches the terminal."""
    error_console.print(format_traceback(error), soft_wrap=True, markup=False, highlight=False)


def main() -> None:
    """Run the command line.

    A `FiguregroundError`, and a lack of memory and the like, become one message and exit code 1; a signal 128 and its number.
    """
    make_streams_tolerant()
    sys.excepthook = _print_unexpected
    try:
        app()
    except Interrupted:
        end_process()
    except FiguregroundError as error:
        print_error(str(error), error)
        raise SystemExit(1) from None
    except Exception as error:
        if not (lacking := find_shortage(error)):
            raise
        print_error(describe_shortage(lacking, error), error)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
