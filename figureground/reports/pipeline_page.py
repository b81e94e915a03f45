"""The page and the poster of the whole pipeline: every source, from its frames to a release."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from figureground.datasets.manifest import Manifest
from figureground.imaging import crops as cutting
from figureground.imaging import masks
from figureground.reports import source_report
from figureground.reports.poster import Panels
from figureground.reports.source_report import Figure, Group, PipelineReport
from figureground.reports.source_summary import KEEP, ON_PIPELINE_PAGE, summarize
from figureground.reports.source_tables import SourceTables, person_box
from figureground.tables import CropRow, LabelRow
from figureground.types import Alpha, Image, Sample

PAIRS_PER_SPLIT = 6
POSTER_PAIRS = 3


def choose_sample_ids(manifest: Manifest) -> list[str]:
    """Choose the samples of a release that the page shows: some of each split, spread evenly."""
    chosen: list[str] = []
    for split in manifest.counts:
        of_split = [sample_id for sample_id, sample in manifest.samples.items() if sample.split == split]
        chosen += source_report.spread(of_split, PAIRS_PER_SPLIT)
    return chosen


def choose_poster_sample_ids(manifest: Manifest, source_id: str) -> list[str]:
    """Choose the samples of a source that the poster shows; none when the release holds none of it."""
    of_source = [sample_id for sample_id, sample in manifest.samples.items() if sample.source == source_id]
    return source_report.spread(of_source, POSTER_PAIRS + 2)[1 : POSTER_PAIRS + 1]


def describe_pipeline(
    sources: Sequence[SourceTables], manifest: Manifest, folder: Path, samples: Sequence[Sample]
) -> PipelineReport:
    """Give the content of the page of the whole pipeline.

    Parameters
    ----------
    sources
        The tables of every source with crops.
    manifest, folder
        The release.
    samples
        Those of `choose_sample_ids`, in the release's order.

    Raises
    ------
    StoreError
        When an image is missing or damaged.
    """
    columns, counts = _count_sources(sources, manifest)
    facts = (
        ("release", folder.name),
        ("pictures", ", ".join(f"{count} in {split}" for split, count in sorted(manifest.counts.items()))),
        ("digest", manifest.digest),
    )
    pairs = tuple(_pair(sample) for sample in samples)
    return PipelineReport(
        title="From community video to a released dataset",
        sources=tuple(summarize(source, ON_PIPELINE_PAGE) for source in sources),
        release=folder.name,
        tree=_draw_tree(folder),
        columns=columns,
        counts=counts,
        pairs=Group("Released pairs", "A picture and its mask; the mask's values are 0 and 1.", pairs, len(manifest.samples)),
        facts=facts,
    )


def poster_panels(source: SourceTables, folder: Path, samples: Sequence[Sample]) -> Panels:
    """Give what the poster of one source shows.

    Parameters
    ----------
    source
        Its tables, with mattes and labels.
    folder
        The release.
    samples
        Those of `choose_poster_sample_ids`, in the release's order.

    Raises
    ------
    StoreError
        When an image is missing or damaged.
    """
    frame, reasons = source.busiest_frame(), source.reasons
    with_matte = [row for row in source.crops if row.crop_id in source.matte_of]
    return Panels(
        frame=source.image(frame),
        boxes=tuple((person_box(row), reasons.get(row.crop_id, "")) for row in source.people_of[frame.frame_id]),
        crops=tuple((source.image(row), _describe_rejection(source, row)) for row in _choose_crops(source)),
        mattes=tuple(
            (source.image(row), source.alpha(source.matte_of[row.crop_id])) for row in source_report.spread(with_matte, 5)
        ),
        label=_most_changed(source),
        pairs=tuple((cutting.decode(sample.image, sample.sample_id), masks.to_mask(sample.alpha)) for sample in samples),
        release=tuple(_describe_folder(folder)),
    )


def _pair(sample: Sample) -> Figure:
    image, caption = cutting.decode(sample.image, sample.sample_id), f"{sample.split}: {sample.sample_id}"
    return source_report.pair_figure(sample.sample_id, image, masks.to_mask(sample.alpha), caption)


def _count_sources(
    sources: Sequence[SourceTables], manifest: Manifest
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    counts = {source.source_id: _count(source, manifest) for source in sources}
    columns = list(dict.fromkeys(column for row in counts.values() for column in row))
    total = {column: sum(row.get(column, 0) for row in counts.values()) for column in columns}
    rows = [(name, *(f"{row.get(column, 0):,}" for column in columns)) for name, row in {**counts, "together": total}.items()]
    return ("source", *columns), tuple(rows)


def _count(source: SourceTables, manifest: Manifest) -> dict[str, int]:
    kept = Counter(row.origin for row in source.labels if row.verdict == KEEP)
    released: Counter[str] = Counter(sample.split for sample in manifest.samples.values() if sample.source == source.source_id)
    return {
        "frames": len(source.frames),
        "people": source.facts.get("crops", {}).get("people", 0),
        "crops": len(source.crops),
        "dropped": sum(1 for reason in source.reasons.values() if reason),
        "pushed": len(source.tasks),
        "accepted": kept["prediction"],
        "corrected": kept["prediction-changed"] + kept["manual"],
        "rejected": sum(1 for row in source.labels if row.verdict != KEEP),
        **{f"in {split}": released[split] for split in manifest.counts},
    }


def _draw_tree(folder: Path, names: int = 3) -> str:
    """Draw a folder as text; its own files all, of those in folders the first few."""
    return "\n".join([f"{folder.name}/", *_branches(folder, "", names)])


def _branches(folder: Path, indent: str, names: int) -> Iterable[str]:
    inside = sorted(folder.iterdir(), key=lambda path: (path.is_file(), path.name))
    folders, files = [path for path in inside if path.is_dir()], [path for path in inside if path.is_file()]
    shown = files[:names] if indent else files
    lines = [(path.name + "/", path) for path in folders] + [(path.name, None) for path in shown]
    if len(files) > len(shown):
        lines.append((f"… {len(files) - names} more, {len(files)} in all", None))
    for number, (text, below) in enumerate(lines):
        last = number == len(lines) - 1
        yield f"{indent}{'└── ' if last else '├── '}{text}"
        if below:
            yield from _branches(below, indent + ("    " if last else "│   "), names)


def _choose_crops(source: SourceTables) -> list[CropRow]:
    """Choose a few kept crops and up to two rejected ones, in their order."""
    rejected = source_report.spread([row for row in source.crops if source.reasons.get(row.crop_id)], 2)
    kept = source_report.spread([row for row in source.crops if not source.reasons.get(row.crop_id)], 6 - len(rejected))
    chosen = {row.crop_id for row in (*kept, *rejected)}
    return [row for row in source.crops if row.crop_id in chosen]


def _describe_rejection(source: SourceTables, row: CropRow) -> str:
    reason = source.reasons.get(row.crop_id, "")
    return f"{reason} {source.describe_value(row.crop_id, reason)}" if reason else ""


def _most_changed(source: SourceTables) -> tuple[Image, Alpha, Alpha] | None:
    """Give the crop whose kept label differs most from its matte, with the alpha before and after."""

    def is_changed(row: LabelRow) -> bool:
        return row.origin == "prediction-changed" and row.verdict == KEEP and row.crop_id in source.matte_of and bool(row.file)

    changed = [row for row in source.labels if is_changed(row)]
    if not changed:
        return None
    label = min(changed, key=lambda row: (row.iou_with_matte, row.crop_id))
    image = source.image(source.crop_of[label.crop_id])
    return image, source.alpha(source.matte_of[label.crop_id]), source.alpha(label)


def _describe_folder(folder: Path) -> list[str]:
    """Describe a release in a line for each folder of images or lists, with their files counted, and one for its own files."""
    below = [_count_files(folder / name) for name in ("img_dir", "ann_dir", "split_dir") if (folder / name).is_dir()]
    own = sorted(path.name for path in folder.iterdir() if path.is_file())
    return [f"{folder.name}/", *below, ", ".join(own)]


def _count_files(folder: Path) -> str:
    counts = Counter(path.parent for path in folder.rglob("*") if path.is_file())
    if set(counts) <= {folder}:
        return f"{folder.name}/   {counts[folder]} file{'s' if counts[folder] != 1 else ''}"
    return f"{folder.name}/   {', '.join(f'{path.relative_to(folder)} {count}' for path, count in sorted(counts.items()))}"
