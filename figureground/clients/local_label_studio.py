"""A local Label Studio: start it, stop it, check whether it runs.

It lives in an environment of its own and keeps everything in ``<storage>/.studio``: its database, its log, the token
and password made for it, and which process it is. Those two files are readable by their owner only.
"""

import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from filelock import FileLock, Timeout

from figureground import progress
from figureground.catalog import Catalog
from figureground.clients import label_studio_template, studio_guard
from figureground.errors import FiguregroundError
from figureground.storage.atomic import write_file
from figureground.storage.processes import start_time
from figureground.storage.store import Store

HOST = "127.0.0.1"
USERNAME = "admin@figureground.local"
USUAL_PORT = 8080
_BOOT_SECONDS = 420  # the very first start compiles all its code: on two cores with a load of 8 it took more than 180
_STOP_SECONDS = 10
_FOREIGN = ("LABEL_STUDIO_", "HEARTEX_", "POSTGRE_", "DJANGO_", "PYTHON", "VIRTUAL_ENV")

_log = logging.getLogger(__name__)
_started: "dict[int, subprocess.Popen[bytes]]" = {}


class _PortTakenError(FiguregroundError):
    """Another program took the port while Label Studio was starting, which takes it a while."""


@dataclass(frozen=True, slots=True)
class Studio:
    """A running local Label Studio. Printing it shows no secret."""

    url: str
    username: str
    password: str = field(repr=False)
    token: str = field(repr=False)
    pid: int


def start(catalog: Catalog, port: int | None = None) -> Studio:
    """Start the local Label Studio, or give the one that runs.

    It runs on after this process has ended; `stop` stops it.

    Parameters
    ----------
    catalog
        Gives the storage whose images it serves; of a storage behind a URL the copies that `tasks.annotation.push` keeps in
        ``local``.
    port
        Where it listens; None takes 8080, or any free port when that is in use.

    Returns
    -------
    Studio
        It accepts requests when this returns.

    Raises
    ------
    FiguregroundError
        When it is not installed, the port is in use, it runs on another port, or it does not come up.
    """
    home = _home(catalog)
    with _lock(home):
        if studio := find_running(catalog):
            if port is not None and studio.url != _url(port):
                raise FiguregroundError(
                    f"the local Label Studio runs at {studio.url}, not on port {port}; "
                    "run `figureground studio down` first, or leave the port out"
                )
            return studio
        executable = _executable()
        try:
            return _start(home, executable, _choose_port(port), catalog)
        except _PortTakenError as error:
            if port is not None:
                raise
            _log.info("%s; taking another port", error)
            return _start(home, executable, find_free_port(), catalog)


def stop(catalog: Catalog) -> bool:
    """Stop the local Label Studio: terminated first, killed when that has no effect.

    Returns
    -------
    bool
        Whether there was one.
    """
    home = _home(catalog)
    with _lock(home):
        process = _find_process(home)
        if process is None:
            return False
        _stop(process[0])
        (home / "process.json").unlink(missing_ok=True)
        return True


def find_running(catalog: Catalog) -> Studio | None:
    """Find the local Label Studio, if the process is the one that was started and it answers."""
    home = _home(catalog)
    process = _find_process(home)
    if process is None or not _is_healthy(_url(process[1])):
        return None
    return _studio(home, *process)


def find_token(catalog: Catalog, url: str) -> str | None:
    """Give the local Label Studio's token when `url` is its address, else None."""
    home = _home(catalog)
    process = _find_process(home)
    if process is None or _normalise(url) != _url(process[1]):
        return None
    return _read_secret(home / "token")


def is_local(catalog: Catalog) -> bool:
    """Tell whether the catalog's server was started on this machine once, whether it runs now or not."""
    here = httpx.URL(catalog.label_studio.url).host in (HOST, "localhost")
    return here and (_home(catalog) / "token").exists()


def let_through(catalog: Catalog, address: str) -> contextlib.AbstractContextManager[None]:
    """Let the local Label Studio, if the catalog's is one, reach a receiver on this machine while the block lasts.

    Parameters
    ----------
    catalog
        Gives the server and its storage.
    address
        The receiver's ``http(s)://HOST:PORT/``.
    """
    return studio_guard.let_through(_home(catalog), address) if is_local(catalog) else contextlib.nullcontext()


def served_crops(catalog: Catalog) -> Path:
    """Give the folder of the crops as the catalog's server sees it.

    The server we start sees a folder that holds nothing but a link to the crops: whoever may label may also ask it for any file
    below its document root, and the storage has tables, releases, and the server's own secrets. The port does not matter: the
    catalog's address may be that of a proxy before the server.
    """
    home = _home(catalog)
    if is_local(catalog) and _find_process(home) is not None:
        return _served_folder(home) / "crops"
    return Store(catalog.storage_root).served_path("crops")


def _served_folder(home: Path) -> Path:
    return home / "served"


def _make_served_folder(home: Path, catalog: Catalog) -> Path:
    served, crops = _served_folder(home), Store(catalog.storage_root).served_path("crops")
    served.mkdir(mode=0o700, exist_ok=True)
    link, target = served / "crops", os.path.relpath(crops, served)
    if not (link.is_symlink() and str(link.readlink()) == target):
        link.unlink(missing_ok=True)
        link.symlink_to(target, target_is_directory=True)
    return served


def _home(catalog: Catalog) -> Path:
    return Store(catalog.storage_root).path(".studio")


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def _normalise(url: str) -> str:
    return url.rstrip("/").replace("//localhost", f"//{HOST}")


@contextlib.contextmanager
def _lock(home: Path) -> Iterator[None]:
    """Let one command at a time start or stop the server."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(home / "lock", timeout=_BOOT_SECONDS):
            yield
    except Timeout as error:
        raise FiguregroundError(f"another command is starting or stopping Label Studio ({home}); try again") from error
    except OSError as error:
        raise FiguregroundError(f"cannot keep Label Studio's files in {home}: {error}; make the folder writable") from error


def _executable() -> Path:
    # Beside the environment that runs this program. Folders above a catalog are not searched: others may write to them.
    path = Path(os.environ.get("FIGUREGROUND_STUDIO") or Path(sys.prefix).parent / ".venv-studio/bin/label-studio")
    if not os.access(path, os.X_OK):
        raise FiguregroundError(
            f"Label Studio is not installed: no program {path}. Run `make studio`, which gives it an environment of its "
            "own, or set FIGUREGROUND_STUDIO to a label-studio program"
        )
    return path


def _choose_port(port: int | None) -> int:
    """Give the port to listen on. Label Studio itself silently takes the next one, see `_listening_ports`."""
    if port is None:
        return USUAL_PORT if not _is_taken(USUAL_PORT) else find_free_port()
    if _is_taken(port):
        raise _in_use(port)
    return port


def _in_use(port: int) -> _PortTakenError:
    return _PortTakenError(
        f"port {port} is in use by another program; stop that one, choose another with --port, "
        "or leave the port out to take any free one"
    )


def _is_taken(port: int) -> bool:
    """Tell whether a port is taken: a program answers there, or it cannot be bound."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def find_free_port() -> int:
    """Find a port that no program listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _start(home: Path, executable: Path, port: int, catalog: Catalog) -> Studio:
    for name, length in (("token", 20), ("password", 8)):
        if not (home / name).exists():
            _write_secret(home / name, secrets.token_hex(length))
    environment = _environment(home, catalog) | studio_guard.make_environment(home, port)
    label_studio_template.lay(home, executable, environment)
    where = ["--data-dir", str(home), "--internal-host", HOST, "--port", str(port)]
    log = home / "studio.log"
    try:
        with log.open("wb") as output:
            child = subprocess.Popen(
                [executable, "start", "--no-browser", *where],
                env=environment,
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise FiguregroundError(f"cannot run {executable}: {error}; run `make studio` again") from error
    _started[child.pid] = child
    try:
        state = {"pid": child.pid, "started": start_time(child.pid), "port": port}
        write_file(home / "process.json", json.dumps(state).encode())
        _wait(child, port, log)
        return _check_token(_studio(home, child.pid, port), home)
    except BaseException:
        _stop(child.pid)
        (home / "process.json").unlink(missing_ok=True)
        raise


def _environment(home: Path, catalog: Catalog) -> dict[str, str]:
    """Make the server's settings. Secrets are passed as environment variables: every user can read a command line."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return kept | {
        "LABEL_STUDIO_USERNAME": USERNAME,
        "LABEL_STUDIO_PASSWORD": _read_secret(home / "password"),
        "LABEL_STUDIO_USER_TOKEN": _read_secret(home / "token"),
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_HOST": "",
        "LOCAL_FILES_SERVING_ENABLED": "true",
        "LOCAL_FILES_DOCUMENT_ROOT": str(_make_served_folder(home, catalog)),
        "DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "fflag_feat_utc_210_prediction_validation_15082025": "true",
    }


def _wait(child: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Wait until it answers; the first start creates a database and takes longest."""
    start = time.monotonic()
    while True:
        ports = _listening_ports(child.pid)
        if port in ports and _is_healthy(_url(port)):
            return
        seconds = int(time.monotonic() - start)
        ended = child.poll() is not None
        if (ports and port not in ports) or (ended and _is_taken(port)):
            raise _in_use(port)
        if ended:
            raise FiguregroundError(f"Label Studio ended with code {child.returncode} while starting.{_describe_log(log)}")
        if seconds > _BOOT_SECONDS:
            raise FiguregroundError(f"Label Studio did not answer on port {port} within {_BOOT_SECONDS} s.{_describe_log(log)}")
        progress.report("studio", "", seconds, 0)
        time.sleep(0.2)


def _listening_ports(pid: int) -> set[int]:
    """Find the ports that a process and its children listen on: another program may answer on ours."""
    try:
        own = psutil.Process(pid)
        family = [own, *own.children(recursive=True)]
        sockets = [socket for process in family for socket in process.net_connections("tcp")]
        return {socket.laddr.port for socket in sockets if socket.status == psutil.CONN_LISTEN}
    except psutil.NoSuchProcess:
        return set()


def _describe_log(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
    return f" The end of its log ({log}):\n" + "\n".join(f"    {line}" for line in lines)


def _check_token(studio: Studio, home: Path) -> Studio:
    """Check that the server is ours: it knows our token."""
    reply = httpx.get(
        f"{studio.url}/api/current-user/whoami",
        headers={"Authorization": f"Token {studio.token}"},
        timeout=30,
        trust_env=False,
    )
    if reply.status_code != 200:
        raise FiguregroundError(
            f"the Label Studio at {studio.url} does not know the token in {home / 'token'} (answer {reply.status_code}): "
            f"its database was made with another one. Put that token back, or move {home} away to begin afresh"
        )
    _log.info("Label Studio answers at %s (process %d)", studio.url, studio.pid)
    return studio


def _studio(home: Path, pid: int, port: int) -> Studio:
    return Studio(_url(port), USERNAME, _read_secret(home / "password"), _read_secret(home / "token"), pid)


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _write_secret(path: Path, secret: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(secret)


def _read_secret(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise FiguregroundError(f"cannot read Label Studio's {path.name} in {path}: {error}") from error


def _find_process(home: Path) -> tuple[int, int] | None:
    """Find the pid and port of the process that was started, if it still runs: pids are reused."""
    try:
        state = json.loads((home / "process.json").read_text(encoding="utf-8"))
        pid, started, port = int(state["pid"]), str(state["started"]), int(state["port"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (pid, port) if started and start_time(pid) == started else None


def _stop(pid: int) -> None:
    """End a process and its children; it leads its own session."""
    for sign, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, sign)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            gone = _started[pid].poll() is not None if pid in _started else not start_time(pid)
            if gone:
                _started.pop(pid, None)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                return
            time.sleep(0.05)
    raise FiguregroundError(f"Label Studio (process {pid}) does not end, not even when killed; look at it with `ps {pid}`")
