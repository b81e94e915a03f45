from html.parser import HTMLParser

import numpy as np
import pytest

from figureground.reports import source_report
from figureground.reports.source_report import Figure, Group, PipelineReport, SourceReport, Step
from figureground.types import Box

CROP = np.full((300, 120, 3), 90, np.uint8)
ALPHA = np.zeros((300, 120), np.float32)
ALPHA[50:250, 30:90] = 1


class Page(HTMLParser):
    """Collects a page's tags, words and addresses, and refuses tags that do not close."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words, self.images = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def told(**changes):
    figure = source_report.kept_figure("park-000000-00", CROP, ALPHA, "park-000000-00", "120×300, score 0.90")
    whole = {
        "source_id": "park",
        "facts": (("licence", "BSD-3-Clause"),),
        "warnings": ("The video ends early: its header promises 41 frames, 28 could be read.",),
        "steps": (Step("crops", 3, 1.0), Step("dropped: size", 1, 1 / 3, "size")),
        "frames": (source_report.frame_figure("park-000000", CROP, [(Box(10, 10, 90, 290), "00", "size")], "at 0.00 s"),),
        "kept": Group("Kept crops", "Crop, matte, outline.", (figure,), 1200),
        "dropped": (
            Group(
                "Dropped because of size: 1",
                "",
                (source_report.dropped_figure("b", CROP, "size", "b", "61.8, at least 96"),),
                1,
            ),
        ),
    }
    return SourceReport(**{**whole, **changes})


def way():
    pair = source_report.pair_figure("park-000000-00", CROP, ALPHA.astype(np.uint8), "train: park-000000-00")
    label = Group("Corrected", "", (source_report.label_figure("c", CROP, ALPHA, ALPHA[::-1].copy(), "c", "IoU 0.9"),), 1)
    return PipelineReport(
        title="The way",
        sources=(told(labels=(label,)),),
        release="CustomSeg",
        tree="CustomSeg/\n└── img_dir/",
        columns=("source", "frames"),
        counts=(("park", "1,016"), ("together", "1,016")),
        pairs=Group("Released pairs", "", (pair,), 1),
    )


PAGES = [source_report.source_page(told()), source_report.pipeline_page(way())]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_needs_no_other_file_and_runs_no_script(page):
    read = Page(page)
    assert {tag for tag, _ in read.tags}.isdisjoint({"script", "link", "iframe", "a"})
    assert read.images
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in read.images)
    assert "http" not in page
    assert "url(" not in page


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_a_title_a_language_and_words_for_every_picture(page):
    read = Page(page)
    assert ("html", {"lang": "en"}) in read.tags
    assert "title" in [tag for tag, _ in read.tags]
    assert any(attrs.get("name") == "viewport" for tag, attrs in read.tags if tag == "meta")
    assert all(len(image["alt"]) > 10 and int(image["width"]) > 0 and int(image["height"]) > 0 for image in read.images)


def test_a_source_page_shows_counts_reasons_values_and_what_is_left_out():
    text = Page(source_report.source_page(told())).text
    for words in ("park", "BSD-3-Clause", "promises 41 frames", "dropped: size 1", "61.8, at least 96", "1 of 1,200 shown"):
        assert words in text


def test_a_pipeline_page_shows_counts_and_the_release():
    text = Page(source_report.pipeline_page(way())).text
    for words in ("1,016", "CustomSeg/ └── img_dir/", "Corrected", "Released pairs"):
        assert words in text


def test_names_are_escaped():
    page = source_report.source_page(told(source_id="<script>alert(1)</script>", facts=(("from", 'a"><b>.mp4'),)))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert '"><b>' not in page


def test_a_source_without_crops_has_a_sentence_on_its_page():
    warning = "This source gives no crops: no person was found in its 16 frames."
    empty = told(warnings=(warning,), steps=(), kept=None, dropped=())
    text = Page(source_report.source_page(empty)).text
    assert "no person was found" in text
    assert "Kept" not in text


def test_the_same_content_gives_the_same_bytes():
    assert source_report.source_page(told()) == PAGES[0]
    assert source_report.pipeline_page(way()) == PAGES[1]


def test_thumbnails_are_small():
    figure = source_report.kept_figure("a", np.zeros((4000, 1000, 3), np.uint8), np.ones((4000, 1000), np.float32), "a", "")
    assert figure.height == source_report.THUMBNAIL
    assert figure.width == 3 * 40 + 2 * 4
    assert len(figure.src) < 12_000


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (700, 3), (200, 1)])
def test_odd_sizes_are_drawn(size):
    image, alpha = np.zeros((*size, 3), np.uint8), np.ones(size, np.float32)
    for figure in (
        source_report.kept_figure("a", image, alpha, "", ""),
        source_report.label_figure("a", image, alpha, alpha, "", ""),
        source_report.frame_figure("a", image, [(Box(0, 0, size[1], size[0]), "00", "")], ""),
        source_report.pair_figure("a", image, alpha.astype(np.uint8), ""),
    ):
        assert isinstance(figure, Figure)
        assert min(figure.width, figure.height) >= 1


def test_a_frames_alt_says_who_was_kept_and_dropped():
    boxes = [(Box(0, 0, 50, 50), "00", ""), (Box(60, 0, 90, 50), "01", "occlusion")]
    assert source_report.frame_figure("f", CROP, boxes, "").alt.endswith("person 00 kept; person 01 dropped: occlusion")
    assert source_report.frame_figure("f", CROP, [], "").alt.endswith("nobody found")


def test_a_seal_holds_until_one_byte_changes():
    content = source_report.sealed(PAGES[0], "mark-1")
    assert source_report.seal(content) == "mark-1"
    assert source_report.seal(content.replace(b"park", b"bark", 1)) == ""
    assert source_report.seal(PAGES[0].encode()) == ""
    assert source_report.seal(b"") == ""
