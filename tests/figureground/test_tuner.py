"""The limits' sliders of a report: what they work on, and in a real browser what dragging one shows."""

from dataclasses import dataclass
from math import nan

import numpy as np
import pytest

from figureground.reports import source_report
from figureground.reports.source_report import SourceReport

IMAGE = np.full((40, 20, 3), 90, np.uint8)


@dataclass(frozen=True)
class Size:
    """How large."""

    at_least: float = 64.0

    def measure(self, crop) -> float:
        return nan

    def accepts(self, value: float) -> bool:
        return value >= self.at_least


@dataclass(frozen=True)
class Place:
    """Where it was.

    Not a limit.
    """

    refused: tuple[str, ...] = ("studio",)

    def measure(self, crop) -> float:
        return nan

    def accepts(self, value: float) -> bool:
        return value == 0


CHECKS = {"size": Size(), "place": Place()}
CROPS = [(f"park-{n:06d}-00", IMAGE if n < 3 else None, {"size": float(n * 20), "place": float(n == 7)}) for n in range(9)]


def test_every_crop_and_check_is_there_and_not_measured_is_null() -> None:
    found = source_report.tuner(CHECKS, [*CROPS, ("park-000009-00", None, {"size": nan})])
    assert [check["name"] for check in found["checks"]] == ["size", "place"]
    assert found["checks"][0]["limits"] == {"at_least": 64.0}
    assert found["checks"][0]["meaning"] == "How large."
    assert found["checks"][1]["fixed"] == [0.0, 0.0]
    assert found["checks"][1]["others"] == ['refused: ["studio"]']
    assert [crop["values"] for crop in found["crops"][-2:]] == [[160.0, 0.0], [None, None]]
    assert [bool(crop["src"]) for crop in found["crops"]] == [True] * 3 + [False] * 7


@pytest.mark.browser
def test_moving_a_limit_shows_which_verdicts_flip_and_the_lines_to_paste(chromium, tmp_path) -> None:
    page_file = tmp_path / "park.html"
    told = SourceReport("park", (), (), (), tuner=source_report.tuner(CHECKS, CROPS))
    page_file.write_text(source_report.source_page(told))
    page = chromium.new_page()
    wrong, asked = [], []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_file.as_uri())
    words = page.locator('[data-check="size"] > p').nth(2)
    assert words.inner_text() == "4 of 9 crops refused by this check; 0 would change side"
    assert "size: {at_least: 64}" in page.locator("#yaml").inner_text()
    assert "4 of 9 crops of this source kept, 0 changed side" in page.locator("#yaml").inner_text()
    page.locator("#size-at_least").evaluate("node => { node.value = 30; node.dispatchEvent(new Event('input')); }")
    assert "2 of 9 crops refused by this check; 2 would change side" in words.inner_text()
    changed = page.locator('[data-check="size"] .changed figure')
    assert changed.evaluate_all("nodes => nodes.map(node => node.dataset.crop)") == ["park-000002-00", "park-000003-00"]
    yaml = page.locator("#yaml").inner_text()
    assert "6 of 9 crops of this source kept, 2 changed side" in yaml
    assert "size: {at_least: 30" in yaml
    assert 'place: {refused: ["studio"]}' in yaml
    assert wrong == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    page.close()
