"""Label Studio's empty database, made once for each of its versions: a new home then starts in seconds.

It holds tables and nobody: who may come in is written by each home's own first start.
"""

import logging
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from figureground.assets import cache_folder
from figureground.errors import FiguregroundError, StoreError
from figureground.store import beside

DATABASE = "label_studio.sqlite3"

_log = logging.getLogger(__name__)


def lay(home: Path, executable: Path, environment: Mapping[str, str]) -> None:
    """Put an empty database into a home that has none, where the installation is one whose version can be told.

    Parameters
    ----------
    home
        Label Studio's folder.
    executable
        The label-studio program; its version is told by the packages of the environment it lies in.
    environment
        Of the server; where it names another database than SQLite, nothing is laid.

    Raises
    ------
    FiguregroundError
        When Label Studio cannot make its tables.
    StoreError
        When the cache or the home cannot be written to.
    """
    if environment.get("DJANGO_DB", "sqlite") != "sqlite":
        return
    root, python = executable.resolve().parents[1], executable.resolve().with_name("python")
    packages = next(iter(sorted(root.glob("lib/python3*/site-packages/label_studio-*.dist-info"))), None)
    if packages is None or not python.exists() or (home / DATABASE).exists():
        return
    kept = cache_folder() / "studio" / f"{packages.name.removesuffix('.dist-info')}.sqlite3"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(kept.with_suffix(".lock")):
            if not kept.exists():
                _make(kept, python, packages.parent / "label_studio/manage.py", environment)
    except OSError as error:
        raise StoreError(
            f"cannot keep Label Studio's empty tables in {kept.parent}: {error}; make it writable, or set FIGUREGROUND_CACHE"
        ) from error
    with beside(home / DATABASE) as temporary:
        shutil.copyfile(kept, temporary)


def _make(kept: Path, python: Path, manage: Path, environment: Mapping[str, str]) -> None:
    _log.info("making Label Studio's tables, once for this version")
    with tempfile.TemporaryDirectory(prefix="figureground-studio-") as folder:
        own = {"LABEL_STUDIO_BASE_DATA_DIR": folder}
        command = [str(python), str(manage), "migrate", "--no-input", "-v", "0"]
        done = subprocess.run(command, env={**environment, **own}, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FiguregroundError(
                f"Label Studio cannot make its tables ({' '.join(command)} ended with {done.returncode}); its last words:\n"
                + "\n".join(f"    {line}" for line in done.stderr.splitlines()[-12:])
            )
        with beside(kept) as temporary:
            shutil.copyfile(Path(folder, DATABASE), temporary)
