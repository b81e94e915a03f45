"""Decoding in order, real timestamps, which frames are taken, and what bad files get."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.errors import SourceError
from figureground.media import decoding, orientation, sampling, timestamps

VIDEOS = Path(__file__).parents[3] / "../shared/data/videos"
needs_videos = pytest.mark.skipif(not VIDEOS.is_dir(), reason="no ../shared/data")


class Shot(NamedTuple):
    index: int
    seconds: float
    sharpness: float


def shots(*seconds_and_sharpness: tuple[float, float]) -> list[Shot]:
    return [Shot(index, *pair) for index, pair in enumerate(seconds_and_sharpness)]


def picture(number: int, width: int, height: int) -> np.ndarray:
    """A red upper left quarter on grey that gets lighter with the number, and a blue lower left one."""
    image = np.full((height, width, 3), min(40 + 4 * number, 255), np.uint8)
    image[: height // 2, : width // 2] = 255, 0, 0
    image[height // 2 :, : width // 2] = 0, 0, 255
    return image


def write_clip(
    path: Path,
    images: Sequence[np.ndarray],
    *,
    ticks: Sequence[int] | None = None,
    codec: str = "libx264",
    rotation: int = 0,
    options: dict[str, str] | None = None,
    key_every: int = 12,
) -> Path:
    """Encode pictures; `ticks` are their times in thirtieths of a second."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = images[0].shape[1], images[0].shape[0], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 30)
        stream.codec_context.gop_size = key_every
        if rotation:
            stream.set_display_rotation(rotation)
        for tick, image in zip(ticks or range(len(images)), images, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def clip(path: Path, frames: int = 30, width: int = 64, height: int = 48, **settings: object) -> Path:
    return write_clip(path, [picture(number, width, height) for number in range(frames)], **settings)  # type: ignore[arg-type]


def noisy(path: Path, frames: int = 60, **settings: object) -> Path:
    """A clip of some hundred bytes a frame, so that there is something to damage."""
    grain = np.random.default_rng(3).integers(0, 255, (frames, 96, 128, 3), np.uint8)
    return write_clip(path, list(grain), **settings)  # type: ignore[arg-type]


def read(path: Path) -> tuple[decoding.VideoReader, list[decoding.DecodedFrame]]:
    with decoding.VideoReader(path) as footage:
        return footage, list(footage.frames())


# --- which frames are taken -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "taken"),
    [
        ({"every_seconds": 1.0}, [0, 3, 5]),
        ({"every_seconds": 1.0, "sharpest_within": 0.5}, [1, 3, 5]),
        ({"every_seconds": 1.0, "sharpest_within": 0.3}, [0, 3, 5]),  # 0.3 itself is outside: half-open
        ({"every_seconds": 1.0, "sharpest_within": 1.0}, [2, 4, 5]),
        ({"every_seconds": 10.0}, [0]),
        ({"every_frames": 2}, [0, 2, 4]),
        ({"every_frames": 2, "sharpest_within": 1.0}, [1, 3, 4]),
        ({"every_frames": 1}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_choose(settings: dict[str, float], taken: list[int]) -> None:
    sequence = shots((0.0, 1), (0.3, 3), (0.6, 5), (1.0, 7), (1.6, 8), (3.2, 1))  # nothing between 2 and 3 seconds

    assert [one.index for one in sampling.choose(sequence, **settings)] == taken  # type: ignore[arg-type]


def test_choose_takes_the_earlier_of_two_equally_sharp() -> None:
    assert [one.index for one in sampling.choose(shots((0, 2), (0.1, 2)), every_seconds=1, sharpest_within=1)] == [0]


def test_choose_keeps_the_step_in_spite_of_rounding() -> None:
    tenths = shots(*((number / 10, 0.0) for number in range(31)))

    assert [one.index for one in sampling.choose(tenths, every_seconds=0.1)] == list(range(31))


def test_choose_asks_for_sharpness_only_when_there_is_a_choice() -> None:
    class Blind(NamedTuple):
        index: int
        seconds: float

        @property
        def sharpness(self) -> float:
            raise AssertionError("asked")

    assert len(list(sampling.choose([Blind(0, 0.0), Blind(1, 0.5), Blind(2, 1.0)], every_seconds=1))) == 2


def test_choose_of_nothing_is_nothing() -> None:
    assert list(sampling.choose([], every_frames=1)) == []


@pytest.mark.parametrize("settings", [{}, {"every_seconds": 1, "every_frames": 1}, {"every_seconds": 0}, {"every_frames": 0}])
def test_choose_wants_exactly_one_step(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="one of every_seconds, every_frames"):
        list(sampling.choose([], **settings))


@given(
    steps=st.lists(st.integers(1, 400), max_size=60),
    sharp=st.randoms(use_true_random=False),
    every=st.integers(1, 500),
    within=st.integers(0, 600),
)
def test_choose_takes_the_sharpest_of_every_stretch_that_has_frames(steps: list[int], sharp, every: int, within: int) -> None:
    times = np.cumsum([0, *steps]).tolist()  # hundredths of a second, so that the test itself does not round
    sequence = [Shot(index, time / 100, sharp.randrange(5)) for index, time in enumerate(times)]

    taken = list(sampling.choose(sequence, every_seconds=every / 100, sharpest_within=within / 100))

    assert [times[one.index] // every for one in taken] == sorted({time // every for time in times})
    for one in taken:
        stretch = times[one.index] // every
        first, *others = [shot for shot in sequence if times[shot.index] // every == stretch]
        rivals = [first, *(shot for shot in others if times[shot.index] < stretch * every + within)]
        assert one == max(rivals, key=lambda shot: (shot.sharpness, -shot.index))


# --- time, sharpness, turning -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stamps", "seconds"),
    [
        ([5.0, 5.5, 7.0], [0.0, 0.5, 2.0]),  # starts late
        ([-0.5, 0.0], [0.0, 0.5]),
        ([0.0, None, 0.5], [0.0, 0.25, 0.5]),  # one without a time
        ([None, None], [0.0, 0.25]),
        ([0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.25, 2.25]),  # two recordings joined
        ([0.0, 0.0, 0.5], [0.0, 1e-6, 0.5]),  # two frames with one time: those after them keep the container's times
        ([0.0, 0.4, 0.3, 0.5], [0.0, 0.4, 0.400001, 0.5]),  # out of order
    ],
)
def test_clock_always_rises(stamps: list[float | None], seconds: list[float]) -> None:
    clock = timestamps.FrameClock(fps=4)

    assert [clock.seconds_of_next(stamp) for stamp in stamps] == seconds


def test_blur_lowers_the_gradient_energy() -> None:
    sharp = np.random.default_rng(1).integers(0, 255, (120, 160), np.uint8)
    energies = [decoding.gradient_energy(cv2.GaussianBlur(sharp, (0, 0), sigma)) for sigma in (0.5, 1, 2, 4)]

    assert energies == sorted(energies, reverse=True)


TURNS = {
    (1, 0, 0, 1): [[1, 2], [3, 4]],
    (-1, 0, 0, -1): [[4, 3], [2, 1]],
    (0, 1, -1, 0): [[3, 1], [4, 2]],  # a phone held upright: x' = -y, y' = x is a quarter turn clockwise
    (0, -1, 1, 0): [[2, 4], [1, 3]],
    (-1, 0, 0, 1): [[2, 1], [4, 3]],  # mirrored, as some front cameras record
    (1, 0, 0, -1): [[3, 4], [1, 2]],
    (0, 1, 1, 0): [[1, 3], [2, 4]],
    (0, -1, -1, 0): [[4, 2], [3, 1]],
}


@pytest.mark.parametrize(("matrix", "expected"), TURNS.items())
def test_upright_turns_and_mirrors(matrix: tuple[int, int, int, int], expected: list[list[int]]) -> None:
    image = np.repeat(np.array([[1, 2], [3, 4]], np.uint8)[..., None], 3, axis=2)

    assert orientation.upright(image, matrix)[..., 0].tolist() == expected


@given(matrix=st.sampled_from(list(TURNS)), height=st.integers(1, 5), width=st.integers(1, 5))
def test_upright_can_be_undone(matrix: tuple[int, int, int, int], height: int, width: int) -> None:
    image = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    a, b, c, d = matrix

    assert np.array_equal(
        orientation.upright(orientation.upright(image, matrix), (a, c, b, d)), image
    )  # the transpose is the inverse


# --- decoding ---------------------------------------------------------------------------------------------------------


def test_every_frame_comes_once_in_order_with_its_time_and_picture(tmp_path: Path) -> None:
    footage, pictures = read(clip(tmp_path / "a.mp4"))

    assert [one.index for one in pictures] == list(range(30))
    assert [one.seconds for one in pictures] == pytest.approx([number / 30 for number in range(30)])
    assert (footage.promised, footage.decoded, footage.truncated, footage.corrupt) == (30, 30, False, 0)
    assert (footage.codec, footage.fps, footage.seconds) == ("h264", 30, pytest.approx(1.0))
    for number in (0, 11, 29):
        assert np.abs(pictures[number].image().astype(int) - picture(number, 64, 48)).mean() < 8


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_variable_frame_rate_keeps_the_real_times(tmp_path: Path, suffix: str) -> None:
    ticks = [0, 1, 2, 30, 31, 75]
    footage, pictures = read(clip(tmp_path / f"a.{suffix}", 6, ticks=ticks))

    assert [one.seconds for one in pictures] == pytest.approx([tick / 30 for tick in ticks], abs=0.001)
    assert not footage.truncated


def test_time_starts_at_the_first_frame(tmp_path: Path) -> None:
    _, pictures = read(clip(tmp_path / "a.mkv", 3, ticks=[90, 91, 92]))

    assert [one.seconds for one in pictures] == pytest.approx([0, 1 / 30, 2 / 30], abs=0.001)


TURNED = [(-90, (0, -1), (0, 0)), (90, (-1, 0), (-1, -1)), (180, (-1, -1), (0, -1))]


@pytest.mark.parametrize(("rotation", "red", "blue"), TURNED)
def test_rotation_is_applied(tmp_path: Path, rotation: int, red: tuple[int, int], blue: tuple[int, int]) -> None:
    path = clip(tmp_path / "phone.mp4", 2, rotation=rotation)
    probe, image = decoding.probe(path), read(path)[1][0].image()

    assert image.shape == (probe.height, probe.width, 3) == ((48, 64, 3) if rotation == 180 else (64, 48, 3))
    assert image.flags["C_CONTIGUOUS"]
    assert image[red][0] > 200 > 60 > image[red][2]
    assert image[blue][2] > 200 > 60 > image[blue][0]


def test_av1_is_read(tmp_path: Path) -> None:
    if "libsvtav1" not in av.codecs_available:
        pytest.skip("this PyAV has no AV1 encoder")
    footage, pictures = read(clip(tmp_path / "a.mp4", 5, codec="libsvtav1"))

    assert (footage.codec, len(pictures), footage.truncated) == ("av1", 5, False)
    assert np.abs(pictures[4].image().astype(int) - picture(4, 64, 48)).mean() < 8


def test_sample_decodes_no_further_than_asked(tmp_path: Path) -> None:
    with decoding.VideoReader(clip(tmp_path / "a.mp4", 60)) as footage:
        first = next(decoding.sample(footage, "park", every_frames=5))

        assert (first.frame_id, first.index, first.seconds, first.image.shape) == ("park-000000", 0, 0.0, (48, 64, 3))
        assert footage.decoded == 6


def test_sample_takes_the_sharp_picture_of_a_blurred_stretch(tmp_path: Path) -> None:
    sharp = np.random.default_rng(5).integers(0, 255, (96, 128, 3), np.uint8)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 3)
    path = write_clip(tmp_path / "a.mp4", [blurred, blurred, blurred, sharp, blurred, blurred], ticks=range(0, 36, 6))

    with decoding.VideoReader(path) as footage:
        assert [frame.index for frame in decoding.sample(footage, "a", every_seconds=1, sharpest_within=1)] == [3, 5]


# --- what bad files get -----------------------------------------------------------------------------------------------


def test_a_cut_matroska_is_truncated_by_its_duration(tmp_path: Path) -> None:
    whole = noisy(tmp_path / "a.mkv").read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) // 2])
    footage, pictures = read(cut)

    assert footage.promised == 60
    assert 20 < len(pictures) < 40
    assert footage.truncated
    assert not read(tmp_path / "a.mkv")[0].truncated


@pytest.mark.parametrize("round", range(10))
def test_a_whole_video_is_not_truncated_after_it_was_closed_either(tmp_path: Path, round: int) -> None:
    footage, pictures = read(clip(tmp_path / "a.mp4"))
    others = [read(clip(tmp_path / f"{number}.mkv", frames=3))[0] for number in range(3)]
    assert (footage.decoded, footage.truncated) == (len(pictures), False)
    assert not any(other.truncated for other in others)


def test_a_cut_mp4_is_truncated_by_its_frame_count(tmp_path: Path) -> None:
    whole = noisy(tmp_path / "a.mp4", options={"movflags": "faststart"}).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 2])
    footage, pictures = read(cut)

    assert (footage.promised, footage.truncated) == (60, True)
    assert 0 < len(pictures) < 40


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_after_damage_it_goes_on_at_the_next_key_frame(tmp_path: Path, codec: str) -> None:
    whole = noisy(tmp_path / "a.mp4", codec=codec, options={"movflags": "faststart"})
    content = bytearray(whole.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content)
    truth = {one.seconds: one.image() for one in read(whole)[1]}
    footage, pictures = read(broken)

    assert footage.corrupt > 0
    assert 0 < footage.smeared <= 12  # key frames are 12 apart
    assert len(pictures) == footage.decoded - footage.smeared
    assert pictures[-1].seconds == max(truth)
    assert all(np.array_equal(one.image(), truth[one.seconds]) for one in pictures)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.mp4", b"", r"empty \(0 bytes\)"),
        ("noise.mp4", bytes(range(1, 256)) * 40, r"not a video FFmpeg can open .*10200 bytes that start with b'\\x01"),
        ("page.mp4", b"<!DOCTYPE html><html><body>please log in</body></html>" * 20, "not a video"),
        ("notes.txt", b"just words\n" * 200, "not a video"),
        ("list.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n", "not a video"),
        ("join.mp4", b"ffconcat version 1.0\nfile other.mp4\n", "not a video"),
    ],
)
def test_what_is_not_a_video_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(SourceError, match=message) as caught:
        decoding.probe(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_a_picture_is_not_a_video(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "photo.png").rename(tmp_path / "photo.mp4")

    with pytest.raises(SourceError, match=r"photo\.mp4: not a video; FFmpeg reads it as png_pipe"):
        decoding.probe(tmp_path / "photo.mp4")


def test_sound_alone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "song.mka"
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("aac", rate=16000)
        stream.layout = "mono"
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 16000, 0
        container.mux(stream.encode(sound))
        container.mux(stream.encode())

    with pytest.raises(SourceError, match=r"song\.mka: no video stream; found audio \(aac\)"):
        decoding.probe(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.mp4: there is no such file"):
        decoding.probe(tmp_path / "gone.mp4")


def test_a_video_without_one_readable_frame_says_what_was_promised(tmp_path: Path) -> None:
    whole = noisy(tmp_path / "a.mp4", options={"movflags": "faststart"}).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: whole.index(b"mdat") + 40])

    with pytest.raises(SourceError, match=r"cut\.mp4: no frame can be read: h264 video, 60 frames promised, 0 decoded"):
        decoding.probe(cut)


# --- real clips -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@needs_videos
@pytest.mark.parametrize(
    ("name", "promised", "decoded", "shape"),
    [
        ("phone_portrait_header_lies.mov", 41, 28, (640, 360, 3)),
        ("selfie_motion_blur.mp4", 20, 20, (1440, 1080, 3)),
        ("dancer_bluescreen.avi", 1572, 1571, (496, 518, 3)),
        ("walk_away_indoor.webm", 382, 382, (720, 1280, 3)),
        ("street_surveillance.avi", 795, 795, (576, 768, 3)),
        ("carphone_tiny.mp4", 120, 120, (144, 176, 3)),
    ],
)
def test_whole_clips_are_not_truncated_whatever_the_header_says(
    name: str, promised: int, decoded: int, shape: tuple[int, ...]
) -> None:
    with decoding.VideoReader(VIDEOS / name) as footage:
        taken = [frame.image.shape for frame in decoding.sample(footage, "clip", every_frames=100_000)]

    assert (footage.promised, footage.decoded, taken) == (promised, decoded, [shape])
    assert not footage.truncated  # the phone's clip holds 41 frames, of which its edit list shows 28: it was trimmed


@needs_videos
def test_av1_that_opencv_opens_and_never_reads() -> None:
    with decoding.VideoReader(VIDEOS / "bad/av1_opens_never_reads.mp4") as footage:
        assert next(decoding.sample(footage, "clip", every_frames=3)).image.shape == (1920, 1080, 3)


@needs_videos
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty.mp4", "empty"),
        ("random_bytes.mp4", "not a video"),
        ("audio_only.mkv", r"no video stream; found audio \(opus\)"),
        ("truncated.mp4", "no frame can be read: vp9 video, 230 frames promised, 0 decoded"),
    ],
)
def test_the_bad_files_are_named(name: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        decoding.probe(VIDEOS / "bad" / name)
    assert name in str(caught.value)
