"""Label Studio's empty database: a new home then starts in seconds.

It holds tables and no users: those are created by the first start of each home.
"""

from collections.abc import Mapping
from pathlib import Path

from figureground.storage import database_template

DATABASE = "label_studio.sqlite3"


def lay(home: Path, executable: Path, environment: Mapping[str, str]) -> None:
    """Put an empty database into a home that has none, if the version of the installation is known.

    Parameters
    ----------
    home
        Label Studio's folder.
    executable
        The label-studio program; its version is read from the packages of its environment.
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
    if packages is None or not python.exists():
        return
    version = packages.name.removesuffix(".dist-info")
    command = [str(python), str(packages.parent / "label_studio/manage.py"), "migrate", "--no-input", "-v", "0"]
    database_template.create_database(
        home / DATABASE, "Label Studio", version, command, environment, "LABEL_STUDIO_BASE_DATA_DIR"
    )
