"""Frames per second of the live page in Chromium, with a fake camera of 256 × 256.

Run as ``python benchmarks/live.py [SECONDS]``.
The networks are untrained: how long one takes does not depend on its weights.
"""

import shutil
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import av
import cv2
import numpy as np
import torch
import uvicorn
from playwright.sync_api import sync_playwright

from figureground import plugins
from figureground.catalog import load
from figureground.inference import backends
from figureground.training import export
from figureground.training.exported_model import About
from flows.live import runtime
from tasks.models import live

ROOT = Path(__file__).parents[1]
SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
CASES = [
    ("unet", {"encoder": "timm-mobilenetv3_small_minimal_100", "width": 2}, 256),
    ("unet", {"encoder": "timm-mobilenetv3_small_minimal_100", "width": 4}, 256),
    ("unet", {"encoder": "mobilenet_v2", "width": 4}, 256),
]


def clip(file: Path) -> None:
    """Write a disc that moves over a ground, 30 frames a second as cameras give them."""
    with av.open(str(file), "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 256, 256, "yuvj420p"
        for number in range(30):
            image = np.full((256, 256, 3), (40, 60, 50), np.uint8)
            cv2.circle(image, (100 + 2 * number, 128), 50, (230, 190, 160), -1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def shown(folder: Path, model: Path, files: dict[str, Path]) -> dict[str, float]:
    app, listener = live.page(model, files), socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    threading.Thread(target=server.run, args=([listener],), daemon=True).start()
    camera = [f"--use-file-for-fake-video-capture={folder / 'clip.mjpeg'}", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream", *camera]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        while not page.evaluate("window.figureground && window.figureground.frames > 10"):
            time.sleep(0.2)
        before, begun = page.evaluate("window.figureground.frames"), time.perf_counter()
        time.sleep(SECONDS)
        state = page.evaluate("window.figureground")
        state["fps"] = (state["frames"] - before) / (time.perf_counter() - begun)
        browser.close()
    server.should_exit = True
    return state


def main() -> None:
    files = runtime(load(ROOT / "data_catalog.yaml"))
    print("| network | side | frames per second | ms in the network | threads | ms in OpenVINO |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        clip(folder / "clip.mjpeg")
        for name, settings, side in CASES:
            torch.manual_seed(0)
            network = export.Answering(plugins.build("networks", name, settings).build(1), 1)
            about = About(network=name, side=side, names=("person",), release="none", digest="none", checkpoint="none")
            export.write_onnx(network, about, folder / "model.onnx")
            _, milliseconds = export.asked(backends.open_file(folder / "model.onnx"), [np.zeros((side, side, 3), np.uint8)])
            measured = shown(folder, folder / "model.onnx", files)
            described = ", ".join(map(str, settings.values()))
            rates = f"{measured['fps']:.1f} | {measured['milliseconds']:.0f} | {measured['threads']}"
            print(f"| {name} ({described}) | {side} | {rates} | {milliseconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
