"""Short real clips, cut from the demo's, and a catalog that has them as sources."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
import yaml

from figureground.catalog import defaults as catalog_defaults

ROOT = Path(__file__).parents[2]


def cut_out(whole: Path, into: Path, start: float, end: float) -> Path:
    """Write the frames between two moments, in seconds, as a clip of 30 frames a second."""
    with av.open(str(whole)) as source, av.open(str(into), "w") as made:
        given = source.streams.video[0]
        stream = made.add_stream("h264", rate=30)
        stream.width, stream.height, stream.pix_fmt = given.width // 2 * 2, given.height // 2 * 2, "yuv420p"
        taken = (frame for frame in source.decode(given) if start <= frame.time < end)
        for number, frame in enumerate(taken):
            frame.pts, frame.time_base = number, Fraction(1, 30)
            made.mux(stream.encode(frame))
        made.mux(stream.encode())
    return into


def write_sources(folder: Path, clips: dict[str, Path], **more: object) -> Path:
    """Write the demo's catalog with these clips as its sources; `more` replaces whole keys."""
    folder.mkdir(parents=True, exist_ok=True)
    content = catalog_defaults() | yaml.safe_load((ROOT / "data_catalog.yaml").read_text())
    entry = {"license": "BSD-3-Clause", "scenes": ["park"]}
    content["sources"] = {name: {**entry, "path": str(clip)} for name, clip in clips.items()}
    content["label_studio"]["label_config"] = str(ROOT / "label_config/person.xml")
    file = folder / "data_catalog.yaml"
    file.write_text(yaml.safe_dump(content | more, sort_keys=False))
    return file


@pytest.fixture(scope="session")
def cut() -> Callable[..., Path]:
    return cut_out


@pytest.fixture(scope="session")
def write_catalog_of() -> Callable[..., Path]:
    return write_sources


@pytest.fixture(scope="session")
def demo_clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A way to get one of the demo's clips, whole."""
    from figureground.catalog import load
    from tasks.ingest.fetch import fetch

    folder = tmp_path_factory.mktemp("demo-clips")
    catalog = load(ROOT / "data_catalog.yaml").model_copy(update={"storage": str(folder)})

    def give(name: str) -> Path:
        fetch.fn(catalog.source(name), catalog)
        return next((folder / "videos" / name).iterdir())

    return give


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory, demo_clip: Callable[[str], Path]) -> dict[str, Path]:
    """Three clips of one video, each of another length."""
    folder, whole = tmp_path_factory.mktemp("clips"), demo_clip("park")
    cuts = {"early": (0.0, 1.6), "middle": (2.2, 3.3), "late": (4.4, 6.0)}
    return {name: cut_out(whole, folder / f"{name}.mp4", *seconds) for name, seconds in cuts.items()}
