"""Template databases of the servers we start, made once for each of their versions: a new server then starts in seconds."""

import logging
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from figureground.errors import FiguregroundError, StoreError
from figureground.storage.assets import cache_folder
from figureground.storage.atomic import write_beside

_log = logging.getLogger(__name__)


def create_database(
    database: Path, program: str, version: str, command: Sequence[str], environment: Mapping[str, str], home: str
) -> None:
    """Create a program's empty database from the template in the cache; the program itself makes the template, once.

    Parameters
    ----------
    database
        The file; its folder exists. An existing database stays as it is.
    program, version
        The program that the database belongs to.
    command
        Makes the database, under the file's own name, in the folder that the variable `home` names.
    environment
        The environment of the command, without `home`.
    home
        The name of that variable.

    Raises
    ------
    FiguregroundError
        When the command fails.
    StoreError
        When the cache or the file cannot be written.
    """
    if database.exists():
        return
    template = cache_folder() / "blank" / f"{version}{database.suffix}"
    try:
        template.parent.mkdir(parents=True, exist_ok=True)
        # without the lock a second process could copy the template over a database that a server already writes to
        with FileLock(template.with_suffix(".lock")):
            if not template.exists():
                _log.info("making the tables of %s, once for this version", program)
                with tempfile.TemporaryDirectory(prefix="figureground-blank-") as folder:
                    _run(program, command, {**environment, home: folder}, folder)
                    _copy(Path(folder, database.name), template)
            if not database.exists():
                _copy(template, database)
    except OSError as error:
        raise StoreError(
            f"cannot keep the empty tables of {program} in {template.parent}, or copy them to {database.parent}: {error}; "
            "make both writable, or set FIGUREGROUND_CACHE"
        ) from error


def _run(program: str, command: Sequence[str], environment: Mapping[str, str], folder: str) -> None:
    process = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if process.returncode:
        raise FiguregroundError(
            f"{program} cannot make its tables ({' '.join(command)} ended with {process.returncode}); its last lines:\n"
            + "\n".join(f"    {line}" for line in (process.stderr or process.stdout).splitlines()[-12:])
        )


def _copy(file: Path, target: Path) -> None:
    with write_beside(target) as temporary:
        shutil.copyfile(file, temporary)
