"""Filters for lists of tasks, in the JSON that the server takes as ``query``."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

KEYS_PER_QUERY = 100

Filter = Mapping[str, Any]


def make_query(*filters: Filter) -> str:
    """Make a query for tasks that pass all filters."""
    return json.dumps({"filters": {"conjunction": "and", "items": filters}})


def of_source(source_id: str) -> Filter:
    """Filter the tasks of a source."""
    return _filter("data.source", "equal", "String", source_id)


def annotations_counted(more_than_zero: bool) -> Filter:
    """Filter tasks for which the server counts at least one annotation, or none."""
    return _filter("total_annotations", "greater" if more_than_zero else "equal", "Number", 0)


def updated_since(time: str) -> Filter:
    """Filter tasks changed at a time or later."""
    return _filter("updated_at", "greater_or_equal", "Datetime", time)


def number_above(task_id: int) -> Filter:
    """Filter tasks with a higher number."""
    return _filter("id", "greater", "Number", task_id)


def queries_of_keys(keys: Sequence[str], *more: Filter) -> Iterator[str]:
    """Make queries for the tasks with these keys, a portion of the keys each."""
    for start in range(0, len(keys), KEYS_PER_QUERY):
        yield make_query(_filter("data.key", "in_list", "String", list(keys[start : start + KEYS_PER_QUERY])), *more)


def _filter(name: str, operator: str, kind: str, value: Any) -> Filter:
    return {"filter": f"filter:tasks:{name}", "operator": operator, "type": kind, "value": value}
