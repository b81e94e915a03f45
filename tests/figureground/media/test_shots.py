"""Cuts are found where they are, and the frames of a shot are spread over it."""

from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.media import shots
from figureground.media.decoding import VideoReader
from figureground.types import Image

ROOT = Path(__file__).parents[3]
VIDEOS = ROOT / "../shared/data/videos"
needs_videos = pytest.mark.skipif(not VIDEOS.is_dir(), reason="no ../shared/data")


@dataclass
class Still:
    """A picture of some shot, of which somebody walks a little on in each."""

    index: int
    seconds: float
    shot: int = 0
    sharpness: float = 1.0

    def scaled_to(self, long_side: int) -> Image:
        noise = np.random.default_rng(self.shot + 5).integers(0, 120, (9, 16, 3), np.uint8) + np.uint8(60 * (self.shot % 3))
        picture = cv2.resize(noise, (long_side, 144), interpolation=cv2.INTER_CUBIC)
        picture[60:100, 40 + self.index : 60 + self.index] = 250
        return picture


def footage(*lengths: int, fps: float = 25.0) -> list[Still]:
    whose = [shot for shot, length in enumerate(lengths) for _ in range(length)]
    return [Still(index, index / fps, shot) for index, shot in enumerate(whose)]


@pytest.mark.parametrize("detector", shots.DETECTORS)
def test_every_detector_finds_hard_cuts(detector: str) -> None:
    split = shots.ShotDetector(25, detector)
    begun = list(split.mark_starts(footage(40, 25, 60)))

    assert [picture.index for starts, picture in begun if starts] == [0, 40, 65]
    assert [picture.index for _, picture in begun] == list(range(125))
    assert split.count == 3


def test_a_flash_is_no_shot_unless_asked_for() -> None:
    assert [p.index for starts, p in shots.ShotDetector(25, "content").mark_starts(footage(40, 3, 60)) if starts] == [0, 40]
    eager = shots.ShotDetector(25, "content", seconds_at_least=0)
    assert [p.index for starts, p in eager.mark_starts(footage(40, 3, 60)) if starts] == [0, 40, 43]


def test_a_threshold_out_of_reach_finds_nothing() -> None:
    assert sum(starts for starts, _ in shots.ShotDetector(25, "content", threshold=255).mark_starts(footage(40, 40))) == 1


def test_no_pictures_are_no_shots() -> None:
    assert list(shots.ShotDetector(0).mark_starts([])) == list(shots.choose([])) == []


@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=4), frames=st.integers(1, 5))
def test_frames_are_spread_over_each_shot(lengths: list[int], frames: int) -> None:
    pictures = footage(*lengths)
    first = [sum(lengths[:number]) for number in range(len(lengths))]
    taken = list(shots.choose(((picture.index in first, picture) for picture in pictures), frames))

    assert [picture.index for picture in taken] == sorted({picture.index for picture in taken})
    for number, length in enumerate(lengths):
        inside = [picture.index - first[number] for picture in taken if picture.shot == number]
        assert len(inside) == min(frames, length)
        if length > 4 * frames:
            ideal = [(one + 0.5) / frames * (length - 1) for one in range(frames)]
            assert all(abs(a - b) <= length / (4 * frames) + 1 for a, b in zip(inside, ideal, strict=True))


def test_the_sharpest_near_the_moment_is_taken() -> None:
    pictures = footage(100)
    pictures[52].sharpness = 3.0
    pictures[70].sharpness = 9.0
    [taken] = shots.choose(((picture.index == 0, picture) for picture in pictures), 1, sharpest_within=0.2)
    assert taken.index == 52


def test_few_pictures_are_held_however_long_a_shot_is() -> None:
    shot = shots._Candidates(3, 0.0)
    for picture in footage(5000):
        shot.add(picture)
        assert len(shot._slots) <= 12


def test_shots_of_a_real_file(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "cuts.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 144, "yuv420p"
        for still in footage(30, 40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(still.scaled_to(256), format="rgb24")))
        container.mux(stream.encode())
    with VideoReader(tmp_path / "cuts.mp4") as opened:
        taken = list(shots.choose(shots.ShotDetector(opened.fps).mark_starts(opened.frames()), 2, 0.1))
    assert len(taken) == 4
    assert [picture.index < 30 for picture in taken] == [True, True, False, False]
    assert taken[0].image().shape == (144, 256, 3)


@pytest.mark.slow
@needs_videos
@pytest.mark.parametrize("name", ["ballet_single.mp4", "lab_two_cam01.mp4"])
def test_one_take_is_one_shot(name: str) -> None:
    with VideoReader(VIDEOS / name) as opened:
        split = shots.ShotDetector(opened.fps)
        assert len(list(shots.choose(split.mark_starts(opened.frames()), 3))) == 3
    assert split.count == 1
