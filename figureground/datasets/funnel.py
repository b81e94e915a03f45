"""How many frames, people, crops and labels of a source remain after each stage, and why the others were left out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from figureground.annotation.label_interface import KEEP
from figureground.datasets import pairs
from figureground.tables import Table

STAGES = ("frames", "crops", "verdicts", "tasks", "labels")
"""The tables that are counted."""
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Funnel:
    """Counts of one source.

    ``refused``, ``dropped`` and ``rejected`` count by reason, ``origins`` counts the kept labels by where they come from.
    ``refused`` are photos that cannot be read and images of imported datasets that are not used; ``frames`` are the others.
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
    """The reasons of the first refused images."""
    refused: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    origins: Counter[str] = field(default_factory=Counter)


def add_up(funnels: Sequence[Funnel]) -> Funnel:
    """Add the counts of several sources."""
    return Funnel(
        "together",
        frames=sum(funnel.frames for funnel in funnels),
        truncated=any(funnel.truncated for funnel in funnels),
        people=sum(funnel.people for funnel in funnels),
        too_small=sum(funnel.too_small for funnel in funnels),
        crops=sum(funnel.crops for funnel in funnels),
        kept=sum(funnel.kept for funnel in funnels),
        pushed=sum(funnel.pushed for funnel in funnels),
        labelled=sum(funnel.labelled for funnel in funnels),
        refused=sum((funnel.refused for funnel in funnels), Counter()),
        dropped=sum((funnel.dropped for funnel in funnels), Counter()),
        rejected=sum((funnel.rejected for funnel in funnels), Counter()),
        origins=sum((funnel.origins for funnel in funnels), Counter()),
    )


def count(source_id: str, tables: Mapping[str, Table]) -> Funnel:
    """Count a source's rows from frame to label; a stage without a table counts nothing.

    Parameters
    ----------
    source_id
        The source.
    tables
        Stage to table; those of `STAGES` are counted.
    """
    counted = {stage: tables[stage] for stage in STAGES if stage in tables}
    facts = {key: value for table in counted.values() for key, value in table.facts.items()}
    row_counts = Counter({stage: len(table.rows) for stage, table in counted.items()})
    reasons = [reason for reason in counted["frames"].rows["reason"] if reason] if "frames" in counted else []
    refused = Counter(map(pairs.shorten_reason, reasons))
    verdicts = counted["verdicts"].rows if "verdicts" in counted else pd.DataFrame({"kept": [], "reason": []})
    labels = counted["labels"].rows if "labels" in counted else pd.DataFrame({"verdict": [], "origin": []})
    kept_labels = labels["verdict"] == KEEP
    return Funnel(
        source_id=source_id,
        frames=row_counts["frames"] - refused.total(),
        why=tuple(reasons[:_EXAMPLES]),
        refused=refused,
        truncated=bool(facts.get("truncated")),
        people=int(facts.get("people", 0)),
        too_small=int(facts.get("too_small", 0)),
        crops=row_counts["crops"],
        kept=int(verdicts["kept"].sum()),
        pushed=row_counts["tasks"],
        labelled=row_counts["labels"],
        dropped=Counter(verdicts.loc[~verdicts["kept"].astype(bool), "reason"]),
        rejected=Counter(labels.loc[~kept_labels, "verdict"]),
        origins=Counter(labels.loc[kept_labels, "origin"]),
    )


def as_counts(funnel: Funnel) -> dict[str, int]:
    """Give a funnel as named counts in the order of the stages, as a manifest holds them; counts of 0 are left out."""
    counts = {"frames": funnel.frames}
    counts |= {f"refused: {reason}": number for reason, number in sorted(funnel.refused.items())}
    counts |= {"people": funnel.people, "too small to crop": funnel.too_small, "crops": funnel.crops}
    counts |= {f"dropped: {reason}": number for reason, number in sorted(funnel.dropped.items())}
    counts |= {"kept": funnel.kept, "pushed": funnel.pushed, "labelled": funnel.labelled}
    counts |= {f"rejected: {reason or 'no verdict'}": number for reason, number in sorted(funnel.rejected.items())}
    return {name: number for name, number in counts.items() if number}
