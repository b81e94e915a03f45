"""The card: every number is counted, in both languages, and the same manifest gives the same card."""

import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml

from figureground.datasets import card, manifest
from figureground.datasets.manifest import (
    AnnotationRecord,
    AttributionRecord,
    MatteRecord,
    SampleRecord,
    SecondAnnotationRecord,
    SourceRecord,
)

PROOF = {
    "alike_at_least": 0.75,
    "sources_kept_together": [["again", "park"]],
    "pairs": [{"splits": ["train", "val"], "closest": ["park-0", "walk-0"], "similarity": 0.5647, "thumbnail": "x.jpg"}],
}


def sample(source: str, split: str, origin: str, iou: float | None, scenes: tuple[str, ...]) -> SampleRecord:
    return SampleRecord(
        split=split, scenes=scenes, source=source, license="MIT", frame=f"{source}-0", index=0, seconds=0, box=(0, 0, 100, 200),
        person=(10, 20, 60, 120), sha256="c", matte=MatteRecord(remover="rembg", sha256="m"),
        annotation=AnnotationRecord(id=1, annotator="anna", origin=origin, sha256="l", iou_with_matte=iou),
    )  # fmt: skip


def test_footage_from_a_page_is_attributed_and_its_text_is_escaped() -> None:
    owed = AttributionRecord(
        title="<script>alert(1)</script> [x](http://evil)", uploader="anna|b", page="https://e.org/w?v=1`<b>",
        uploaded="2026-11-21", site="Youtube",
    )  # fmt: skip
    plain = made()
    park = replace(plain.sources["park"], attribution=owed)
    held = made(sources={**plain.sources, "park": park})
    text = card.render(held, PROOF)
    line = next(line for line in text.splitlines() if line.startswith("| park |"))
    assert line.endswith(
        r"`park\|.mp4`: “\<script\>alert\(1\)\</script\> \[x\]\(http://evil\)”, anna\|b, 2026-11-21, "
        "<https://e.org/w?v=1%60%3Cb%3E> |"
    )
    assert manifest.parse(manifest.to_bytes(held)).sources["park"].attribution == owed
    assert b"attribution" not in manifest.to_bytes(plain)  # the digests of releases without it stay what they are


def made(**changes: object) -> manifest.Manifest:
    funnel = {"frames": 9, "dropped: size": 2}
    sources = {name: SourceRecord(path=f"{name}|.mp4", sha256=name, license="MIT", funnel=funnel) for name in ("park", "walk")}
    samples = {
        "park-0": sample("park", "train", "prediction", 1.0, ("outdoor", "park")),
        "park-1": sample("park", "train", "prediction-changed", 0.9, ("park",)),
        "walk-0": sample("walk", "val", "prediction-changed", 0.8, ()),
    }
    return manifest.build({"mmseg_custom": {}}, sources, samples).model_copy(update=changes)


def test_the_ids_of_a_parsing_release_are_named() -> None:
    plain = made()
    parts = manifest.build({"human_parsing": {"classes": 5}}, plain.sources, plain.samples)
    text = card.render(parts, PROOF)
    assert "Label values are 0 (background), 1 (" in text and "4 (" in text and "Mask values" not in text
    assert "Mask values are 0 (background) and 1 (person)." in card.render(plain, PROOF)


def row(page: str, start: str) -> list[str]:
    line = next(line for line in page.splitlines() if line.startswith(start))
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_the_hub_reads_licence_splits_and_size() -> None:
    told = yaml.safe_load(card.render(made(), PROOF).split("---\n")[1])
    assert (told["license"], told["size_categories"], told["task_categories"]) == ("mit", ["n<1K"], ["image-segmentation"])
    assert told["configs"][0]["data_files"] == [
        {"split": "train", "path": "img_dir/train/*.jpg"},
        {"split": "validation", "path": "img_dir/val/*.jpg"},
    ]
    park = SourceRecord(path="p", sha256="p", license="CC0-1.0")
    assert "license: other" in card.render(made(sources={**made().sources, "park": park}), PROOF)


def test_the_table_counts_pictures_and_boxes_of_each_scene() -> None:
    page = card.render(made(), PROOF)
    assert row(page, "| person |")[:2] == ["person", "3"]
    assert row(page, "| person |")[3:8] == ["outdoor", "`split_dir/outdoor.txt`", "1", "1", "50 x 100"]
    assert row(page, "|  |  |  | park")[3:8] == ["park", "`split_dir/park.txt`", "2", "2", "50 x 100"]
    assert row(page, "| 人物 |")[3:8] == ["outdoor", "`split_dir/outdoor.txt`", "1", "1", "50 x 100"]


def test_routes_funnel_splits_limits_and_changes_are_described_in_both_languages() -> None:
    previous = manifest.PreviousRecord(name="CustomSeg_Person_20261101_x", digest="d" * 64, changes={"added": 2})
    page = card.render(made(previous=previous), PROOF)
    assert (row(page, "| corrected")[1:], row(page, "| 修正")[1:]) == (["2", "0.850"], ["2", "0.850"])
    assert (row(page, "| dropped: size")[1], row(page, "| 剔除： size")[1]) == ("4", "4")
    assert row(page, "| train") == ["train", "2", "park"]
    assert "0.565, `park-0` and `walk-0`" in page and "0.565，`park-0` 与 `walk-0`" in page
    assert "all of val comes from one source, walk" in page and "val 全部来自同一来源 walk" in page
    assert "33 % of the masks are predictions (rembg)" in page
    assert "2 added" in page and "新增 2" in page
    assert "again, park have similar images" in page


def test_a_bar_in_a_name_does_not_break_the_table() -> None:
    assert row(card.render(made(), PROOF), "| park |")[4] == "`park\\|.mp4`"


def test_pictures_of_splits_and_scenes_are_counted_for_a_chart() -> None:
    shares = card.compute_facts(made(), PROOF)["shares"]
    assert shares["split train"] == made().counts["train"]
    assert {name: count for name, count in shares.items() if not name.startswith("split ")} == {
        one["scene"]: one["pictures"] for one in card.compute_facts(made(), PROOF)["scenes"]
    }
    assert "](card/pictures.svg)" in card.render(made(), PROOF)


def test_the_chart_has_a_bar_for_each_step() -> None:
    drawn = card.draw_chart({"frames": 200, "dropped: a<b": 50})
    assert re.findall(r'width="([\d.]+)" height="18"', drawn) == ["530.0", "132.5"]
    assert "dropped: a&lt;b" in drawn


@pytest.mark.parametrize(("count", "expected"), [(3, 3), (8, 8), (100, 8)])
def test_examples_are_spread_over_all_samples(count: int, expected: int) -> None:
    one = next(iter(made().samples.values()))
    many = made(samples={f"s{at:03d}": one for at in range(count)})
    assert len(set(card.choose_examples(many))) == expected


def test_the_example_sheet_shows_pictures_over_cutouts() -> None:
    image, alpha = np.full((120, 60, 3), 90, np.uint8), np.zeros((120, 60), np.float32)
    alpha[30:90, 15:45] = 1
    sheet = cv2.imdecode(np.frombuffer(card.draw_examples([(image, alpha)] * 3), np.uint8), cv2.IMREAD_COLOR)
    assert sheet.shape == (480, 360, 3)
    assert abs(int(sheet[360, 60, 0]) - 90) < 6 and sheet[245, 5, 0] > 200


def test_second_opinions_are_counted_and_described_in_both_languages() -> None:
    pair = {"annotator": "bo", "verdict": "keep", "iou": 0.9, "boundary_iou": 0.7}
    samples = made().samples
    told = [pair, pair | {"verdict": "blurred", "iou": None, "boundary_iou": None}, pair | {"iou": 0.8, "boundary_iou": 0.5}]
    for (stem, one), second in zip(list(samples.items()), told, strict=True):
        annotation = replace(one.annotation, second=SecondAnnotationRecord(**second))
        samples = {**samples, stem: replace(one, annotation=annotation)}
    page = card.render(made(samples=samples), PROOF)
    assert "Two annotators labelled 3 of the images independently; both kept 2 of these." in page
    assert "mean IoU of 0.850 and a mean boundary IoU of 0.600" in page
    assert "平均 IoU 为 0.850，平均边界 IoU 为 0.600" in page
    assert "no image was annotated twice" not in page
    alone = card.render(made(), PROOF)
    assert "Two people saw" not in alone
    assert "no image was annotated twice" in alone


def test_a_manifest_without_parts_and_second_opinions_is_written_as_it_was() -> None:
    held = json.loads(manifest.to_bytes(made()))
    assert set(held["samples"]["park-0"]["annotation"]) == {"id", "annotator", "origin", "sha256", "iou_with_matte"}


def test_markup_in_names_takes_no_effect_in_the_card() -> None:
    plain = made()
    park = replace(plain.sources["park"], path="a`<img src=x>`|b\n# c.mp4", license="[x](http://evil)")
    sample = replace(plain.samples["park-0"], scenes=("<script>",))
    page = card.render(made(sources={**plain.sources, "park": park}, samples={**plain.samples, "park-0": sample}), PROOF)
    line = next(line for line in page.splitlines() if line.startswith("| park |"))
    assert "``a`<img src=x>`\\|b # c.mp4``" in line and r"\[x\]\(http://evil\)" in line
    assert r"| \<script\> |" in page and "| <script>" not in page
