"""A local Label Studio: start it, stop it, ask whether it runs.

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
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from filelock import FileLock, Timeout

from figureground import progress
from figureground.catalog import Catalog
from figureground.clients import label_studio_template
from figureground.errors import FiguregroundError
from figureground.storage.atomic import write_file
from figureground.storage.processes import start_time
from figureground.storage.store import Store

HOST = "127.0.0.1"
USERNAME = "admin@figureground.local"
USUAL_PORT = 8080
_BOOT_SECONDS = 420  # the very first start compiles all its code: on two cores with a load of 8 it took more than 180
_STOP_SECONDS = 10
_PRIVATE = (
    "0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,169.254.0.0/16,172.16.0.0/12,192.0.0.0/24,192.0.2.0/24,192.88.99.0/24,"
    "192.168.0.0/16,198.18.0.0/15,198.51.100.0/24,203.0.113.0/24,224.0.0.0/4,240.0.0.0/4,::/128,::ffff:0:0/96,"
    "::ffff:0:0:0/96,64:ff9b::/96,64:ff9b:1::/48,100::/64,2001::/32,2001:20::/28,2001:db8::/32,2002::/16,fc00::/7,"
    "fe80::/10,ff00::/8"
)
_FOREIGN = ("LABEL_STUDIO_", "HEARTEX_", "POSTGRE_", "DJANGO_", "PYTHON", "VIRTUAL_ENV")

_log = logging.getLogger(__name__)
_children: "dict[int, subprocess.Popen[bytes]]" = {}


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


def up(catalog: Catalog, port: int | None = None) -> Studio:
    """Start the local Label Studio, or give the one that runs.

    It goes on after this process has ended; `down` stops it.

    Parameters
    ----------
    catalog
        Gives the storage, whose pictures it serves; of one behind a URL the copies that `tasks.annotation.push` keeps in
        ``local``.
    port
        Where it listens; None takes 8080, or any free port when that is in use.

    Returns
    -------
    Studio
        It answers when this returns.

    Raises
    ------
    FiguregroundError
        When it is not installed, the port is in use, it runs on another port, or it does not come up.
    """
    home = _home(catalog)
    with _alone(home):
        if studio := running(catalog):
            if port is not None and studio.url != _url(port):
                raise FiguregroundError(
                    f"the local Label Studio runs at {studio.url}, not on port {port}; "
                    "run `figureground studio down` first, or leave the port out"
                )
            return studio
        executable = _executable(catalog)
        try:
            return _start(home, executable, _free(port), catalog)
        except _PortTakenError as error:
            if port is not None:
                raise
            _log.info("%s; taking another port", error)
            return _start(home, executable, _any_port(), catalog)


def down(catalog: Catalog) -> bool:
    """Stop the local Label Studio: asked first, killed when it does not hear.

    Returns
    -------
    bool
        Whether there was one.
    """
    home = _home(catalog)
    with _alone(home):
        process = _process(home)
        if process is None:
            return False
        _stop(process[0])
        (home / "process.json").unlink(missing_ok=True)
        return True


def running(catalog: Catalog) -> Studio | None:
    """Give the local Label Studio when its process is the one we started and it answers."""
    home = _home(catalog)
    process = _process(home)
    if process is None or not _healthy(_url(process[1])):
        return None
    return _studio(home, *process)


def token(catalog: Catalog, url: str) -> str | None:
    """Give the local Label Studio's token when `url` is its address, else None."""
    home = _home(catalog)
    process = _process(home)
    if process is None or _plain(url) != _url(process[1]):
        return None
    return _read_secret(home / "token")


def local(catalog: Catalog) -> bool:
    """Tell whether the catalog's server is one that was started here once, whether it runs or not."""
    here = httpx.URL(catalog.label_studio.url).host in (HOST, "localhost")
    return here and (_home(catalog) / "token").exists()


def _home(catalog: Catalog) -> Path:
    return Store(catalog.storage_root).path(".studio")


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def _plain(url: str) -> str:
    return url.rstrip("/").replace("//localhost", f"//{HOST}")


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Let one command at a time start or stop it."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(home / "lock", timeout=_BOOT_SECONDS):
            yield
    except Timeout as error:
        raise FiguregroundError(f"another command is starting or stopping Label Studio ({home}); try again") from error
    except OSError as error:
        raise FiguregroundError(f"cannot keep Label Studio's files in {home}: {error}; make the folder writable") from error


def _executable(catalog: Catalog) -> Path:
    near = [folder / ".venv-studio/bin/label-studio" for folder in (catalog.folder, *catalog.folder.parents)]
    path = Path(os.environ.get("FIGUREGROUND_STUDIO") or next((path for path in near if path.exists()), near[0]))
    if not os.access(path, os.X_OK):
        raise FiguregroundError(
            f"Label Studio is not installed: no program {path}. Run `make studio`, which gives it an environment of its "
            "own, or set FIGUREGROUND_STUDIO to a label-studio program"
        )
    return path


def _free(port: int | None) -> int:
    """Give the port to listen on. Label Studio itself silently takes the next one, see `_heard`."""
    if port is None:
        return USUAL_PORT if not _taken(USUAL_PORT) else _any_port()
    if _taken(port):
        raise _in_use(port)
    return port


def _in_use(port: int) -> _PortTakenError:
    return _PortTakenError(
        f"port {port} is in use by another program; stop that one, choose another with --port, "
        "or leave the port out to take any free one"
    )


def _taken(port: int) -> bool:
    """Tell whether a port is taken: someone answers there, or it cannot be bound."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _start(home: Path, executable: Path, port: int, catalog: Catalog) -> Studio:
    for name, length in (("token", 20), ("password", 8)):
        if not (home / name).exists():
            _write_secret(home / name, secrets.token_hex(length))
    environment = _environment(home, catalog)
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
    _children[child.pid] = child
    try:
        state = {"pid": child.pid, "started": start_time(child.pid), "port": port}
        write_file(home / "process.json", json.dumps(state).encode())
        _wait(child, port, log)
        return _proven(_studio(home, child.pid, port), home)
    except BaseException:
        _stop(child.pid)
        (home / "process.json").unlink(missing_ok=True)
        raise


def _environment(home: Path, catalog: Catalog) -> dict[str, str]:
    """Give the server's settings. Secrets go this way because everybody can read a command line."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return kept | {
        "LABEL_STUDIO_USERNAME": USERNAME,
        "LABEL_STUDIO_PASSWORD": _read_secret(home / "password"),
        "LABEL_STUDIO_USER_TOKEN": _read_secret(home / "token"),
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_HOST": "",
        "LOCAL_FILES_SERVING_ENABLED": "true",
        "LOCAL_FILES_DOCUMENT_ROOT": str(Store(catalog.storage_root).served("crops").parent),
        "DISABLE_SIGNUP_WITHOUT_LINK": "true",
        # a webhook may go to this machine, and still to no other private address
        "USE_DEFAULT_BANNED_SUBNETS": "false",
        "USER_ADDITIONAL_BANNED_SUBNETS": _PRIVATE,
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "fflag_feat_utc_210_prediction_validation_15082025": "true",
    }


def _wait(child: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Wait until it answers; its first start makes a database and takes longest."""
    start = time.monotonic()
    while True:
        heard = _heard(child.pid)
        if port in heard and _healthy(_url(port)):
            return
        seconds = int(time.monotonic() - start)
        ended = child.poll() is not None
        if (heard and port not in heard) or (ended and _taken(port)):
            raise _in_use(port)
        if ended:
            raise FiguregroundError(f"Label Studio ended with code {child.returncode} while starting.{_tail(log)}")
        if seconds > _BOOT_SECONDS:
            raise FiguregroundError(f"Label Studio did not answer on port {port} within {_BOOT_SECONDS} s.{_tail(log)}")
        progress.report("studio", "", seconds, 0)
        time.sleep(0.2)


def _heard(pid: int) -> set[int]:
    """Give the ports a process and what it started listen on: who answers on ours may be another program."""
    try:
        own = psutil.Process(pid)
        everyone = [own, *own.children(recursive=True)]
        return {one.laddr.port for each in everyone for one in each.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
    except psutil.NoSuchProcess:
        return set()


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
    return f" Its last words (all of them: {log}):\n" + "\n".join(f"    {line}" for line in lines)


def _proven(studio: Studio, home: Path) -> Studio:
    """Make sure that the one who answers is ours: it knows our token."""
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


def _healthy(url: str) -> bool:
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


def _process(home: Path) -> tuple[int, int] | None:
    """Give the pid and port of the process we started, when it is still that one: pids are used again."""
    try:
        state = json.loads((home / "process.json").read_text(encoding="utf-8"))
        pid, started, port = int(state["pid"]), str(state["started"]), int(state["port"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (pid, port) if started and start_time(pid) == started else None


def _stop(pid: int) -> None:
    """End a process and all it started; it leads its own session."""
    for sign, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, sign)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            gone = _children[pid].poll() is not None if pid in _children else not start_time(pid)
            if gone:
                _children.pop(pid, None)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                return
            time.sleep(0.05)
    raise FiguregroundError(f"Label Studio (process {pid}) does not end, not even when killed; look at it with `ps {pid}`")
