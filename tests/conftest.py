import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.material import (  # noqa: F401  fixtures that tests of several folders use
    alpha_of,
    catalog,
    labelled,
    learnt,
    make_catalog,
    make_material,
    real,
    real_studio,
    studio_folder,
    write_down,
)
from tests.ports import free_port

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def pillow_stays_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that imports ultralytics leaves Pillow's open behind as it was: ultralytics puts in its own."""
    import PIL.Image

    monkeypatch.setattr(PIL.Image, "open", PIL.Image.open)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API of a Prefect server for all commands of this process: each that starts its own takes some seconds more."""
    from flows.scheduling.engine import create_tables, is_healthy

    port, home = free_port(), tmp_path_factory.mktemp("prefect")
    create_tables(home)
    own = {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | own)
    address, until = f"http://127.0.0.1:{port}/api", time.monotonic() + 300
    try:
        while not is_healthy(address):
            assert process.poll() is None and time.monotonic() < until, "Prefect's server did not come up"
            time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest) -> Run:
    """The command line in a process of its own; ``alone`` it starts a Prefect server of its own, as on a user's machine."""

    def go(
        *arguments: str, cwd: Path, expect: int | None = 0, alone: bool = False, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        shared = {} if alone else {"PREFECT_API_URL": request.getfixturevalue("prefect_server")}
        found = subprocess.run(
            [sys.executable, "-m", "flows.cli", *arguments],
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=900,
            env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | shared | environment,
        )
        assert expect is None or found.returncode == expect, (
            f"{arguments} exited {found.returncode}\n{found.stdout}\n{found.stderr}"
        )
        return found

    return go


@pytest.fixture(scope="session")
def studio_executable() -> str:
    """The Label Studio that `make studio` installed, or the one of $FIGUREGROUND_STUDIO."""
    return os.environ.get("FIGUREGROUND_STUDIO") or str(ROOT / ".venv-studio/bin/label-studio")


@pytest.fixture(scope="session")
def chromium_with() -> Iterator[Callable[..., Any]]:
    """Start the system's Chromium with arguments, without a window. Only one Playwright may run in a process."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine; Debian's package is called chromium")
    with sync_playwright() as playwright:
        yield lambda *more: playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--no-first-run", "--disable-gpu", *more]
        )


@pytest.fixture(scope="session")
def chromium(chromium_with: Callable[..., Any]) -> Iterator[Any]:
    """A Chromium without calls of its own to the outside."""
    browser = chromium_with(*(f"--disable-{what}" for what in ("quic", "background-networking", "component-update", "sync")))
    yield browser
    browser.close()


def snapshot(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Every file's hash, inode and time of change: equal only when nothing was written, not even the same bytes again."""
    told = {".studio", ".locks", "runs"}  # they tell of runs, and are no result of one
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not told & set(path.relative_to(folder).parts))
    return {str(path.relative_to(folder)): (digest(path), path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def contents(folder: Path) -> dict[str, str]:
    """Every file's hash."""
    return {name: found[0] for name, found in snapshot(folder).items()}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def folder_snapshot() -> Callable[[Path], dict[str, tuple[str, int, int]]]:
    return snapshot


@pytest.fixture(scope="session")
def folder_contents() -> Callable[[Path], dict[str, str]]:
    return contents


@pytest.fixture(scope="session")
def shared_videos() -> Path:
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data")
    return SHARED / "videos"


class Bucket:
    """An S3-speaking server with a bucket, see s3_server.py."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.environment = {"AWS_ENDPOINT_URL": address, "AWS_DEFAULT_REGION": "us-east-1"}
        self.environment |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}

    def behave(self, share: float, seed: int = 0) -> None:
        """Answer 503 to that share of the requests from now on, and count anew."""
        told = json.dumps({"share": share, "seed": seed}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.address}/_behave", told), timeout=10).close()

    def counts(self) -> dict[str, int]:
        """Tell what was asked since."""
        with urllib.request.urlopen(f"{self.address}/_counts", timeout=10) as answer:
            return dict(json.load(answer))


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[Bucket]:
    """A real process that speaks S3, on a free port; its bucket is called ``bucket``."""
    pytest.importorskip("moto")
    port = free_port()
    command, found = [sys.executable, str(ROOT / "tests/s3_server.py"), str(port)], Bucket(f"http://127.0.0.1:{port}")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            assert process.poll() is None, "the S3 server ended"
            with contextlib.suppress(OSError):
                found.behave(0)
                break
            time.sleep(0.2)
        made = urllib.request.Request(f"{found.address}/bucket", method="PUT")
        urllib.request.urlopen(made, timeout=30).close()
        yield found
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def postgres() -> Iterator[int]:
    """The port of a PostgreSQL of our own, owned by its user ``studio``. It refuses to run as root: root becomes postgres."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = programs[-1] if programs else shutil.which("initdb")
    if initdb is None:
        pytest.skip("no initdb: apt-get install -y postgresql")
    become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    ctl = Path(initdb).resolve().with_name("pg_ctl")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="figureground-pg-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        if become:
            shutil.chown(folder, "postgres")
        made = [*become, initdb, "-D", f"{folder}/d", "-U", "studio", "-A", "trust", "-E", "UTF8"]
        subprocess.run(made, check=True, cwd=folder)
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
        start = [*become, ctl, "-D", f"{folder}/d", "-l", f"{folder}/log", "-w", "-o", options, "start"]
        subprocess.run(start, check=True, cwd=folder)
        try:
            yield int(port)
        finally:
            subprocess.run([*become, ctl, "-D", f"{folder}/d", "-m", "immediate", "stop"], check=True, cwd=folder)
