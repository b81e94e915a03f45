"""A web server on this machine with pages, a feed and clips; it cuts connections, leads elsewhere and keeps a log, as told."""

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

CC_BY = "https://creativecommons.org/licenses/by/4.0/"


@dataclass
class Site:
    """What a server has and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    cut_after: dict[str, int] = field(default_factory=dict)  # bytes; then the connection breaks, and it is busy
    spared: int = 0  # so many answers are whole before one is cut
    unsized: set[str] = field(default_factory=set)
    statuses: dict[str, int] = field(default_factory=dict)
    dripping: set[str] = field(default_factory=set)  # a byte now and then
    untagged: bool = False
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, Range
    sent: dict[str, int] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    port: int = 0
    server: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked_for(self, path: str) -> list[str]:
        return [wanted for method, asked, wanted in self.asked if asked.split("?")[0] == path and method == "GET"]

    def feed(self, *paths: str) -> bytes:
        items = "".join(f"<item><title>clip {path}</title><link>{self.url}{path}</link></item>" for path in paths)
        return f'<?xml version="1.0"?><rss version="2.0"><channel><title>walks</title>{items}</channel></rss>'.encode()

    def page(self, *paths: str, license: str = "", title: str = "A walk") -> bytes:
        rel = f'<a rel="license" href="{license}">licence</a>' if license else ""
        clips = "".join(f'<video src="{self.url}{path}"></video>' for path in paths)
        return f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{rel}{clips}</body></html>".encode()


TYPES = {
    "mp4": "video/mp4",
    "m3u8": "application/vnd.apple.mpegurl",
    "ts": "video/mp2t",
    "xml": "application/rss+xml",
    "html": "text/html; charset=utf-8",
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        site, path = self.site, self.path.split("?")[0]
        wanted = self.headers.get("Range") or ""
        site.asked.append((self.command, self.path, wanted))
        site.passwords[path] = self.headers.get("Authorization") or ""
        if path in site.redirects:
            self.send_response(302)
            self.send_header("Location", site.redirects[path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if path not in site.files or path in site.statuses:
            self.send_error(site.statuses.get(path, 404))
            return
        self.deliver(path, site.files[path], wanted)

    def deliver(self, path: str, content: bytes, wanted: str) -> None:
        site, tag = self.site, f'"{len(content)}-{hash(content)}"'
        begun = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        if self.headers.get("If-Range", tag) != tag:
            begun = 0
        self.send_response(206 if begun else 200)
        self.send_header("Content-Type", TYPES.get(path.rpartition(".")[2], "application/octet-stream"))
        if not site.untagged:
            self.send_header("ETag", tag)
        if begun:
            self.send_header("Content-Range", f"bytes {begun}-{len(content) - 1}/{len(content)}")
        if path in site.unsized:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(content) - begun))
        self.end_headers()
        if self.command == "HEAD":
            return
        limit = site.cut_after.get(path, len(content)) if not site.spared else len(content)
        site.spared -= path in site.cut_after and site.spared > 0
        if limit < len(content):
            site.statuses[path] = 503  # whoever asks again in this run is put off
        step = 1 if path in site.dripping else 1 << 14
        for at in range(begun, limit, step):
            time.sleep(0.05 if step == 1 else 0)
            block = content[at : min(at + step, limit)]
            try:
                self.wfile.write(block)
            except OSError:
                return
            site.sent[path] = site.sent.get(path, 0) + len(block)
        if limit < len(content) or path in site.unsized:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


@contextmanager
def serving() -> Iterator[Site]:
    """A server on a free port of this machine's loopback."""
    site = Site()
    handler = type("Here", (Handler,), {"site": site})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        site.port, site.server = server.server_port, server
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield site
        server.shutdown()
