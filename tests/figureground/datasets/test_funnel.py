"""How many frames, people, crops and labels remain after each stage."""

from collections import Counter

import pandas as pd

from figureground.datasets import funnel
from figureground.datasets.funnel import Funnel
from figureground.tables import Table


def table(*rows: dict[str, object], **facts: object) -> Table:
    return Table(pd.DataFrame(list(rows)), facts)


def test_a_stage_without_table_counts_nothing() -> None:
    assert funnel.count("park", {}) == Funnel("park")
    frames = table({"reason": ""}, {"reason": "b.jpg: its EXIF tag"}, truncated=True)
    counted = funnel.count("park", {"frames": frames})
    assert (counted.frames, counted.refused, counted.why, counted.truncated) == (
        1, Counter({"turned by a tag": 1}), ("b.jpg: its EXIF tag",), True,
    )  # fmt: skip


def test_every_reason_is_counted_and_sources_are_added_up() -> None:
    crops = table({"crop_id": "a"}, {"crop_id": "b"}, people=3, too_small=1)
    verdicts = table({"kept": True, "reason": ""}, {"kept": False, "reason": "size"})
    labels = table(*({"verdict": verdict, "origin": "manual"} for verdict in ("keep", "blurred", "")))
    counted = funnel.count("park", {"crops": crops, "verdicts": verdicts, "labels": labels})
    assert (counted.people, counted.too_small, counted.crops, counted.kept, counted.labelled) == (3, 1, 2, 1, 3)
    assert (counted.dropped, counted.rejected, counted.origins) == ({"size": 1}, {"blurred": 1, "": 1}, {"manual": 1})
    both = funnel.add_up([counted, counted])
    assert (both.source_id, both.people, both.dropped, both.rejected) == ("together", 6, {"size": 2}, {"blurred": 2, "": 2})
    assert list(funnel.as_counts(counted).items()) == [
        ("people", 3), ("too small to crop", 1), ("crops", 2), ("dropped: size", 1), ("kept", 1), ("labelled", 3),
        ("rejected: no verdict", 1), ("rejected: blurred", 1),
    ]  # fmt: skip
