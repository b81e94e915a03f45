"""Where samples come from: tables joined."""

import pandas as pd
import pytest

from figureground.datasets import provenance
from figureground.datasets.manifest import AnnotationRecord, AttributionRecord, MatteRecord
from figureground.tables import Table
from figureground.types import Source

SOURCE = Source("park", "video", "park.mp4", "", "MIT", ("park", "outdoor"), "auto")


def table(*rows: dict[str, object], **facts: object) -> Table:
    return Table(pd.DataFrame(list(rows)), facts)


def found(**label: object) -> dict[str, Table]:
    answer = {"annotation_id": 3, "annotator": "anna", "origin": "manual", "verdict": "keep", "file": "l.png", "sha256": "l"}
    answer |= {"iou_with_matte": 0.75, "agreement": float("nan"), "boundary_agreement": float("nan"), "classes": 0}
    answer |= dict.fromkeys(("second_annotator", "second_verdict", "parts", "parts_sha256"), "")
    box = {"x0": 1, "y0": 2, "x1": 30, "y1": 40, "width": 29, "height": 38}
    box |= {"person_x0": -4.0, "person_y0": 4.6, "person_x1": 20.2, "person_y1": 38.0}
    return {
        "videos": table({"path": "clips/park.mp4", "sha256": "v", "license": "MIT"}),
        "frames": table({"frame_id": "park-000004", "index": 4, "seconds": 0.16}),
        "crops": table({"crop_id": "park-000004-00", "frame_id": "park-000004", **box, "file": "c.jpg", "sha256": "c"}),
        "labels": table({"crop_id": "park-000004-00", "scenes": [], **answer, **label}),
    }


def test_a_kept_label_becomes_a_pick() -> None:
    (pick,) = provenance.picks(SOURCE, "val", found())
    assert (pick.sample_id, pick.image_file, pick.label_file) == ("park-000004-00", "c.jpg", "l.png")
    record = pick.record
    assert (record.split, record.source, record.license, record.frame) == ("val", "park", "MIT", "park-000004")
    assert (record.index, record.seconds, record.box, record.sha256) == (4, 0.16, (1, 2, 30, 40), "c")
    assert record.matte is None
    assert record.person == (0, 3, 19, 36)
    told = AnnotationRecord(id=3, annotator="anna", origin="manual", sha256="l", iou_with_matte=0.75)
    assert record.annotation == told


@pytest.mark.parametrize("label", [{"verdict": "blurred"}, {"verdict": ""}, {"file": ""}])
def test_a_label_that_is_not_kept_or_has_no_mask_is_left_out(label: dict[str, object]) -> None:
    assert provenance.picks(SOURCE, "val", found(**label)) == []


@pytest.mark.parametrize(("chosen", "told"), [([], ("outdoor", "park")), (["snow", "indoor", "snow"], ("indoor", "snow"))])
def test_scenes_are_the_annotators_or_else_the_sources(chosen: list[str], told: tuple[str, ...]) -> None:
    (pick,) = provenance.picks(SOURCE, "val", found(scenes=chosen))
    assert pick.record.scenes == told


def test_scenes_the_annotators_were_not_offered_always_count() -> None:
    pushed = table(scenes_not_offered=["park", "elsewhere"])
    (pick,) = provenance.picks(SOURCE, "val", {**found(scenes=["indoor"]), "tasks": pushed})
    assert pick.record.scenes == ("indoor", "park")


def test_a_matte_is_remembered() -> None:
    mattes = table({"crop_id": "park-000004-00", "remover": "rembg", "file": "m.png", "sha256": "m"})
    (pick,) = provenance.picks(SOURCE, "val", {**found(), "mattes": mattes})
    assert pick.record.matte == MatteRecord(remover="rembg", sha256="m")


def test_weights_that_the_tables_name_are_collected() -> None:
    crops = Table(found()["crops"].rows, {"weights": {"yolo.pt": "y"}})
    assert provenance.source({**found(), "crops": crops, "mattes": table(weights={"u2netp.onnx": "u"})}).weights == {
        "yolo.pt": "y",
        "u2netp.onnx": "u",
    }


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("package:Sports2D==0.8.34!Sports2D/Demo/demo.mp4", "package:Sports2D==0.8.34!Sports2D/Demo/demo.mp4"),
        ("clips/a.mp4", "clips/a.mp4"),
        ("s3://bucket/a.mp4", "s3://bucket/a.mp4"),
        ("https://user:secret@example.org/a.mp4?X-Amz-Signature=1#t", "https://example.org/a.mp4"),
        ("/home/anna/a.mp4", "a.mp4"),
        ("~/a.mp4", "a.mp4"),
        ("../../anna/a.mp4", "a.mp4"),
    ],
)
def test_a_release_tells_no_secrets_and_no_folders(path: str, told: str) -> None:
    assert provenance.public_path(path) == told


def test_footage_from_a_page_is_attributed_and_other_footage_is_not() -> None:
    words = {"title": "A walk", "uploader": "anna", "page": "https://e.org/w?v=1", "uploaded": "2026-11-21", "site": "Youtube"}
    row = {"path": "https://e.org/w?v=1", "sha256": "v", "license": "CC-BY-4.0"}
    assert provenance.source({"videos": table(row | words)}).attribution == AttributionRecord(**words)
    assert provenance.source({"videos": table(row | dict.fromkeys(words, ""))}).attribution is None
    assert provenance.source({"videos": table(row)}).attribution is None


def test_several_photos_are_recorded_as_their_folder_and_the_hash_of_their_hashes() -> None:
    rows = [{"path": f"shoot/{name}.jpg", "sha256": name, "license": "MIT"} for name in "ba"]
    one, other = (provenance.source({"videos": table(*some)}) for some in (rows, rows[::-1]))
    assert one == other
    assert (one.path, one.license, len(one.sha256)) == ("shoot", "MIT", 64)
    assert provenance.source({"videos": table(rows[0], rows[1] | {"sha256": "c"})}).sha256 != one.sha256
