"""Photos as users met them: one that harms is refused with its reason, and the others of its folder are read."""

import os
import resource
import time
from pathlib import Path

import pytest

from tests.field import footage_cases as cases
from tests.field.ingested import sample_all

PNGS = cases.harmful_pngs()
REASONS = {
    "two_headers": "a PNG with 2 headers",
    "claims_two_gigabytes": "claims 2147483632 bytes where",
    "sixty_five_thousand": "65535x65535 pixels; expected at most 300,000,000",
    "text_bomb": "Decompressed data too large",
}


@pytest.mark.parametrize("name", PNGS)
def test_a_png_that_harms_is_refused_in_little_memory_and_time(tmp_path: Path, name: str) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album/bad.png").write_bytes(PNGS[name])
    (tmp_path / "album/good.jpg").write_bytes(cases.jpeg())
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    end = sample_all(tmp_path, {"album": {"kind": "images", "path": "album"}})["album"]

    assert [Path(frame.original).name for frame in end.frames] == ["good.jpg"] and not end.error
    assert len(end.reasons) == 1 and REASONS[name] in end.reasons[0] and "album/bad" in end.reasons[0]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB
    assert time.perf_counter() - start < 10


def test_an_animated_webp_is_refused_with_advice_that_works(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album/a.webp").write_bytes(cases.animation("WEBP"))
    (tmp_path / "album/b.gif").write_bytes(cases.animation("GIF"))  # what the advice makes of it
    (tmp_path / "album/good.jpg").write_bytes(cases.jpeg())
    ends = sample_all(
        tmp_path, {"album": {"kind": "images", "path": "album"}, "clip": {"kind": "video", "path": "album/b.gif"}}
    )

    assert [Path(frame.original).name for frame in ends["album"].frames] == ["good.jpg"]
    assert "`magick IN.webp OUT.gif`" in ends["album"].reasons[0] and "kind: video" in ends["album"].reasons[0]
    assert len(ends["clip"].frames) == 5


def test_a_photo_whose_name_is_not_utf8_is_read_and_shown_escaped(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / os.fsdecode(b"\xcf\xf0\xe8.jpg")).write_bytes(cases.jpeg())
    (tmp_path / "album" / os.fsdecode(b"\xcf.png")).write_bytes(PNGS["two_headers"])
    (tmp_path / "album/good.jpg").write_bytes(cases.jpeg(1))
    end = sample_all(tmp_path, {"album": {"kind": "images", "path": "album"}})["album"]

    assert sorted(frame.original for frame in end.frames) == [r"album/\xcf\xf0\xe8.jpg", "album/good.jpg"]
    assert all(frame.frame_id.isascii() and frame.file.isascii() for frame in end.frames)
    assert len(end.reasons) == 1
