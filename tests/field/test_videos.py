"""Videos as users met them: each is read or refused with its reason, and the healthy one beside it is finished."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from figureground.media import decoding
from tests.field import footage_cases as cases
from tests.field.ingested import sample_all

CASES: dict[str, tuple[Callable[[Path], Path], int]] = {
    "a title in GBK": (lambda folder: cases.clip(folder / "a.avi", codec="mpeg4", title="小明散步".encode("gbk")), 30),
    "a title in Latin-1": (lambda folder: cases.clip(folder / "a.mkv", title="été à la plage".encode("latin-1")), 30),
    "a handler in cp1251": (lambda folder: cases.clip(folder / "a.mov", handler="Обработчик".encode("cp1251")), 30),
    "a damaged duration": (lambda folder: cases.replaced(cases.clip(folder / "a.mkv"), b"00:00:03.0", b"00:00:03o0"), 30),
    "a damaged brand": (lambda folder: cases.replaced(cases.clip(folder / "a.mp4"), b"isom\0\0", b"iso\xff\0\0"), 30),
    "a still before the clip": (lambda folder: cases.clip(folder / "a.mkv", cover=True), 30),
    "pixels that are not square": (lambda folder: cases.clip(folder / "a.mp4", sample_aspect=Fraction(4, 3)), 30),
    "HLG": (lambda folder: cases.clip(folder / "a.mov", transfer=18), 30),
    "PQ": (lambda folder: cases.clip(folder / "a.mp4", transfer=16), 30),
    "interlaced": (lambda folder: cases.clip(folder / "a.mp4", interlaced=True), 30),
    "a losslessly trimmed clip": (lambda folder: cases.trimmed(folder / "a.mp4", 1.7), 17),
}


@pytest.mark.parametrize("name", CASES)
def test_the_clip_and_the_healthy_one_beside_it_are_read(tmp_path: Path, name: str) -> None:
    make, frames = CASES[name]
    cases.clip(tmp_path / "healthy.mp4")
    ends = sample_all(tmp_path, {"bad": {"path": make(tmp_path).name}, "healthy": {"path": "healthy.mp4"}})

    assert {source: (len(end.frames), end.reasons, end.error) for source, end in ends.items()} == {
        "bad": (frames, [], ""), "healthy": (30, [], ""),
    }  # fmt: skip
    assert not any(end.facts["truncated"] or end.facts["corrupt"] for end in ends.values())


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "an animated WebP": (lambda: cases.animation("WEBP"), "webp_pipe.*an animated WebP converts first.*magick IN.webp OUT.gif"),
    "noise": (lambda: bytes(range(256)) * 40, "not a video FFmpeg can open"),
    "nothing": (lambda: b"", "the file is empty"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_and_the_healthy_one_is_read(tmp_path: Path, name: str) -> None:
    make, reason = REFUSED[name]
    (tmp_path / "a.mp4").write_bytes(make())
    cases.clip(tmp_path / "healthy.mp4")
    ends = sample_all(tmp_path, {"bad": {"path": "a.mp4"}, "healthy": {"path": "healthy.mp4"}})

    with pytest.raises(AssertionError, match=reason):
        assert not ends["bad"].error, ends["bad"].error
    assert "defect" not in ends["bad"].error
    assert len(ends["healthy"].frames) == 30


@pytest.mark.parametrize("kind", ["GIF", "PNG", "AVIF"])
def test_the_advice_for_an_animation_can_be_followed(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a").write_bytes(cases.animation(kind))
    ends = sample_all(tmp_path, {"photo": {"kind": "images", "path": "a"}, "clip": {"kind": "video", "path": "a"}})

    assert "give it to a source of `kind: video`" in ends["photo"].error
    assert len(ends["clip"].frames) == 5


@pytest.mark.slow
def test_frames_of_one_time_keep_the_containers_times(tmp_path: Path) -> None:
    cases.clip(tmp_path / "a.webm", codec="libvpx", ticks=[number // 2 * 2 for number in range(30)])
    frames = sample_all(tmp_path, {"pairs": {"path": "a.webm"}})["pairs"].frames

    assert [round(frame.seconds, 3) for frame in frames[:6]] == [0.0, 0.0, 0.2, 0.2, 0.4, 0.4]
    assert all(before.seconds < after.seconds for before, after in pairwise(frames))
    assert 2.6 < frames[-1].seconds < 2.9


def test_a_header_of_the_size_of_a_wall_is_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "FRAME_PIXELS_AT_MOST", 10_000)
    cases.clip(tmp_path / "a.mp4")
    error = sample_all(tmp_path, {"wall": {"path": "a.mp4"}})["wall"].error

    assert "frames of 128x96 pixels; expected at most 10,000 in all" in error and "scale it first" in error
