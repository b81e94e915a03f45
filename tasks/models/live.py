"""live: an exported network → another background behind people, in a file or on a page that the browser computes itself."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import figureground
from figureground import progress
from figureground.errors import AssetError, SourceError
from figureground.inference import backends
from figureground.live import background_replacement
from figureground.live.background_replacement import Background
from figureground.media import cameras
from figureground.media.decoding import VideoReader
from figureground.storage.atomic import write_beside
from figureground.training import exported_model
from figureground.training.exported_model import About
from figureground.types import Image

RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""ONNX Runtime Web's files, which the catalog names as assets."""
MODEL = "model.onnx"
_PAGE = Path(figureground.__file__).parent / "live/web"
_PAGES = ("live.html", "live.css", "live.js", "live_worker.js")
_KINDS = {
    ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm",
    ".onnx": "application/octet-stream",
}  # fmt: skip
_ALONE = {
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp", "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self' blob:; img-src 'self' blob: data:; "
    "script-src 'self' blob: 'wasm-unsafe-eval'; frame-ancestors 'none'",
}  # fmt: skip
"""Without the first two a browser gives no memory that threads may share, and the network runs on one core."""
_TICKS = 90_000


def find_model(path: Path) -> tuple[Path, About]:
    """Find the network in an export's folder, a checkpoint's, or take the file itself; and what it says of itself.

    Raises
    ------
    AssetError
        When there is none.
    """
    near = [path, path / MODEL, path / "export" / MODEL]
    file = next((sample for sample in near if sample.is_file()), None)
    if file is None:
        raise AssetError(f"{path} holds no {MODEL}; `figureground export-model` makes one")
    return file, exported_model.read(file)


def load_background(picture: Path | None, blur: float) -> Background:
    """Read the picture that goes behind, where one is given.

    Raises
    ------
    SourceError
        When it is none.
    """
    if picture is None:
        return Background(None, blur)
    result = cv2.imread(str(picture), cv2.IMREAD_COLOR) if picture.is_file() else None
    if result is None:
        raise SourceError(f"--background {picture}: expected a picture (JPEG, PNG, WebP); found none that can be read")
    return Background(np.asarray(cv2.cvtColor(result, cv2.COLOR_BGR2RGB), np.uint8), blur)


def replace_video(model: Path, video: Path, into: Path, background: Background) -> int:
    """Put the people of a video on another background: an mp4, each frame at its own time, without sound.

    Returns
    -------
    int
        Frames written.

    Raises
    ------
    AssetError
        When the model is none.
    SourceError
        When the video cannot be read.
    StoreError
        When the file cannot be written.
    """
    with VideoReader(video) as reader:
        total = reader.promised or 0
        frames = ((frame.seconds, frame.image()) for frame in reader.frames())
        return _written(model, progress.track(frames, "live", video.name, total), into, background, reader.fps)


def replace_camera(model: Path, device: str, into: Path, background: Background, seconds: float | None) -> int:
    """Do the same with a camera, for so many seconds or until somebody stops it; what was taken until then is kept.

    Raises
    ------
    SourceError
        When there is no such camera.
    """
    return _written(model, _until_stopped(cameras.frames(device, seconds)), into, background, 0.0)


def _until_stopped(frames: Iterator[tuple[float, Image]]) -> Iterator[tuple[float, Image]]:
    try:
        for number, sample in enumerate(frames, 1):
            progress.report("live", "camera", number, 0)
            yield sample
    except KeyboardInterrupt:
        return


def _written(model: Path, frames: Iterator[tuple[float, Image]], into: Path, background: Background, fps: float) -> int:
    file, about = find_model(model)
    predict, count = backends.open_file(file), 0
    with write_beside(into.with_suffix(".mp4")) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream: Any = None
        for seconds, image in frames:
            even = np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])  # as its colours ask for
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(fps or 30).limit_denominator(1001))
                stream.width, stream.height, stream.pix_fmt = even.shape[1], even.shape[0], "yuv420p"
                stream.codec_context.time_base = Fraction(1, _TICKS)
            frame = av.VideoFrame.from_ndarray(
                background_replacement.replace_background(predict, about, even, background), format="rgb24"
            )
            frame.pts, frame.time_base = round(seconds * _TICKS), Fraction(1, _TICKS)
            container.mux(stream.encode(frame))
            count += 1
        if stream is None:
            raise SourceError("no frame came, so nothing is written")
        container.mux(stream.encode())
    return count


def page(
    model: Path, files: dict[str, Path], *, background: Path | None = None, blur: float = 14.0, video: Path | None = None
) -> Any:
    """Make the web server of the live page: what it serves is listed here and nothing else can be asked for.

    Parameters
    ----------
    model
        See `model_of`.
    files
        ONNX Runtime Web's, the names of `RUNTIME` and where they are.
    background, blur, video
        What the page begins with; each may be changed on it. Without a video it begins with the camera.

    Returns
    -------
    fastapi.FastAPI
        For uvicorn.

    Raises
    ------
    AssetError
        When the model is none.
    SourceError
        When a given picture or video cannot be read.
    """
    from fastapi import FastAPI
    from fastapi.responses import FileResponse, JSONResponse

    file, about = find_model(model)
    load_background(background, blur)
    served = {"model.onnx": file, **{f"ort/{name}": path for name, path in files.items()}}
    served |= {name: _PAGE / name for name in _PAGES} | {"": _PAGE / "live.html"}
    served |= {"background": background} if background else {}
    if video:
        with VideoReader(video):
            served["video"] = video
    text = {
        "side": about.side, "stretch": about.stretch, "network": about.network, "release": about.release, "blur": blur,
        "background": background is not None, "video": video is not None,
    }  # fmt: skip
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def serving(served_file: Path) -> Callable[[], FileResponse]:
        return lambda: FileResponse(served_file, media_type=_KINDS.get(served_file.suffix), headers=_ALONE)

    for name, served_file in served.items():
        app.add_api_route(f"/{name}", serving(served_file), methods=["GET", "HEAD"])
    app.add_api_route("/about.json", lambda: JSONResponse(text, headers=_ALONE), methods=["GET"])
    return app
