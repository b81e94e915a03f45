"""Backgrounds replaced: in a video, from a camera, and on the page in a real browser, with a network taught in the test."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from figureground.catalog import load
from figureground.errors import AssetError, SourceError
from figureground.live import background_replacement
from figureground.media import decoding
from figureground.training import checkpoints, export, exported_model
from flows.live import runtime
from tasks.models import live
from tests import trained_network

ROOT = Path(__file__).parents[3]
WIDTH, HEIGHT, BLUE = 128, 96, (10, 40, 200)  # drawn out to the whole square
PLACES = [(0.35 + 0.3 * number / 11, 0.5) for number in range(12)]


@pytest.fixture(scope="module")
def model(learnt: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    network, card = checkpoints.load(learnt / "checkpoint")
    about = exported_model.About.of(card)
    (folder / "export").mkdir()
    export.write_onnx(export.Answering(network, 1), about, folder / "export" / "model.onnx")
    return folder / "export"


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("behind") / "blue.png"
    cv2.imwrite(str(file), np.full((30, 50, 3), BLUE[::-1], np.uint8))
    return file


def frames() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A figure that walks over the ground."""
    return (trained_network.drawn(HEIGHT, WIDTH, 7, place) for place in PLACES)


def clip(file: Path, codec: str, pixels: str, fps: int = 12) -> Path:
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        for image, _ in frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return file


def replaced(image: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """How far, in levels, the figure's middle is from what it was, and the ground far from it from the new background."""
    sure = cv2.erode(mask, np.ones((15, 15), np.uint8)) > 0
    away = cv2.dilate(mask, np.ones((31, 31), np.uint8)) == 0
    figure = np.abs(image[sure].astype(int) - trained_network.FIGURE).mean()
    return float(figure), float(np.abs(image[away].astype(int) - BLUE).mean())


@pytest.mark.slow
def test_a_video_gets_another_background_and_keeps_its_times(model: Path, picture: Path, tmp_path: Path) -> None:
    source = clip(tmp_path / "walk.mp4", "libx264", "yuv420p")
    count = live.replace_video(model, source, tmp_path / "out.mp4", live.load_background(picture, 0))
    with decoding.VideoReader(tmp_path / "out.mp4") as footage:
        found = [(one.seconds, one.image()) for one in footage.frames()]
    assert count == len(found) == len(PLACES)
    assert [second for second, _ in found] == pytest.approx([number / 12 for number in range(12)], abs=1e-3)
    for (_, image), (_, mask) in zip(found, frames(), strict=True):
        figure, ground = replaced(image, mask)
        assert figure < 30
        assert ground < 15
    assert {path.name for path in tmp_path.iterdir()} == {"walk.mp4", "out.mp4"}


@pytest.mark.slow
def test_a_camera_gets_another_background(model: Path, picture: Path, tmp_path: Path) -> None:
    """FFmpeg's own device that plays a clip as if it were a camera."""
    source = clip(tmp_path / "walk.mp4", "libx264", "yuv420p")
    background = live.load_background(picture, 0)
    count = live.replace_camera(model, f"lavfi:movie={source}", tmp_path / "out", background, seconds=60)
    with decoding.VideoReader(tmp_path / "out.mp4") as footage:
        last = [one.image() for one in footage.frames()][-1]
    assert count == len(PLACES)
    figure, ground = replaced(last, list(frames())[-1][1])
    assert figure < 30
    assert ground < 15


@pytest.mark.slow
def test_missing_inputs_are_named_and_leave_no_files(model: Path, tmp_path: Path) -> None:
    blurred = live.load_background(None, 5)
    with pytest.raises(SourceError, match=r"the camera /dev/nowhere .* cannot be opened"):
        live.replace_camera(model, "/dev/nowhere", tmp_path / "out.mp4", blurred, None)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(SourceError):
        live.replace_video(model, tmp_path / "broken.mp4", tmp_path / "out.mp4", blurred)
    with pytest.raises(AssetError, match=r"holds no model\.onnx"):
        live.page(tmp_path, {})
    with pytest.raises(SourceError, match="expected a picture"):
        live.load_background(tmp_path / "broken.mp4", 5)
    assert {path.name for path in tmp_path.iterdir()} == {"broken.mp4"}


def test_a_picture_covers_any_size_and_a_blur_keeps_the_mean() -> None:
    picture = np.zeros((40, 20, 3), np.uint8)
    picture[10:30] = 200  # the middle stays
    assert (background_replacement.cover(picture, 20, 20) == 200).mean() > 0.9
    image, _ = trained_network.drawn(60, 90, 1)
    behind = background_replacement.Background(None, 6).behind(image)
    assert behind.shape == image.shape
    assert abs(behind.mean() - image.mean()) < 2
    assert behind.std() < image.std()


@pytest.fixture
def served(model: Path, picture: Path) -> Iterator[str]:
    import uvicorn

    app = live.page(model, runtime(load(ROOT / "data_catalog.yaml")), background=picture)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([held],), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{held.getsockname()[1]}/"
        server.should_exit = True
        thread.join(10)


@pytest.mark.slow
@pytest.mark.browser
def test_the_page_replaces_the_background_of_a_camera(served: str, tmp_path: Path, chromium_with: Any) -> None:
    """A fake camera plays one drawn picture; the page's canvas shows its figure before blue, and how many frames a second."""
    image, mask = trained_network.drawn(HEIGHT, WIDTH, 7, (0.5, 0.5))
    with av.open(str(tmp_path / "camera.mjpeg"), "w") as container:
        stream = container.add_stream("mjpeg", rate=20)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    said: list[str] = []
    asked: list[str] = []
    browser = chromium_with(*camera, f"--use-file-for-fake-video-capture={tmp_path / 'camera.mjpeg'}")
    try:
        page = browser.new_page(bypass_csp=False)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(served)
        state = wait_for(page, 8)
        shown = canvas(page)
        assert page.evaluate("self.crossOriginIsolated")  # threads
        assert page.inner_text("#said") == ""
        assert "unet, 64 × 64, taught by release" in page.inner_text("#told")
        assert float(page.inner_text("#fps")) > 0
    finally:
        browser.close()
    assert state["fps"] > 0
    figure, ground = replaced(cv2.resize(shown, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), mask)
    assert figure < 30
    assert ground < 15
    assert said == []
    assert all(url.startswith((served, f"blob:{served}", "data:")) for url in asked)  # nothing is asked of anybody else


def wait_for(page: Any, count: int) -> dict[str, float]:
    """Wait until the page has shown so many frames; the page allows no code from strings, so it is asked from outside."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        state = page.evaluate("window.figureground")
        if state and state["frames"] >= count:
            return dict(state)
        time.sleep(0.2)
    return pytest.fail(f"no {count} frames in two minutes: {page.inner_text('body')}")


def canvas(page: Any) -> np.ndarray:
    """Read the page's canvas: RGB."""
    import base64

    held = page.evaluate("document.getElementById('shown').toDataURL('image/png')")
    content = np.frombuffer(base64.b64decode(held.partition(",")[2]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(content, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
