"""What one annotator's answer may hold: it becomes a label or a reason, and stops no other answer."""

import base64
import struct
import time
import tracemalloc
import zlib
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from figureground.annotation import bitmask, label_interface, predictions
from figureground.annotation.label_interface import Interface
from figureground.annotation.label_table import read_with_classes
from figureground.annotation.sync_cursor import SyncCursor
from figureground.clients.label_studio.errors import DeepAnswerError, Redactor, translate_errors
from figureground.clients.label_studio.records import Project, ServerTask
from figureground.errors import LabelError, TransientError
from tasks.annotation import pull

WIDTH, HEIGHT = 60, 80


@pytest.fixture(params=["brush", "bitmask"])
def interface(request: pytest.FixtureRequest, catalog) -> Interface:
    return label_interface.load_interface(catalog.label_config_file, request.param)[0]


def answer(interface: Interface, **changes: Any) -> dict[str, Any]:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:60, 20:40] = 255
    region = predictions.make_result(interface, mask=mask, origin="manual")[0]
    inner = changes.pop("value", {})
    result = [region | {"value": region["value"] | inner} | changes.pop("region", {})]
    return {"id": 7, "result": result, "lead_time": 3.5, "parent_prediction": None} | changes


def read(annotation: dict[str, Any], interface: Interface):
    return read_with_classes(annotation, interface, WIDTH, HEIGHT, "park-1")[0]


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def two_headers() -> str:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    small, large = (chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 6, 0, 0, 0)) for size in ((WIDTH, HEIGHT), (16000, 16000)))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 10_000_000, 9))
    png = b"\x89PNG\r\n\x1a\n" + small + large + pixels + chunk(b"IEND", b"")
    return bitmask.PREFIX + base64.b64encode(png).decode()


ODD = [nested(50_000), 10**400, float("nan"), float("inf"), -1, "x", "\ud800", {}, [], [[1]], True, {"a": nested(2000)}]
CHOICES = {"type": "choices", "from_name": "verdict", "to_name": "image"}
PLACES: dict[str, Any] = {
    "parent_prediction": lambda odd: {"parent_prediction": odd},
    "lead_time": lambda odd: {"lead_time": odd},
    "result": lambda odd: {"result": odd},
    "an item": lambda odd: {"result": [odd]},
    "the value": lambda odd: {"region": {"value": odd}},
    "the stream": lambda odd: {"value": {"rle": odd}},
    "the picture": lambda odd: {"value": {"imageDataURL": odd}},
    "the labels": lambda odd: {"value": {"brushlabels": odd, "bitmasklabels": odd}},
    "choices": lambda odd: {"result": [CHOICES | {"value": {"choices": odd}}]},
    **{key: lambda odd, key=key: {"region": {key: odd}} for key in (
        "id", "type", "from_name", "to_name", "original_width", "original_height", "image_rotation", "origin",
    )},
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_an_answer_of_any_form_is_a_label_or_a_reason(interface: Interface, place: str) -> None:
    for odd in ODD:
        annotation = answer(interface, **PLACES[place](odd))
        label, reason = None, ""
        try:
            label = read(annotation, interface)
        except LabelError as error:
            reason = str(error)
        assert label is not None or (reason.startswith("annotation 7 of park-1") and len(reason) < 1500)
        assert label is None or label.parent_prediction is None or 0 < label.parent_prediction < 2**63
        assert label is None or 0 <= label.seconds_spent < 2**53


def test_a_png_with_two_headers_is_refused_before_it_is_decoded(catalog) -> None:
    interface = label_interface.load_interface(catalog.label_config_file, "bitmask")[0]
    annotation = answer(interface, value={"imageDataURL": two_headers()})
    tracemalloc.start()
    with pytest.raises(LabelError, match="a PNG with 2 headers; expected one"):
        read(annotation, interface)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


def test_a_very_long_stream_or_list_of_regions_is_refused_at_once(catalog) -> None:
    interface = label_interface.load_interface(catalog.label_config_file, "brush")[0]
    start = time.process_time()
    with pytest.raises(LabelError, match="more than 19200 values can take"):
        read(answer(interface, value={"rle": [0] * 5_000_000}), interface)
    many = answer(interface)
    with pytest.raises(LabelError, match="100,000 regions and answers"):
        read(many | {"result": many["result"] * 100_000}, interface)
    assert time.process_time() - start < 1


def test_an_answer_of_the_server_that_nests_too_deep_is_a_label_error() -> None:
    def fall() -> None:
        fall()

    with pytest.raises(DeepAnswerError, match="nests too deep"), translate_errors("http://studio", "reading", Redactor(()), ""):
        fall()


@dataclass
class Server:
    """A server whose lists fail as soon as one task of them is among the bad ones."""

    bad: dict[str, Exception]
    url: str = "http://studio"
    requests: int = 0
    returned: list[str] = field(default_factory=list)

    def list_annotated_tasks(self, _: Project, keys: list[str]) -> list[ServerTask]:
        self.requests += 1
        for key in keys:
            if key in self.bad:
                raise self.bad[key]
        return [task(key) for key in keys]

    def read_clock(self) -> str:
        return "2026-11-30T12:05:00.000000Z"

    def count_annotated_tasks(self, *_: Any) -> int:
        return 0

    def list_changed_tasks(self, *_: Any) -> list[ServerTask]:
        return [task(f"key-{number}") for number in range(100)]

    def list_annotators(self) -> dict[int, str]:
        return {}

    def find_tasks(self, *_: Any) -> dict[str, list[ServerTask]]:
        return {}


@dataclass
class Table:
    """A labels table that only notes what it is given."""

    names: dict[int, str] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    written: list[SyncCursor] = field(default_factory=list)
    current: None = None
    grows = False

    def restore(self) -> SyncCursor:
        return SyncCursor()

    def has_task(self, _: str) -> bool:
        return True

    def put(self, key: str, *_: Any, **__: Any) -> None:
        self.labels.append(key)

    def note_unreadable(self, key: str, reason: str) -> None:
        self.unreadable[key] = reason

    def write(self, cursor: SyncCursor) -> Any:
        self.written.append(cursor)
        return SimpleNamespace(rows=len(self.labels))


def task(key: str) -> ServerTask:
    number = int(key.partition("-")[2])
    when = "2026-11-30T12:00:00.000000Z"
    content = {"data": {"returned": nested(3)}, "annotations": [{"id": number, "updated_at": when, "result": []}]}
    return ServerTask(number, key, 1, 1, when, content)


def run(server: Server, table: Table) -> Any:
    return pull._Pull(server, Project(1, "http://studio/projects/1"), table, "park", pull.PullSettings()).run()  # type: ignore[arg-type]


def test_one_answer_that_cannot_be_read_hides_no_other() -> None:
    server, table = Server({"key-3": DeepAnswerError("nests too deep"), "key-70": DeepAnswerError("nests too deep")}), Table()
    run(server, table)
    assert sorted(table.labels) == sorted(f"key-{number}" for number in range(100) if number not in (3, 70))
    assert table.unreadable == {"key-3": "nests too deep", "key-70": "nests too deep"}
    assert server.requests < 40
    assert table.written[-1].time, "the cursor moves on"


def test_an_answer_that_the_server_cannot_send_is_asked_for_again_and_hides_no_other() -> None:
    server, table = Server({"key-3": TransientError("the Label Studio answered 500")}), Table()
    with pytest.raises(TransientError, match="1 tasks could not be read, all others are pulled; the first: the Label Studio"):
        run(server, table)
    assert len(table.labels) == 99 and table.unreadable == {}
    assert table.written == [SyncCursor()], "the next pull lists them again"


def test_a_server_that_is_away_is_not_asked_for_each_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away(Server):
        def read_clock(self) -> str:
            if self.requests:
                raise TransientError("lost the Label Studio")
            return super().read_clock()

    server = Away({"key-3": TransientError("the Label Studio answered 500")})
    with pytest.raises(TransientError, match="lost the Label Studio"):
        run(server, Table())
    assert server.requests == 1


def test_a_refusal_is_no_answer_that_cannot_be_read() -> None:
    table = Table()
    with pytest.raises(LabelError, match="refuses the token"):
        run(Server({"key-3": LabelError("the Label Studio refuses the token")}), table)
    assert table.unreadable == {} and table.written == []
