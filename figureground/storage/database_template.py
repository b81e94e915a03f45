"""Empty databases of the programs we start, made once for each of their versions: a new home then starts in seconds."""

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
    """Put a program's empty database where none is; it is made by the program itself, once, and kept in the cache.

    Parameters
    ----------
    database
        The file, in a folder that is there. One that is there is left alone.
    program, version
        Whose database it is.
    command
        What makes the database, under the file's own name, in the folder that the variable `home` names.
    environment
        The command's, without `home`.
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
    kept = cache_folder() / "blank" / f"{version}{database.suffix}"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        # while it is held nobody else lays the same file, over one that a server has begun to write to
        with FileLock(kept.with_suffix(".lock")):
            if not kept.exists():
                _log.info("making the tables of %s, once for this version", program)
                with tempfile.TemporaryDirectory(prefix="figureground-blank-") as folder:
                    _made(program, command, {**environment, home: folder}, folder)
                    _copied(Path(folder, database.name), kept)
            if not database.exists():
                _copied(kept, database)
    except OSError as error:
        raise StoreError(
            f"cannot keep the empty tables of {program} in {kept.parent}, or lay them into {database.parent}: {error}; "
            "make both writable, or set FIGUREGROUND_CACHE"
        ) from error


def _made(program: str, command: Sequence[str], environment: Mapping[str, str], folder: str) -> None:
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FiguregroundError(
            f"{program} cannot make its tables ({' '.join(command)} ended with {done.returncode}); its last words:\n"
            + "\n".join(f"    {line}" for line in (done.stderr or done.stdout).splitlines()[-12:])
        )


def _copied(file: Path, to: Path) -> None:
    with write_beside(to) as temporary:
        shutil.copyfile(file, temporary)
