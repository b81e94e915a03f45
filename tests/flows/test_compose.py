"""Composing as a user runs it: the command line, real weights that find the person in a background, a process of its own."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from figureground.catalog import defaults as catalog_defaults

ROOT = Path(__file__).parents[2]
DAVIS = ROOT.parent / "shared/data/davis"

pytestmark = [pytest.mark.weights, pytest.mark.slow]


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory, run) -> Path:
    """People of one sequence before frames of another: the half without anybody, and one whole frame with its hiker."""
    if not DAVIS.is_dir():
        pytest.skip("no ../shared/data")
    folder = tmp_path_factory.mktemp("composed")
    (folder / "people").mkdir()
    (folder / "scenes").mkdir()
    for name, number in (("swing", 10), ("rollerblade", 5), ("dance-jump", 30)):
        image, mask = (sorted((DAVIS / name / kind).iterdir())[number] for kind in ("images", "masks"))
        alpha = cv2.GaussianBlur(cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE), (0, 0), 1)
        picture = cv2.imread(str(image))
        picture[alpha == 0] = 0
        assert cv2.imwrite(str(folder / f"people/{name}.png"), np.dstack([picture, alpha]))
    for name in ("hike", "rollerblade"):
        for at, file in enumerate(sorted((DAVIS / name / "images").iterdir())[::12]):
            mask = cv2.imread(str(DAVIS / name / "masks" / f"{file.stem}.png"), cv2.IMREAD_GRAYSCALE)
            for columns in (slice(0, 427), slice(427, 854)):
                if not mask[:, columns].any():
                    assert cv2.imwrite(str(folder / f"scenes/{name}-{at:03d}.png"), cv2.imread(str(file))[:, columns])
    crowd = sorted((DAVIS / "hike/images").iterdir())[40]
    assert cv2.imwrite(str(folder / "scenes/hiker-000.png"), cv2.imread(str(crowd)))
    content = catalog_defaults() | yaml.safe_load((ROOT / "data_catalog.yaml").read_text())
    content["compose"] = {
        "people": ["people"],
        "backgrounds": [{"path": "scenes"}],
        "pictures": 12,
        "val": 0.25,
        "width": 320,
        "height": 320,
    }
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump(content))
    found = run("compose", "--workers", "2", cwd=folder)
    assert re.search(r"composed and verified: SyntheticSeg_Person_synthetic", found.stdout), found.stdout
    return folder


def test_the_background_with_somebody_is_refused(composed: Path) -> None:
    rows = pd.read_parquet(composed / "data/tables/backgrounds/synthetic.parquet").set_index("background_id")
    assert rows.loc["hiker-000", "reason"].startswith("person: ")
    assert (rows["reason"] == "").sum() >= 2


def test_the_page_shows_the_pairs(composed: Path) -> None:
    page = (composed / "data/reports/SyntheticSeg_Person_synthetic.html").read_text()
    assert page.count("<img") >= 1 and "person: 1" in page


def test_verify_and_one_picture_again(composed: Path, run) -> None:
    folder = composed / "data/releases/SyntheticSeg_Person_synthetic"
    assert "is whole" in run("verify", str(folder), cwd=composed).stdout
    again = run("compose", "--sample-id", "000004", "--into", "again", cwd=composed)
    assert "the same as in the composition" in again.stdout
    names = [path.relative_to(composed / "again") for path in (composed / "again").rglob("000004*")]
    assert names and all((folder / name).read_bytes() == (composed / "again" / name).read_bytes() for name in names)
    assert set(json.loads((folder / "composition.json").read_text())["counts"]) <= {"train", "val"}
