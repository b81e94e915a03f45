"""The tables of one source, read for a page: typed rows, and the images and alphas that they name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from figureground import checks, plugins, tables
from figureground.checks import Check
from figureground.imaging import crops as cutting
from figureground.imaging import masks
from figureground.storage.store import Store
from figureground.tables import CropRow, FrameRow, LabelRow, MatteRow, Row, ScoreRow, TaskRow, VerdictRow, VideoRow
from figureground.types import Alpha, Box, Image, TableRef

_AnyRow = TypeVar("_AnyRow", bound=Row)

PAGE_STAGES = ("videos", "frames", "crops", "scores", "verdicts", "mattes")
"""The tables that a source's page is made from."""

ALL_STAGES = (*PAGE_STAGES, "tasks", "labels")
"""The tables that the pages of the whole pipeline are made from."""


def find_tables(store: Store, source_id: str, stages: Iterable[str]) -> dict[str, TableRef]:
    """Find the tables of some stages that a source has."""
    return {stage: ref for stage in stages if (ref := tables.find(store, stage, source_id))}


def describe_limit(check: Check) -> str:
    """Describe the limits of a check: "at least 96"."""
    limits = checks.limits(plugins.describe(check))
    return ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in limits.items())


@dataclass(frozen=True)
class SourceTables:
    """The rows of one source, in their tables' order, and the facts of the tables.

    ``stages`` are those that have a table; the rows of the others are empty. ``frames`` are those that can be read.
    ``checks`` are the catalog's.
    """

    source_id: str
    store: Store
    checks: Mapping[str, Check]
    stages: frozenset[str]
    facts: Mapping[str, Mapping[str, Any]]
    videos: Sequence[VideoRow] = ()
    frames: Sequence[FrameRow] = ()
    crops: Sequence[CropRow] = ()
    scores: Sequence[ScoreRow] = ()
    verdicts: Sequence[VerdictRow] = ()
    mattes: Sequence[MatteRow] = ()
    tasks: Sequence[TaskRow] = ()
    labels: Sequence[LabelRow] = field(default=())

    @staticmethod
    def read(store: Store, source_id: str, refs: Mapping[str, TableRef], checks: Mapping[str, Check]) -> "SourceTables":
        """Read the tables of a source.

        Parameters
        ----------
        store
            The storage; evicted frames and crops are expected to be restored.
        source_id
            The source.
        refs
            Its tables by stage, as `find_tables` gives them.
        checks
            The checks of the catalog.

        Raises
        ------
        StoreError
            When a table is damaged.
        """

        def rows(row_class: type[_AnyRow]) -> list[_AnyRow]:
            ref = refs.get(row_class.stage)
            return tables.read_rows(store, ref, row_class) if ref else []

        return SourceTables(
            source_id,
            store,
            checks,
            stages=frozenset(refs),
            facts={stage: tables.read_facts(store, ref) for stage, ref in refs.items()},
            videos=rows(VideoRow),
            frames=[row for row in rows(FrameRow) if not row.reason],
            crops=rows(CropRow),
            scores=rows(ScoreRow),
            verdicts=rows(VerdictRow),
            mattes=rows(MatteRow),
            tasks=rows(TaskRow),
            labels=rows(LabelRow),
        )

    @cached_property
    def matte_of(self) -> dict[str, MatteRow]:
        """Each crop's matte, by crop id."""
        return {row.crop_id: row for row in self.mattes}

    @cached_property
    def crop_of(self) -> dict[str, CropRow]:
        """Each crop, by crop id."""
        return {row.crop_id: row for row in self.crops}

    @cached_property
    def people_of(self) -> dict[str, list[CropRow]]:
        """The crops of each frame that has any, by frame id."""
        people: dict[str, list[CropRow]] = {}
        for row in self.crops:
            people.setdefault(row.frame_id, []).append(row)
        return people

    @cached_property
    def reasons(self) -> dict[str, str]:
        """Why each crop was rejected, by crop id; "" when it was kept. Crops without a verdict are left out."""
        return {row.crop_id: row.reason for row in self.verdicts}

    @cached_property
    def values(self) -> dict[tuple[str, str], float]:
        """What each check measured, by crop id and check."""
        return {(row.crop_id, row.check): row.value for row in self.scores}

    def describe_value(self, crop_id: str, check: str) -> str:
        """Describe what a check measured on a crop, and its limit."""
        value = self.values.get((crop_id, check))
        limit = describe_limit(self.checks[check]) if check in self.checks else ""
        return ", ".join(part for part in ("" if value is None else f"{value:.3g}", limit) if part)

    def image(self, row: FrameRow | CropRow) -> Image:
        """Read the image of a frame or crop."""
        return cutting.decode(self.store.read(row.file, row.sha256), row.file)

    def alpha(self, row: MatteRow | LabelRow) -> Alpha:
        """Read the alpha of a matte or label."""
        return masks.from_png(self.store.read(row.file, row.sha256), row.file)

    def busiest_frame(self) -> FrameRow:
        """Choose the frame with a kept and a rejected person, else with most people, nearest to the middle."""

        def rank(index: int) -> tuple[tuple[int, int], int]:
            people = self.people_of.get(self.frames[index].frame_id, [])
            kinds = {bool(self.reasons.get(row.crop_id)) for row in people}
            return (len(kinds), len(people)), -abs(index - len(self.frames) // 2)

        return self.frames[max(range(len(self.frames)), key=rank)]


def person_box(row: CropRow) -> Box:
    """Give the detected box of a crop's person, in its frame."""
    return Box(row.person_x0, row.person_y0, row.person_x1, row.person_y1)
