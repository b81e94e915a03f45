"""Networks written by hand: ONNX is protobuf, and a network of two nodes needs some dozen bytes of it."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from figureground.storage import assets
from figureground.storage.atomic import write_file
from figureground.types import Weights


def field(number: int, content: int | str | bytes) -> bytes:
    if isinstance(content, int):
        return bytes([number << 3, content])
    content = content.encode() if isinstance(content, str) else content
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def value(name: str, shape: Sequence[int | str]) -> bytes:
    sizes = b"".join(field(1, field(1, size) if isinstance(size, int) else field(2, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, sizes)))


def network(shape: Sequence[int | str]) -> bytes:
    """Negate, and give the absolute value as a second output."""
    nodes = [field(1, "x") + field(2, name) + field(4, operator) for name, operator in (("minus", "Neg"), ("size", "Abs"))]
    graph = b"".join(field(1, node) for node in nodes) + field(2, "g") + field(11, value("x", shape))
    graph += field(12, value("minus", shape)) + field(12, value("size", shape))
    head = field(1, 8)  # the file format's version
    return head + bytes([7 << 3 | 2, len(graph) & 127 | 128, len(graph) >> 7]) + graph + field(8, field(1, "") + field(2, 13))


@pytest.fixture(scope="session")
def negating() -> Callable[[Sequence[int | str]], bytes]:
    """A way to get such a network for an input of some shape; a word is a side of any length."""
    return network


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Weights]:
    """A way to put a file into a cache of this test's own, as an asset."""
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path))

    def put(content: bytes, name: str = "net.onnx") -> Weights:
        weights = Weights(name, hashlib.sha256(content).hexdigest())
        write_file(assets.path_in_cache(weights), content)
        return weights

    return put
