"""Golden outputs: what a plug-in, head or stage gives on a small input, with the version that gave it.

``golden/<name>.json`` holds the version, the tolerance and the output. A test fails when the output changed and ``VERSION`` did
not, or when ``VERSION`` was raised and the file was not. To write the file of something new or of a raised version:
``python -m pytest tests/contracts --update-golden``. The option refuses to write over an output of the same version.
"""

import base64
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from figureground.storage.hashing import sha256

FOLDER = Path(__file__).parent / "golden"
GoldenCheck = Callable[..., None]


def compare(file: Path, version: int, output: Any, tolerance: float, *, update: bool) -> None:
    """Compare an output with its golden file, or write the file where that is allowed.

    Parameters
    ----------
    file
        The golden file.
    version
        ``VERSION`` of what gave the output.
    output
        Numbers, texts, and lists and mappings of them.
    tolerance
        Largest difference of two numbers, relative above 1: above 0 where another processor may give other digits.
    update
        Whether the file may be written.
    """
    name = file.stem
    if not file.exists():
        if not update:
            pytest.fail(f"{name} has no golden output; run pytest on this file with --update-golden, and commit {file}")
        _write(file, version, output, tolerance)
        return
    kept = json.loads(file.read_text(encoding="utf-8"))
    if version > kept["version"] and update:
        _write(file, version, output, tolerance)
    elif version != kept["version"]:
        pytest.fail(f"{name} has VERSION {version}, its golden output is of {kept['version']}; run pytest with --update-golden")
    elif found := difference(kept["output"], json.loads(json.dumps(output)), kept["tolerance"]):
        pytest.fail(
            f"the output of {name} changed and its VERSION, {version}, did not: {found}. If the change is meant, raise VERSION "
            "by 1 and run pytest with --update-golden; what users have stored is then made again. Else mend the change"
        )


def _write(file: Path, version: int, output: Any, tolerance: float) -> None:
    file.parent.mkdir(exist_ok=True)
    content = {"version": version, "tolerance": tolerance, "output": output}
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def difference(expected: Any, found: Any, tolerance: float, place: str = "output") -> str:
    """Describe the first difference of two outputs, or give "" when there is none."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        if expected.keys() != found.keys():
            return f"{place}: expected the keys {sorted(expected)}, found {sorted(found)}"
        return next(filter(None, (difference(expected[key], found[key], tolerance, f"{place}.{key}") for key in expected)), "")
    if isinstance(expected, list) and isinstance(found, Sequence) and not isinstance(found, str):
        if len(expected) != len(found):
            return f"{place}: expected {len(expected)} values, found {len(found)}"
        pairs = enumerate(zip(expected, found, strict=True))
        return next(filter(None, (difference(*pair, tolerance, f"{place}[{number}]") for number, pair in pairs)), "")
    if _equal(expected, found, tolerance):
        return ""
    return f"{place}: expected {expected!r} within {tolerance}, found {found!r}"


def _equal(expected: Any, found: Any, tolerance: float) -> bool:
    numbers = [isinstance(value, int | float) and not isinstance(value, bool) for value in (expected, found)]
    if not all(numbers):
        return type(expected) is type(found) and bool(expected == found)
    if math.isnan(expected) or math.isnan(found):
        return math.isnan(expected) and math.isnan(found)
    return abs(expected - found) <= tolerance * max(1.0, abs(expected))


def thumbnail(image: NDArray[Any], side: int = 8) -> list[Any]:
    """Shrink an image or a mask to side x side means: small enough to be kept, and any change of it shows."""
    small = cv2.resize(np.asarray(image, np.float32), (side, side), interpolation=cv2.INTER_AREA)
    return [[_rounded(value) for value in row] for row in small]


def page_content(page: str) -> dict[str, Any]:
    """Split a page of HTML into its lines and its images, which are shown small; a style or script is one sha256."""
    address = r"data:image/\w+;base64,([A-Za-z0-9+/=]+)"
    text = re.sub(
        r"<(style|script)\b([^>]*)>(.*?)</\1>",
        lambda block: f"<{block[1]}{block[2]}>{sha256(block[3].encode())}</{block[1]}>",
        re.sub(address, "IMAGE", page),
        flags=re.DOTALL,
    )
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    return {"lines": lines, "images": [_decoded(found) for found in re.findall(address, page)]}


def _decoded(text: str) -> Any:
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)
    return {"shape": list(pixels.shape), "pixels": thumbnail(pixels, 2)}


def _rounded(value: Any) -> Any:
    return [round(float(part), 4) for part in value] if np.ndim(value) else round(float(value), 4)
