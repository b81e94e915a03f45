"""What people's work on all tasks of a storage says: tasks and labels joined."""

from collections.abc import Iterator

from figureground import payoff, tables
from figureground.labelling import KEEP
from figureground.payoff import Work
from figureground.store import Store


def works(store: Store) -> Iterator[Work]:
    """Give each kept label's work, source by source; tasks that cannot be pre-annotated are left out.

    Raises
    ------
    StoreError
        When a table is damaged.
    """
    for source_id in tables.sources(store, "labels"):
        refs = [tables.find(store, stage, source_id) for stage in ("tasks", "labels")]
        if refs[0] is None or refs[1] is None:
            continue
        tasks = tables.read(store, refs[0])
        asked = {row["crop_id"]: row for row in tasks.rows.to_dict("records")}
        for label in tables.read(store, refs[1]).rows.to_dict("records"):
            task = asked.get(label["crop_id"])
            if task is not None and label["verdict"] == KEEP and task["blank"] != payoff.NO_PARTS:
                yield Work(
                    int(label["annotation_id"]),
                    tuple(tasks.facts.get("scenes", ())),
                    str(task["remover"]),
                    bool(task["blank"]),
                    float(label["seconds_spent"]),
                )
