"""What an extractor says of a page, whatever it raises or gives, is that page's outcome."""

from contextlib import suppress
from typing import Any

import pytest

from figureground.clients.sources import ytdlp
from figureground.clients.sources.host_allowlist import HostAllowlist
from figureground.clients.sources.transfer import TransferLimits
from figureground.errors import ShortageError, SourceError

LIMITS = TransferLimits(HostAllowlist.of([]), 1000)
ADDRESS = "https://example.org/clips"
LISTED = ytdlp.ListedClip("X", "1", ADDRESS)


@pytest.mark.parametrize("answer", [
    None, [], "text", 7, {"_type": "playlist", "entries": ["text"]}, {"_type": "playlist", "entries": 7}, {"_type": [7]},
    {"_type": "url"}, {"_type": "url", "url": "http://[::1"}, {"_type": "url", "url": [7]}, {"formats": [7]},
    {"formats": {"a": 7}}, {"id": [7], "extractor_key": {}}, {"webpage_url": "http://[::1"}, {"webpage_url": 7, "direct": True},
    {"entries": 7}, {"id": 10**5000, "title": 10**5000}, {"title": b"\xc4", "live_status": []},
])  # fmt: skip
def test_an_answer_of_another_form_is_refused_or_read(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    monkeypatch.setattr(ytdlp._GuardedYoutubeDL, "extract_info", lambda *_, **__: answer)
    monkeypatch.setattr(ytdlp._GuardedYoutubeDL, "urlopen", lambda *_, **__: (_ for _ in ()).throw(OSError("no page")))
    for read in (lambda: ytdlp.list_clips(ADDRESS, LIMITS), lambda: ytdlp.read_page(LISTED, LIMITS)):
        with suppress(SourceError):
            read()


@pytest.mark.parametrize("error", [KeyError("url"), AttributeError("get"), RecursionError(), UnicodeError("x"), IndexError()])
def test_an_error_of_an_extractor_is_a_reason(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def extract(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(ytdlp._GuardedYoutubeDL, "extract_info", extract)
    for read in (lambda: ytdlp.list_clips(ADDRESS, LIMITS), lambda: ytdlp.read_page(LISTED, LIMITS)):
        with pytest.raises(SourceError, match=r"https://example\.org/clips: cannot be had .*Look at the page in a browser"):
            read()


def test_a_lack_of_memory_is_no_property_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def extract(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ytdlp._GuardedYoutubeDL, "extract_info", extract)
    with pytest.raises(ShortageError, match="this machine lacks memory"):
        ytdlp.list_clips(ADDRESS, LIMITS)
