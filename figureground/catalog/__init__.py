"""data_catalog.yaml as typed, frozen settings.

It is the only place with paths and limits.
"""

from figureground.catalog.schema import (
    Catalog,
    ComposeRecipe,
    DaskEntry,
    LabelStudioEntry,
    LimitsEntry,
    NotifyEntry,
    PaysOffEntry,
    SampleRecipe,
    ScheduleEntry,
    load,
    moved,
)

__all__ = [
    "Catalog",
    "ComposeRecipe",
    "DaskEntry",
    "LabelStudioEntry",
    "LimitsEntry",
    "NotifyEntry",
    "PaysOffEntry",
    "SampleRecipe",
    "ScheduleEntry",
    "load",
    "moved",
]
