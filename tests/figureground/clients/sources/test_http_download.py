"""Direct links against a web server on this machine: carried on, bounded, paced, and never led to a private host."""

import importlib.util
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from figureground.clients.sources import transfer
from figureground.clients.sources.host_allowlist import HostAllowlist, HostError
from figureground.clients.sources.http_download import download
from figureground.clients.sources.transfer import TransferLimits, remove_abandoned_downloads
from figureground.errors import SourceError, TransientError

pytestmark = pytest.mark.slow

HERE = Path(__file__).parents[3] / "clip_server.py"
CLIP = bytes(range(256)) * 1200


@pytest.fixture(scope="module")
def clip_server() -> Any:
    spec = importlib.util.spec_from_file_location("clip_server", HERE)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules["clip_server"] = module
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


@pytest.fixture
def site(clip_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
    with clip_server.serving() as found:
        found.files["/clip.mp4"] = CLIP
        yield found


@pytest.fixture
def bring(site: Any, tmp_path: Path) -> Callable[..., bytes]:
    def go(path: str = "/clip.mp4", allow: str = "127.0.0.1", at_most: int = 10**7, pace: int | None = None) -> bytes:
        url = path if "://" in path else site.url + path
        download(url, tmp_path / "out", TransferLimits(HostAllowlist.of([allow]), at_most, pace), lambda *_: None)
        return (tmp_path / "out").read_bytes()

    return go


def left(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_cut_connection_is_carried_on_with_the_rest_only(site: Any, bring: Callable[..., bytes], tmp_path: Path) -> None:
    site.cut_after["/clip.mp4"] = 100_000
    with pytest.raises(TransientError, match=r"/clip\.mp4: the transfer broke off .*run again"):
        bring()
    assert not (tmp_path / "out").exists()
    site.cut_after.clear(), site.statuses.clear(), site.asked.clear(), site.sent.clear()

    assert bring() == CLIP
    assert site.asked_for("/clip.mp4") == ["bytes=100000-"]
    assert site.sent["/clip.mp4"] == len(CLIP) - 100_000
    assert not left(tmp_path)


def test_half_of_a_file_that_was_replaced_is_dropped(site: Any, bring: Callable[..., bytes]) -> None:
    site.cut_after["/clip.mp4"] = 100_000
    with pytest.raises(TransientError):
        bring()
    site.cut_after.clear(), site.statuses.clear()
    site.files["/clip.mp4"] = other = CLIP[::-1]
    assert bring() == other


def test_without_a_validator_it_begins_anew(site: Any, bring: Callable[..., bytes]) -> None:
    site.untagged = True
    site.cut_after["/clip.mp4"] = 100_000
    with pytest.raises(TransientError):
        bring()
    site.cut_after.clear(), site.statuses.clear(), site.asked.clear()
    assert bring() == CLIP
    assert site.asked_for("/clip.mp4") == [""]


@pytest.mark.parametrize("unsized", [False, True])
def test_a_file_that_is_too_large_is_refused_before_or_during_the_download(
    site: Any, bring: Callable[..., bytes], tmp_path: Path, unsized: bool
) -> None:
    if unsized:
        site.unsized.add("/clip.mp4")
        site.files["/clip.mp4"] = CLIP * 200  # more than what socket buffers swallow
    with pytest.raises(SourceError, match=r"/clip\.mp4: too big: expected at most 50000 bytes.*limits\.bytes_at_most"):
        bring(at_most=50_000)
    assert not left(tmp_path)
    assert not (tmp_path / "out").exists()
    assert site.sent.get("/clip.mp4", 0) < len(site.files["/clip.mp4"]) or not unsized


def test_a_partial_download_is_removed_after_a_month(site: Any, bring: Callable[..., bytes], tmp_path: Path) -> None:
    site.cut_after["/clip.mp4"] = 100_000
    with pytest.raises(TransientError):
        bring()
    remove_abandoned_downloads()
    assert left(tmp_path)
    [folder] = (tmp_path / "cache/unfinished").glob("*/")
    for path in (*folder.iterdir(), folder):
        os.utime(path, (1, 1))
    remove_abandoned_downloads()
    assert not left(tmp_path)


def test_a_very_slow_server_is_given_up(site: Any, bring: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PATIENCE_SECONDS", 0.3)
    site.dripping.add("/clip.mp4")
    begun = time.monotonic()
    with pytest.raises(TransientError, match=r"/clip\.mp4: the transfer broke off: \d+ bytes came in 0 seconds"):
        bring()
    assert time.monotonic() - begun < 30


def test_a_rate_is_kept(bring: Callable[..., bytes]) -> None:
    begun = time.monotonic()
    assert bring(pace=600_000) == CLIP
    assert time.monotonic() - begun > 0.8 * len(CLIP) / 600_000


@pytest.mark.parametrize("where", ["http://169.254.169.254/latest/meta-data/", "http://[::1]/", "http://10.0.0.1/a.mp4"])
def test_a_redirect_to_a_private_host_is_refused(site: Any, bring: Callable[..., bytes], where: str) -> None:
    site.redirects["/moved.mp4"] = where
    with pytest.raises(HostError, match=r"/moved\.mp4: .* is not a public host.*`allow_hosts:"):
        bring("/moved.mp4")


def test_a_redirect_to_another_port_of_a_name_that_was_not_allowed_is_refused(site: Any, bring: Callable[..., bytes]) -> None:
    site.redirects["/moved.mp4"] = f"http://localhost:{site.port}/clip.mp4"
    with pytest.raises(HostError, match=r"localhost \("):
        bring("/moved.mp4")
    assert not site.asked_for("/clip.mp4")


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://127.0.0.1/a"])
def test_a_redirect_off_the_web_is_refused(site: Any, bring: Callable[..., bytes], where: str) -> None:
    site.redirects["/moved.mp4"] = where
    with pytest.raises(SourceError, match="which is not an address on the web"):
        bring("/moved.mp4")


def test_a_circle_of_redirects_ends(site: Any, bring: Callable[..., bytes]) -> None:
    site.redirects["/a"], site.redirects["/b"] = "/b", "/a"
    with pytest.raises(SourceError, match="redirects more than 10 times"):
        bring("/a")


def test_a_name_that_resolves_to_this_machine_is_refused(
    site: Any, bring: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more: real("127.0.0.1" if host == "evil.example" else host, *more))
    with pytest.raises(HostError, match=r"evil\.example \(127\.0\.0\.1\)"):
        bring(f"http://evil.example:{site.port}/clip.mp4")
    assert not site.asked
    assert bring(f"http://evil.example:{site.port}/clip.mp4", allow="evil.example") == CLIP


def test_a_proxy_does_not_open_private_hosts(site: Any, bring: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", site.url)
    with pytest.raises(HostError):
        bring("http://169.254.169.254/clip.mp4")
    assert not site.asked
    with pytest.raises(SourceError, match="404"):
        bring("http://only-the-proxy-knows.invalid/clip.mp4")
    assert [path for _, path, _ in site.asked] == ["http://only-the-proxy-knows.invalid/clip.mp4"]


def test_a_password_is_not_taken_along_to_another_host(site: Any, tmp_path: Path) -> None:
    site.redirects["/moved.mp4"] = f"http://localhost:{site.port}/clip.mp4"
    url = site.url.replace("//", "//me:s3cret@") + "/moved.mp4"
    download(url, tmp_path / "out", TransferLimits(HostAllowlist.of(["127.0.0.1", "localhost"]), 10**7), lambda *_: None)
    assert site.passwords["/moved.mp4"] and not site.passwords["/clip.mp4"]


def test_https_is_checked_by_the_name_although_a_number_is_connected_to(
    tmp_path: Path, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine")
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    named = ["-subj", "/CN=media.test", "-addext", "subjectAltName=DNS:media.test"]
    subprocess.run([*new, *named, "-keyout", "key.pem", "-out", "cert.pem"], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more: real("127.0.0.1", *more))
    site.server.socket = context.wrap_socket(site.server.socket, server_side=True)
    rules = TransferLimits(HostAllowlist.of(["media.test", "other.test"]), 10**7)

    download(f"https://media.test:{site.port}/clip.mp4", tmp_path / "out", rules, lambda *_: None)
    assert (tmp_path / "out").read_bytes() == CLIP
    with pytest.raises(SourceError, match=r"cannot be reached .*(?i:certificate|hostname)"):
        download(f"https://other.test:{site.port}/clip.mp4", tmp_path / "out", rules, lambda *_: None)


def test_no_secret_is_printed(site: Any, bring: Callable[..., bytes]) -> None:
    site.redirects["/moved.mp4"] = "/gone.mp4?sign=s3cret"
    for path in ("/gone.mp4?sign=s3cret", "/moved.mp4?sign=s3cret"):
        with pytest.raises(SourceError) as caught:
            bring(site.url.replace("//", "//me:s3cret@") + path)
        assert "s3cret" not in str(caught.value)
