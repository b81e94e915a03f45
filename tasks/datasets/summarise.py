"""Counting what became of a source's people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from figureground import tables
from figureground.catalog import Catalog
from figureground.datasets import pairs
from figureground.storage.store import Store
from figureground.tables import Table


@dataclass(frozen=True, slots=True)
class Funnel:
    """How many of each; ``refused``, ``dropped`` and ``rejected`` count by reason, ``origins`` the kept labels' routes.

    ``refused`` are photos that cannot be read and pairs of other people's datasets that are not taken, ``frames`` the others.
    """

    source_id: str
    frames: int = 0
    truncated: bool = False
    people: int = 0
    too_small: int = 0
    crops: int = 0
    kept: int = 0
    pushed: int = 0
    labelled: int = 0
    why: tuple[str, ...] = ()
    """The first refused ones' reasons."""
    refused: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    origins: Counter[str] = field(default_factory=Counter)


def together(funnels: Sequence[Funnel]) -> Funnel:
    """Sum funnels up."""
    numbers = ("frames", "people", "too_small", "crops", "kept", "pushed", "labelled")
    counters = ("refused", "dropped", "rejected", "origins")
    return Funnel(
        "together",
        truncated=any(funnel.truncated for funnel in funnels),
        **{name: sum(getattr(funnel, name) for funnel in funnels) for name in numbers},
        **{name: sum((getattr(funnel, name) for funnel in funnels), Counter()) for name in counters},
    )


STAGES = ("frames", "crops", "verdicts", "tasks", "labels")
"""What is counted."""
_REASONS = 5


def summarise(source_id: str, catalog: Catalog, found: Mapping[str, Table] | None = None) -> Funnel:
    """Count a source's rows from video to label; stages that have not run count nothing.

    Parameters
    ----------
    source_id
        Which source.
    catalog
        Says where the storage is.
    found
        Stage to table, for whoever has read them; else those of `STAGES` are read.

    Raises
    ------
    StoreError
        When a table is damaged or of another schema.
    """
    store = Store(catalog.storage_root)
    read = {stage: tables.latest(store, stage, source_id) for stage in STAGES} if found is None else found
    there = {stage: table for stage in STAGES if (table := read.get(stage))}
    facts = {key: value for table in there.values() for key, value in table.facts.items()}
    count = Counter({stage: len(table.rows) for stage, table in there.items()})
    reasons = [reason for reason in there["frames"].rows["reason"] if reason] if "frames" in there else []
    refused = Counter(map(pairs.kind, reasons))
    count["frames"] -= refused.total()
    verdicts, labels = (there[stage].rows if stage in there else None for stage in ("verdicts", "labels"))
    return Funnel(
        source_id=source_id,
        frames=count["frames"],
        why=tuple(reasons[:_REASONS]),
        refused=refused,
        truncated=bool(facts.get("truncated")),
        people=int(facts.get("people", 0)),
        too_small=int(facts.get("too_small", 0)),
        crops=count["crops"],
        kept=0 if verdicts is None else int(verdicts["kept"].sum()),
        pushed=count["tasks"],
        labelled=count["labels"],
        dropped=Counter() if verdicts is None else Counter(verdicts.loc[~verdicts["kept"].astype(bool), "reason"]),
        rejected=Counter() if labels is None else Counter(labels.loc[labels["verdict"] != "keep", "verdict"]),
        origins=Counter() if labels is None else Counter(labels.loc[labels["verdict"] == "keep", "origin"]),
    )
