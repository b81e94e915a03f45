"""The plain loop: what a user would write in an afternoon with the same libraries and weights. Others are measured against it.

    python benchmarks/plain.py VIDEO FOLDER --every 0.167 --detector yolo11n-pose.pt --models FOLDER

Writes crop and matte of every person, and boxes.json: file, frame index, the crop in its frame. Prints one line of JSON.
The pace is taken from the fourth frame on: the first calls compile and warm up.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=float, default=0.5)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--models", required=True, help="holds u2netp.onnx")
    options = parser.parse_args()
    os.environ["U2NET_HOME"] = options.models
    options.folder.mkdir(parents=True, exist_ok=True)
    print(json.dumps(loop(options.video, options.folder, options.every, options.detector)))


def loop(video: str, folder: Path, every: float, detector: str) -> dict[str, float]:
    import cv2
    import numpy as np
    from rembg import new_session, remove
    from ultralytics import YOLO

    model, session = YOLO(detector), new_session("u2netp")
    began, warm, frames, boxes, index = time.perf_counter(), 0, 0, [], -1
    footage = cv2.VideoCapture(video)
    step = max(1, round(every * (footage.get(cv2.CAP_PROP_FPS) or 25)))
    while True:
        read, frame = footage.read()
        if not read:
            break
        index += 1
        if index % step:
            continue
        frames += 1
        height, width = frame.shape[:2]
        for number, (x0, y0, x1, y1) in enumerate(model(frame, classes=[0], verbose=False)[0].boxes.xyxy.tolist()):
            dx, dy = (x1 - x0) * 0.1, (y1 - y0) * 0.1
            x0, y0, x1, y1 = (int(v) for v in (max(0, x0 - dx), max(0, y0 - dy), min(width, x1 + dx), min(height, y1 + dy)))
            crop = frame[y0:y1, x0:x1]
            if min(crop.shape[:2]) < 96 or cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), cv2.CV_64F).var() < 30:
                continue
            mask = np.asarray(remove(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB), session=session, only_mask=True))
            name = f"{index:06d}-{number:02d}"
            cv2.imwrite(str(folder / f"{name}.jpg"), crop)
            cv2.imwrite(str(folder / f"{name}.png"), mask)
            boxes.append([f"{name}.png", index, x0, y0, x1, y1])
        if frames == 3:
            began, warm = time.perf_counter(), 3
    seconds = time.perf_counter() - began
    (folder / "boxes.json").write_text(json.dumps(boxes))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"frames": frames, "crops": len(boxes), "ms_per_frame": 1000 * seconds / max(1, frames - warm), "peak_mb": peak}


if __name__ == "__main__":
    main()
