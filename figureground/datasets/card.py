"""The dataset card: README.md of a release in English and Chinese, computed from its manifest and certificate."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np

from figureground.annotation.label_interface import KEEP
from figureground.datasets.manifest import AttributionRecord, Manifest, SampleRecord
from figureground.datasets.splits import SPLITS
from figureground.escaping import escape_markdown, markdown_code
from figureground.imaging import class_maps, drawing
from figureground.imaging.drawing import HUMAN
from figureground.types import Alpha, Image

FILE = "README.md"
FOLDER = "card"
EXAMPLES = 8
_HUB_LICENSES = {
    "apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-3.0",
    "cc-by-sa-3.0", "gpl-3.0", "agpl-3.0", "unlicense", "odc-by", "odbl",
}  # fmt: skip
_HUB_SPLITS = {"train": "train", "val": "validation", "test": "test"}
_ROUTES = {
    "prediction": ("accepted", "直接采用"),
    "prediction-changed": ("corrected", "修正"),
    "manual": ("drawn", "手绘"),
    "imported": ("imported from another dataset", "来自其他数据集"),
}
_CHANGES = {
    "added": "新增", "dropped": "删除", "re-annotated": "重新标注",
    "re-cropped": "重新裁剪", "moved": "换集合", "relisted": "换场景",
}  # fmt: skip
_STEPS = ("frames", "refused", "people", "too small to crop", "crops", "dropped", "kept", "pushed", "labelled", "rejected")
_FEW, _SMALL = 30, 64
"""Images of a scene, and pixels of a person's short side: below these, the card warns."""


def render(manifest: Manifest, certificate: Mapping[str, Any]) -> str:
    """Render the card.

    Parameters
    ----------
    manifest
        Its samples, sources and layouts are used, its files are not.
    certificate
        See `figureground.datasets.certificate.build`.

    Returns
    -------
    str
        Markdown with the Hub's YAML on top; the same for the same manifest.
    """
    return render_facts(compute_facts(manifest, certificate))


def render_facts(facts: Mapping[str, Any]) -> str:
    """Render the card of facts that `compute_facts` gave."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(  # Markdown, escaped by the filters below  # nosec B701
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=False, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    templates.filters |= {"escaped": escape_markdown, "code": markdown_code}
    return templates.get_template("card.md.jinja").render(facts)


def compute_facts(manifest: Manifest, certificate: Mapping[str, Any]) -> dict[str, Any]:
    """Compute everything that the card shows, as plain values."""
    samples = manifest.samples
    return {
        "counts": manifest.counts,
        "total": len(samples),
        "license": _license(manifest),
        "size": _size(len(samples)),
        "configs": _configs(manifest),
        "layouts": manifest.layouts,
        "parts": _parts(manifest),
        "overall": _describe(list(samples.values())),
        "scenes": _scenes(samples),
        "sources": _sources(manifest),
        "funnel": _funnel(manifest),
        "shares": _shares(manifest),
        "routes": _routes(samples),
        "annotators": len({sample.annotation.annotator for sample in samples.values()} - {""}),
        "imported": sum(sample.annotation.origin == "imported" for sample in samples.values()),
        "seconds": _seconds(samples),
        "splits": _splits(manifest),
        "pairs": certificate["pairs"],
        "alike": certificate["alike_at_least"],
        "kept_together": certificate["sources_kept_together"],
        "limits": _limits(manifest),
        "previous": manifest.previous,
        "change_words": _CHANGES,
        "code": manifest.code,
    }


def _license(manifest: Manifest) -> str:
    """Give the Hub's name of the licence when all footage has the same one, else "other"."""
    licenses = {source.license.lower() for source in manifest.sources.values()}
    return next(iter(licenses)) if len(licenses) == 1 and licenses <= _HUB_LICENSES else "other"


def _size(count: int) -> str:
    bounds = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    return next((words for bound, words in bounds if count < bound), "n>1M")


def _parts(manifest: Manifest) -> str:
    """Name the classes of a release of class maps; "" for a release of masks."""
    itself = manifest.layouts.get("human_parsing") == "."
    classes = manifest.settings.get("human_parsing", {}).get("classes", 2) if itself else 2
    return ", ".join(f"{number} ({name})" for number, name in enumerate(class_maps.NAMES[classes])) if classes > 2 else ""


def _configs(manifest: Manifest) -> list[tuple[str, str]]:
    """Give the Hub's split names, each with the files that the Hub shows."""
    layout_folder = manifest.layouts.get("huggingface")
    folder = "" if layout_folder == "." else f"{layout_folder}/"
    pattern = "img_dir/{}/*.jpg" if layout_folder is None else folder + "data/{}-*.parquet"
    if layout_folder is None and manifest.layouts.get("mmseg_custom") != ".":
        return []
    return [(_HUB_SPLITS[split], pattern.format(split)) for split in SPLITS if split in manifest.counts]


def _describe(samples: Sequence[SampleRecord]) -> dict[str, Any]:
    """Compute sizes, sources and splits of some samples."""
    sizes = [(sample.box[2] - sample.box[0], sample.box[3] - sample.box[1]) for sample in samples]
    boxes = [(sample.person[2] - sample.person[0], sample.person[3] - sample.person[1]) for sample in samples]
    return {
        "pictures": len(samples),
        "boxes": sum(width > 0 and height > 0 for width, height in boxes),
        "box_width": round(fmean(width for width, _ in boxes)),
        "box_height": round(fmean(height for _, height in boxes)),
        "share": round(100 * fmean(b[0] * b[1] / max(1, s[0] * s[1]) for b, s in zip(boxes, sizes, strict=True))),
        "heights": (min(height for _, height in sizes), round(median(height for _, height in sizes)), max(h for _, h in sizes)),
        "sources": sorted({sample.source for sample in samples}),
        "splits": {split: count for split in SPLITS if (count := sum(sample.split == split for sample in samples))},
    }


def _scenes(samples: Mapping[str, SampleRecord]) -> list[dict[str, Any]]:
    scenes: dict[str, list[SampleRecord]] = defaultdict(list)
    for _, sample in sorted(samples.items()):
        for scene in sample.scenes:
            scenes[scene].append(sample)
    return [{"scene": scene, **_describe(own)} for scene, own in sorted(scenes.items())]


def _sources(manifest: Manifest) -> list[dict[str, Any]]:
    counts = Counter(sample.source for sample in manifest.samples.values())
    splits = {sample.source: sample.split for sample in manifest.samples.values()}
    return [
        {
            "name": name,
            "path": record.path,
            "license": record.license,
            "pictures": counts[name],
            "split": splits[name],
            "owed": _attribution(record.attribution),
        }
        for name, record in sorted(manifest.sources.items())
    ]


def _attribution(record: AttributionRecord | None) -> str:
    """Credit footage from a web page; the page's own words are escaped, so that no Markdown or HTML in them takes effect."""
    if record is None:
        return ""
    words = ", ".join(part for part in (record.title and f"“{record.title}”", record.uploader, record.uploaded) if part)
    plain = escape_markdown(words)
    return f"{plain}{', ' if plain else ''}<{quote(record.page, safe=':/?=&%@+,;~')}>"


def _funnel(manifest: Manifest) -> dict[str, int]:
    """Add up the sources' funnels, in the order of the stages."""
    total: Counter[str] = Counter()
    for source in manifest.sources.values():
        total.update(source.funnel)
    steps = sorted((name for name in total if total[name]), key=lambda name: (_STEPS.index(name.split(":")[0]), name))
    return {**{name: total[name] for name in steps}, "released": len(manifest.samples)} if total else {}


def _shares(manifest: Manifest) -> dict[str, int]:
    """Count the images of each split and of each scene."""
    by_split = {f"split {split}": manifest.counts[split] for split in SPLITS if split in manifest.counts}
    return by_split | {scene["scene"]: scene["pictures"] for scene in _scenes(manifest.samples)}


def _routes(samples: Mapping[str, SampleRecord]) -> list[dict[str, Any]]:
    by_origin: dict[str, list[float | None]] = defaultdict(list)
    for _, sample in sorted(samples.items()):
        by_origin[sample.annotation.origin].append(sample.annotation.iou_with_matte)
    return [
        {"english": english, "chinese": chinese, "pictures": len(by_origin[origin]), "iou": _mean(by_origin[origin])}
        for origin, (english, chinese) in _ROUTES.items()
        if by_origin[origin]
    ]


def _seconds(samples: Mapping[str, SampleRecord]) -> dict[str, Any]:
    """Count the samples with a second annotation, and how many both annotators kept, and average the agreement."""
    seconds = [sample.annotation.second for _, sample in sorted(samples.items()) if sample.annotation.second]
    return {
        "pictures": len(seconds),
        "kept": sum(second.verdict == KEEP for second in seconds),
        "iou": _mean([second.iou for second in seconds]),
        "boundary_iou": _mean([second.boundary_iou for second in seconds]),
    }


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{fmean(known):.3f}" if known else "–"


def _splits(manifest: Manifest) -> list[dict[str, Any]]:
    by_split: dict[str, set[str]] = defaultdict(set)
    for sample in manifest.samples.values():
        by_split[sample.split].add(sample.source)
    counts = {split: manifest.counts[split] for split in SPLITS if split in manifest.counts}
    return [{"split": split, "pictures": count, "sources": sorted(by_split[split])} for split, count in counts.items()]


def _limits(manifest: Manifest) -> list[tuple[str, str]]:
    """List what limits a figure that is measured on this release, in both languages."""
    samples, limits = manifest.samples.values(), []
    few = [scene["scene"] for scene in _scenes(manifest.samples) if scene["pictures"] < _FEW]
    if few:
        names = escape_markdown(", ".join(few))
        limits.append((f"fewer than {_FEW} images of the scenes {names}", f"以下场景不足 {_FEW} 张图片：{names}"))
    for split in _splits(manifest):
        if len(split["sources"]) == 1:
            only, name = split["sources"][0], split["split"]
            limits.append((f"all of {name} comes from one source, {only}", f"{name} 全部来自同一来源 {only}"))
    small = sum(min(sample.person[2] - sample.person[0], sample.person[3] - sample.person[1]) < _SMALL for sample in samples)
    if small:
        limits.append((f"{small} people are narrower than {_SMALL} pixels", f"{small} 个人物短边小于 {_SMALL} 像素"))
    removers = sorted({sample.matte.remover for sample in samples if sample.matte})
    untouched = sum(sample.annotation.origin == "prediction" for sample in samples)
    if untouched:
        share = f"{100 * untouched / len(samples):.0f} %"
        names = ", ".join(removers) or "?"
        english = f"{share} of the masks are predictions ({names}) that an annotator accepted without change"
        limits.append((english, f"{share} 的掩膜由机器（{names}）生成，标注员未作修改"))
    if not any(sample.annotation.second for sample in samples):
        limits.append(
            ("no image was annotated twice: annotator agreement is not known", "没有重复标注，标注员之间的一致度未知")
        )
    if len({sample.annotation.annotator for sample in samples} - {""}) == 1:
        limits.append(("all masks are from one annotator", "所有掩膜出自同一名标注员"))
    if imported := sum(sample.annotation.origin == "imported" for sample in samples):
        english = f"{imported} images were imported from other datasets: every person is labelled, the annotators are unknown"
        limits.append((english, f"{imported} 张图片来自其他数据集：其中所有人物均已标注，标注者未知"))
    if imported == len(samples):
        return [*limits, ("one class", "只有一类")]
    always = ("one class, one main person per image; bystanders are background", "只有一类，每图一个主要人物，旁人算背景")
    return [*limits, always]


def choose_examples(manifest: Manifest) -> list[str]:
    """Choose the samples of the example sheet: spread evenly over all sample ids, sorted."""
    sample_ids = sorted(manifest.samples)
    if len(sample_ids) <= EXAMPLES:
        return sample_ids
    return [sample_ids[number * len(sample_ids) // EXAMPLES] for number in range(EXAMPLES)]


def draw_examples(pairs: Sequence[tuple[Image, Alpha]], height: int = 240) -> bytes:
    """Draw each image with its mask's outline, and below it the person alone on a checkerboard; a JPEG."""
    columns = []
    for image, alpha in pairs:
        width = max(1, round(image.shape[1] * height / image.shape[0]))
        small, soft = (drawing.scaled(array, width, height) for array in (image, alpha))
        soft = np.clip(soft, 0, 1).astype(np.float32)
        columns.append(np.vstack([drawing.outlined(small, soft, HUMAN), drawing.on_checkerboard(small, soft)]))
    sheet = np.hstack(columns)
    return bytes(cv2.imencode(".jpg", np.ascontiguousarray(sheet[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 88])[1])


def draw_chart(funnel: Mapping[str, int], bar: int = 26, width: int = 860) -> str:
    """Draw counts as bars, an SVG."""
    from html import escape

    most = max(funnel.values(), default=1)
    rows = []
    for row, (name, count) in enumerate(funnel.items()):
        y, long = row * bar, round((width - 330) * count / most, 1)
        colour = "#c2602b" if ":" in name else "#2b6cc2"
        rows.append(
            f'<text x="220" y="{y + 18}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="230" y="{y + 4}" width="{long}" height="{bar - 8}" fill="{colour}"/>'
            f'<text x="{238 + long}" y="{y + 18}">{count}</text>'
        )
    size = f'width="{width}" height="{bar * len(funnel)}"'
    inside = "\n".join(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="14">\n'
        f'<rect {size} fill="white"/>\n{inside}\n</svg>\n'
    )
