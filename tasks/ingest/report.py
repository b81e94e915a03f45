"""Pages with pictures: what became of a source, and the whole way from its clips to a release."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figureground import checks, plugins, tables
from figureground.catalog import Catalog
from figureground.datasets import manifest
from figureground.datasets.manifest import Manifest
from figureground.errors import ReleaseError, StoreError
from figureground.imaging import crops as cutting
from figureground.imaging import drawing, masks
from figureground.mattes import confidence
from figureground.media.restore import restore_evicted
from figureground.parallel import map_ordered
from figureground.reports import poster
from figureground.reports import source_report as pages
from figureground.reports.source_report import Figure, Group, SourceReport, Step, WayReport
from figureground.storage.store import Store
from figureground.types import Alpha, Box, Image, Sample, TableRef
from tasks import retried_task

Row = Mapping[Any, Any]
KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Limits:
    """How many figures a page shows of each kind."""

    frames: int
    kept: int
    dropped: int
    labels: int
    tuned: int


OF_A_SOURCE = Limits(frames=4, kept=48, dropped=12, labels=0, tuned=200)
OF_THE_WAY = Limits(frames=2, kept=8, dropped=6, labels=6, tuned=0)


@retried_task
def report(source_id: str, catalog: Catalog) -> str:
    """Write a source's page from the tables that are there.

    Parameters
    ----------
    source_id
        Which.
    catalog
        Gives the storage and the limits the values are told with.

    Returns
    -------
    str
        Its name in the storage, ``reports/<source>.html``. It is left untouched when nothing it tells of has changed.

    Raises
    ------
    StoreError
        When the source has no table yet, or a picture is missing or damaged.
    """
    store, name = Store(catalog.storage_root), f"reports/{source_id}.html"
    refs = _refs(store, source_id, ("videos", "frames", "crops", "scores", "verdicts", "mattes"))
    if not refs:
        raise StoreError(f"{source_id} has no tables in {catalog.storage_root}; run `figureground ingest {source_id}`")
    limits = {key: _limit(check) for key, check in catalog.checks().items()}
    mark = tables.fingerprint("report", list(refs.values()), version=pages.VERSION, limits=limits).digest
    if store.exists(name) and pages.seal(store.read(name)) == mark:
        return name
    told = _told(_Source.read(store, source_id, refs, catalog), OF_A_SOURCE)
    store.write(name, pages.sealed(pages.source_page(told), mark))
    return name


def way(catalog: Catalog, release_folder: Path) -> Path:
    """Write the page of the whole way: every source with crops, from its frames to the release.

    Parameters
    ----------
    catalog
        Gives the storage and the limits.
    release_folder
        A finished release.

    Returns
    -------
    Path
        ``reports/way.html`` in the storage.

    Raises
    ------
    ReleaseError
        When the folder has no readable manifest.
    StoreError
        When a picture is missing or damaged.
    """
    store, sealed = Store(catalog.storage_root), _manifest(release_folder)
    names = tables.sources(store, "crops")
    sources = [_Source.read(store, name, _refs(store, name, tables.SCHEMAS), catalog) for name in names]
    columns, counts = _counts(sources, sealed)
    stems = [stem for split in sealed.counts for stem in pages.spread(_of_split(sealed, split), 6)]
    pairs = tuple(_pair(sample) for sample in _samples(catalog, release_folder, stems))
    facts = (
        ("release", release_folder.name),
        ("pictures", ", ".join(f"{count} in {split}" for split, count in sorted(sealed.counts.items()))),
        ("digest", sealed.digest),
    )
    told = WayReport(
        title="From community video to a released dataset",
        sources=tuple(_told(source, OF_THE_WAY) for source in sources),
        release=release_folder.name,
        tree=_tree(release_folder),
        columns=columns,
        counts=counts,
        pairs=Group("Released pairs", "A picture and its mask; the mask's values are 0 and 1.", pairs, len(sealed.samples)),
        facts=facts,
    )
    store.write("reports/way.html", pages.way_page(told).encode())
    return store.path("reports/way.html")


def picture(catalog: Catalog, release_folder: Path, source_id: str) -> Path:
    """Write one picture of the whole way of one source, for a README.

    Parameters
    ----------
    catalog
        Gives the storage and the limits.
    release_folder
        A finished release with pictures of this source.
    source_id
        A source whose licence lets its pictures be shown.

    Returns
    -------
    Path
        ``reports/way-<source>.png`` in the storage, 1600×900.

    Raises
    ------
    ReleaseError
        When the folder has no readable manifest or no picture of this source.
    StoreError
        When the source has no mattes or labels yet, or a picture is missing or damaged.
    """
    store, sealed = Store(catalog.storage_root), _manifest(release_folder)
    source = _Source.read(store, source_id, _refs(store, source_id, tables.SCHEMAS), catalog)
    if missing := [stage for stage in ("frames", "crops", "verdicts", "mattes", "labels") if stage not in source.rows]:
        raise StoreError(f"{source_id} has no table {', '.join(missing)}; run `figureground demo`")
    stems = [stem for stem, sample in sealed.samples.items() if sample.source == source_id]
    if not stems:
        raise ReleaseError(f"{release_folder} holds no picture of {source_id}; it has {', '.join(sealed.sources)}")
    pairs = _samples(catalog, release_folder, pages.spread(stems, 5)[1:4])
    name = f"reports/way-{source_id}.png"
    store.write(name, drawing.png(poster.drawn(_panels(source, pairs, _contents(release_folder)))))
    return store.path(name)


@dataclass(frozen=True, slots=True)
class _Source:
    """One source's rows by stage, in their tables' order, and their facts."""

    source_id: str
    store: Store
    rows: Mapping[str, list[Row]]
    facts: Mapping[str, Mapping[str, Any]]
    checks: Mapping[str, Any]

    @staticmethod
    def read(store: Store, source_id: str, refs: Mapping[str, TableRef], catalog: Catalog) -> "_Source":
        restore_evicted(store, source_id, "frames", "crops")  # a page draws a few of them; only what was dropped costs time
        found = {stage: tables.read(store, ref) for stage, ref in refs.items()}
        rows: dict[str, list[Row]] = {stage: list(table.rows.to_dict("records")) for stage, table in found.items()}
        if "frames" in rows:
            rows["frames"] = [row for row in rows["frames"] if not row["reason"]]
        facts = {stage: table.facts for stage, table in found.items()}
        return _Source(source_id, store, rows, facts, catalog.checks())

    def by_crop(self, stage: str) -> dict[str, Row]:
        return {row["crop_id"]: row for row in self.rows.get(stage, [])}

    def reasons(self) -> dict[str, str]:
        """Crop to the reason it was dropped, "" when kept; crops without a verdict are left out."""
        return {row["crop_id"]: row["reason"] for row in self.rows.get("verdicts", [])}

    def value(self, crop_id: str, check: str) -> str:
        """Tell what a check measured on a crop, and its limit."""
        found = [row["value"] for row in self.rows.get("scores", []) if (row["crop_id"], row["check"]) == (crop_id, check)]
        limit = _limit(self.checks[check]) if check in self.checks else ""
        return ", ".join(part for part in (f"{found[0]:.3g}" if found else "", limit) if part)

    def image(self, row: Row) -> Image:
        return cutting.decode(self.store.read(row["file"], row["sha256"]), row["file"])

    def alpha(self, row: Row | None) -> Alpha | None:
        if row is None or not row["file"]:
            return None
        return masks.from_png(self.store.read(row["file"], row["sha256"]), row["file"])


def _refs(store: Store, source_id: str, stages: Iterable[str]) -> dict[str, TableRef]:
    return {stage: ref for stage in stages if (ref := tables.find(store, stage, source_id))}


def _limit(check: Any) -> str:
    """Tell a check's limits: "at least 96"."""
    found = checks.limits(plugins.describe(check))
    return ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in found.items())


def _told(source: _Source, limits: Limits) -> SourceReport:
    reasons, crops = source.reasons(), source.rows.get("crops", [])
    kept = [row for row in crops if not reasons.get(row["crop_id"])]
    return SourceReport(
        source_id=source.source_id,
        facts=tuple(_facts(source)),
        warnings=tuple(_warnings(source, len(kept))),
        steps=tuple(_steps(source)),
        tuner=_tuner(source, limits.tuned) if limits.tuned and {"crops", "scores"} <= source.rows.keys() else None,
        frames=tuple(_frames(source, limits.frames)),
        kept=_kept(source, kept, limits.kept) if kept else None,
        dropped=tuple(_dropped(source, reason, limits.dropped) for reason in _by_count(reasons.values())),
        labels=tuple(_labels(source, limits.labels)) if limits.labels else (),
    )


def _tuner(source: _Source, pictured: int) -> dict[str, Any]:
    """Give all crops with what was measured; so many of them, spread evenly, with a picture."""
    values: dict[str, dict[str, float]] = {row["crop_id"]: {} for row in source.rows["crops"]}
    for row in source.rows["scores"]:
        values[row["crop_id"]][row["check"]] = row["value"]
    shown = {row["crop_id"]: row for row in pages.spread(source.rows["crops"], pictured)}
    images = dict(zip(shown, map_ordered(source.image, shown.values()), strict=True))
    return pages.tuner(source.checks, [(crop_id, images.get(crop_id), found) for crop_id, found in values.items()])


def _facts(source: _Source) -> Iterable[tuple[str, str]]:
    for video in source.rows.get("videos", []):
        yield from (("from", video["path"]), ("licence", video["license"]))
        if owed := ", ".join(video[name] for name in ("title", "uploader", "uploaded") if video[name]):
            yield "by", owed
    facts, frames = source.facts.get("frames", {}), source.rows.get("frames", [])
    if frames:
        yield "video", ", ".join(_video(facts, frames[0]))
    yield "frames", ", ".join([f"{len(frames):,} taken", *([f"{facts['decoded']:,} decoded"] if "decoded" in facts else [])])


def _video(facts: Row, frame: Row) -> Iterable[str]:
    yield f"{frame['width']}×{frame['height']} pixels"
    if "seconds" in facts:
        yield f"{facts['seconds']:.1f} seconds"
    if "fps" in facts:
        yield f"{facts['fps']:.4g} frames a second"
    if "codec" in facts:
        yield str(facts["codec"])


def _warnings(source: _Source, kept: int) -> Iterable[str]:
    facts, rows = source.facts.get("frames", {}), source.rows
    if facts.get("truncated"):
        yield (
            f"The video ends early: its header promises {facts.get('promised')} frames, {facts.get('decoded')} could be read. "
            "What was read is used."
        )
    if facts.get("corrupt"):
        yield f"{facts['corrupt']} packets or frames are damaged; {facts.get('smeared', 0)} frames were left out because of it."
    if facts.get("unreadable"):
        yield f"{facts['unreadable']} of {facts['pictures']} photos cannot be read; the frames table gives each one's reason."
    if "crops" in rows and not rows["crops"]:
        people, frames = source.facts["crops"].get("people", 0), len(rows.get("frames", []))
        found = f"all {people} people found are too small to cut out" if people else "no person was found"
        yield f"This source gives no crops: {found} in its {frames} frames."
    if rows.get("crops") and "verdicts" not in rows:
        yield "The crops have not been judged yet; run ingest again."
    elif rows.get("crops") and not kept:
        yield f"All {len(rows['crops'])} crops were dropped; the reasons stand below."


def _steps(source: _Source) -> Iterable[Step]:
    counted = list(_counted(source))
    most = max((count for _, count, _ in counted), default=0)
    return [Step(name, count, count / most if most else 0.0, reason) for name, count, reason in counted]


def _counted(source: _Source) -> Iterable[tuple[str, int, str]]:
    facts = source.facts.get("crops", {})
    if "frames" in source.rows:
        yield "frames taken", len(source.rows["frames"]), ""
    if "people" in facts:
        yield "people found", facts["people"], ""
    if facts.get("too_small"):
        yield "dropped: too small to cut", facts["too_small"], "small"
    if "crops" in source.rows:
        yield "crops", len(source.rows["crops"]), ""
    reasons = Counter(source.reasons().values())
    for reason in _by_count(source.reasons().values()):
        yield f"dropped: {reason}", reasons[reason], reason
    if "verdicts" in source.rows:
        yield "kept", reasons[""], ""
    if "mattes" in source.rows:
        yield "mattes", len(source.rows["mattes"]), ""


def _by_count(reasons: Iterable[str]) -> list[str]:
    counts = Counter(reason for reason in reasons if reason)
    return sorted(counts, key=lambda reason: (-counts[reason], reason))


def _frames(source: _Source, at_most: int) -> Iterable[Figure]:
    """Show the frame that says most and others spread evenly, with people where there are any."""
    reasons, people = source.reasons(), _people(source)
    frames = source.rows.get("frames", [])
    if not frames:
        return ()
    best = _busiest(source)
    rest = [frame for frame in frames if frame is not best and (not people or frame["frame_id"] in people)]
    chosen = sorted([best, *pages.spread(rest, at_most - 1)], key=lambda frame: frame["index"])
    return [_frame(source, frame, people.get(frame["frame_id"], []), reasons) for frame in chosen]


def _says(people: Sequence[Row], reasons: Mapping[str, str]) -> tuple[int, int]:
    """Rank a frame: one with kept and dropped people says more than one with many."""
    return len({bool(reasons.get(row["crop_id"])) for row in people}), len(people)


def _people(source: _Source) -> dict[str, list[Row]]:
    people: dict[str, list[Row]] = {}
    for row in source.rows.get("crops", []):
        people.setdefault(row["frame_id"], []).append(row)
    return people


def _frame(source: _Source, frame: Row, people: Sequence[Row], reasons: Mapping[str, str]) -> Figure:
    boxes = [(_person(row), row["crop_id"].rsplit("-", 1)[1], reasons.get(row["crop_id"], "")) for row in people]
    caption = f"{frame['frame_id']} at {frame['seconds']:.2f} s"
    return pages.frame_figure(frame["frame_id"], source.image(frame), boxes, caption)


def _person(row: Row) -> Box:
    return Box(row["person_x0"], row["person_y0"], row["person_x1"], row["person_y1"])


def _size(row: Row) -> str:
    return f"{row['width']}×{row['height']}"


def _kept(source: _Source, kept: Sequence[Row], at_most: int) -> Group:
    mattes = source.by_crop("mattes")

    def figure(row: Row) -> Figure:
        matte = mattes.get(row["crop_id"])
        alpha = source.alpha(matte)
        note = f"{_size(row)}, {_sureness(matte)}" if matte else f"{_size(row)}, person {row['score']:.2f}"
        return pages.kept_figure(row["crop_id"], source.image(row), alpha, row["crop_id"], note)

    removers = sorted({row["remover"] for row in mattes.values()})
    title = "Kept crops" if "verdicts" in source.rows else "Crops, not judged yet"
    if not removers:
        return Group(title, "No mattes yet.", _drawn(figure, pages.spread(kept, at_most)), len(kept))
    sure = {crop_id: row["score"] for crop_id, row in mattes.items()}
    doubtful = sorted(kept, key=lambda row: (sure.get(row["crop_id"], -1.0), row["crop_id"]))
    doubtful_ones = sum(map(confidence.doubtful, sure.values()))
    text = (
        f"Crop, matte over a checkerboard, outline; made by {', '.join(removers)}. The least sure come first; "
        f"{doubtful_ones} of {len(sure)} score below {confidence.DOUBTFUL} and need a person."
    )
    return Group(title, text, _drawn(figure, doubtful[:at_most]), len(kept))


def _sureness(matte: Row) -> str:
    return f"matte {matte['score']:.2f}" + (", needs a person" if confidence.doubtful(matte["score"]) else "")


def _dropped(source: _Source, reason: str, at_most: int) -> Group:
    reasons = source.reasons()
    rows = [row for row in source.rows.get("crops", []) if reasons.get(row["crop_id"]) == reason]
    limit = _limit(source.checks[reason]) if reason in source.checks else ""

    def figure(row: Row) -> Figure:
        note = source.value(row["crop_id"], reason)
        return pages.dropped_figure(row["crop_id"], source.image(row), reason, row["crop_id"], note)

    text = f"The limit is {limit}." if limit else ""
    return Group(f"Dropped because of {reason}: {len(rows)}", text, _drawn(figure, pages.spread(rows, at_most)), len(rows))


_ORIGINS = {
    "prediction-changed": ("Corrected by the annotator", "The matte's outline, what was changed, the label's outline."),
    "manual": ("Drawn by the annotator", "Without looking at the matte first."),
    "prediction": ("Accepted as it was", "The annotator found nothing to change."),
}


def _labels(source: _Source, at_most: int) -> Iterable[Group]:
    labels, crops, mattes = source.rows.get("labels", []), source.by_crop("crops"), source.by_crop("mattes")
    labels = [row for row in labels if row["crop_id"] in crops]

    def figure(row: Row) -> Figure:
        image, after = source.image(crops[row["crop_id"]]), source.alpha(row)
        if row["verdict"] != KEEP or after is None:
            return pages.dropped_figure(row["crop_id"], image, row["verdict"] or "no verdict", row["crop_id"], row["verdict"])
        before = None if row["origin"] == "prediction" else source.alpha(mattes.get(row["crop_id"]))
        return pages.label_figure(row["crop_id"], image, before, after, row["crop_id"], _kept_share(row))

    for origin, (title, text) in _ORIGINS.items():
        some = [row for row in labels if row["origin"] == origin and row["verdict"] == KEEP]
        if some:
            yield Group(f"{title}: {len(some)}", text, _drawn(figure, pages.spread(some, at_most)), len(some))
    if rejected := [row for row in labels if row["verdict"] != KEEP]:
        text = "Not released; the annotator's reason stands below each."
        yield Group(f"Rejected by the annotator: {len(rejected)}", text, _drawn(figure, rejected[:at_most]), len(rejected))


def _kept_share(row: Row) -> str:
    iou = row["iou_with_matte"]
    return f"IoU with the matte {iou:.3f}" if iou == iou else ""


def _drawn(figure: Callable[[Row], Figure], rows: Sequence[Row]) -> tuple[Figure, ...]:
    return tuple(map_ordered(figure, rows))


def _manifest(folder: Path) -> Manifest:
    try:
        return manifest.parse((folder / manifest.FILE).read_bytes())
    except OSError as error:
        raise ReleaseError(f"{folder} has no readable {manifest.FILE} ({error}); expected a finished release") from error


def _of_split(sealed: Manifest, split: str) -> list[str]:
    return [stem for stem, sample in sealed.samples.items() if sample.split == split]


def _samples(catalog: Catalog, folder: Path, stems: Iterable[str]) -> list[Sample]:
    """Read some of a release's samples back, as its first layout wrote them."""
    wanted, layout = set(stems), next(iter(catalog.layouts().values()))
    return [sample for sample in layout.read(folder) if sample.sample_id in wanted]


def _pair(sample: Sample) -> Figure:
    image = cutting.decode(sample.image, sample.sample_id)
    caption = f"{sample.split}: {sample.sample_id}"
    return pages.pair_figure(sample.sample_id, image, masks.to_mask(sample.alpha), caption)


def _counts(sources: Sequence[_Source], sealed: Manifest) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    counts = {source.source_id: _count(source, sealed) for source in sources}
    columns = list(dict.fromkeys(column for row in counts.values() for column in row))
    total = {column: sum(row.get(column, 0) for row in counts.values()) for column in columns}
    rows = [(name, *(f"{row.get(column, 0):,}" for column in columns)) for name, row in {**counts, "together": total}.items()]
    return ("source", *columns), tuple(rows)


def _count(source: _Source, sealed: Manifest) -> dict[str, int]:
    labels = source.rows.get("labels", [])
    kept = Counter(row["origin"] for row in labels if row["verdict"] == KEEP)
    released: Counter[str] = Counter(sample.split for sample in sealed.samples.values() if sample.source == source.source_id)
    return {
        "frames": len(source.rows.get("frames", [])),
        "people": source.facts.get("crops", {}).get("people", 0),
        "crops": len(source.rows.get("crops", [])),
        "dropped": sum(1 for reason in source.reasons().values() if reason),
        "pushed": len(source.rows.get("tasks", [])),
        "accepted": kept["prediction"],
        "corrected": kept["prediction-changed"] + kept["manual"],
        "rejected": sum(1 for row in labels if row["verdict"] != KEEP),
        **{f"in {split}": released[split] for split in sealed.counts},
    }


def _tree(folder: Path, names: int = 3) -> str:
    """Draw a folder; its own files all, of those in folders the first few."""
    return "\n".join([f"{folder.name}/", *_branches(folder, "", names)])


def _branches(folder: Path, indent: str, names: int) -> Iterable[str]:
    inside = sorted(folder.iterdir(), key=lambda path: (path.is_file(), path.name))
    folders, files = [path for path in inside if path.is_dir()], [path for path in inside if path.is_file()]
    shown = files[:names] if indent else files
    lines = [(path.name + "/", path) for path in folders] + [(path.name, None) for path in shown]
    if len(files) > len(shown):
        lines.append((f"… {len(files) - names} more, {len(files)} in all", None))
    for number, (words, below) in enumerate(lines):
        last = number == len(lines) - 1
        yield f"{indent}{'└── ' if last else '├── '}{words}"
        if below:
            yield from _branches(below, indent + ("    " if last else "│   "), names)


def _panels(source: _Source, pairs: Sequence[Sample], contents: Sequence[str]) -> poster.Panels:
    reasons, crops, mattes = source.reasons(), source.rows["crops"], source.by_crop("mattes")
    frame = _busiest(source)
    kept = [row for row in crops if row["crop_id"] in mattes]
    return poster.Panels(
        frame=source.image(frame),
        boxes=tuple((_person(row), reasons.get(row["crop_id"], "")) for row in _people(source)[frame["frame_id"]]),
        crops=tuple((source.image(row), _refusal(source, row, reasons)) for row in _mixed(crops, reasons)),
        mattes=tuple((source.image(row), _present(source, mattes[row["crop_id"]])) for row in pages.spread(kept, 5)),
        label=_most_changed(source),
        pairs=tuple((cutting.decode(pair.image, pair.sample_id), masks.to_mask(pair.alpha)) for pair in pairs),
        release=tuple(contents),
    )


def _busiest(source: _Source) -> Row:
    """Choose the frame with a kept and a dropped person, else with most people, nearest to the middle."""
    reasons, people, frames = source.reasons(), _people(source), source.rows["frames"]

    def says(place: int) -> tuple[tuple[int, int], int]:
        return _says(people.get(frames[place]["frame_id"], []), reasons), -abs(place - len(frames) // 2)

    return frames[max(range(len(frames)), key=says)]


def _mixed(crops: Sequence[Row], reasons: Mapping[str, str]) -> list[Row]:
    """Choose a few kept crops and up to two dropped ones, in their order."""
    dropped = pages.spread([row for row in crops if reasons.get(row["crop_id"])], 2)
    chosen = [*pages.spread([row for row in crops if not reasons.get(row["crop_id"])], 6 - len(dropped)), *dropped]
    return [row for row in crops if row in chosen]


def _refusal(source: _Source, row: Row, reasons: Mapping[str, str]) -> str:
    reason = reasons.get(row["crop_id"], "")
    return f"{reason} {source.value(row['crop_id'], reason)}" if reason else ""


def _present(source: _Source, row: Row) -> Alpha:
    return masks.from_png(source.store.read(row["file"], row["sha256"]), row["file"])


def _most_changed(source: _Source) -> tuple[Image, Alpha, Alpha] | None:
    """Give the crop whose kept label differs most from its matte, with the alpha before and after."""
    crops, mattes = source.by_crop("crops"), source.by_crop("mattes")
    changed = [
        row
        for row in source.rows["labels"]
        if row["origin"] == "prediction-changed" and row["verdict"] == KEEP and row["crop_id"] in mattes and row["file"]
    ]
    if not changed:
        return None
    row = min(changed, key=lambda row: (row["iou_with_matte"], row["crop_id"]))
    return source.image(crops[row["crop_id"]]), _present(source, mattes[row["crop_id"]]), _present(source, row)


def _contents(folder: Path) -> list[str]:
    """Tell a folder in a line for each folder of pictures or lists in it, their files counted, and one for its own files."""
    told = [_counted_below(folder / name) for name in ("img_dir", "ann_dir", "split_dir") if (folder / name).is_dir()]
    own = sorted(path.name for path in folder.iterdir() if path.is_file())
    return [f"{folder.name}/", *told, ", ".join(own)]


def _counted_below(folder: Path) -> str:
    counts = Counter(path.parent for path in folder.rglob("*") if path.is_file())
    if set(counts) <= {folder}:
        return f"{folder.name}/   {counts[folder]} file{'s' if counts[folder] != 1 else ''}"
    return f"{folder.name}/   {', '.join(f'{path.relative_to(folder)} {count}' for path, count in sorted(counts.items()))}"
