"""data_catalog.yaml as typed, frozen settings: the only place with paths and limits.

`load` reads and checks the file; what it does not say comes from the packaged ``defaults.yaml``.
"""

from figureground.catalog.entries import (
    DaskEntry,
    LabelStudioEntry,
    LimitsEntry,
    NotifyEntry,
    PreannotationGateEntry,
    ScheduleEntry,
)
from figureground.catalog.loading import defaults, load, render_for_folder
from figureground.catalog.recipes import ComposeRecipe, PortraitRecipe, SampleRecipe, ScenesRecipe
from figureground.catalog.schema import Catalog

__all__ = [
    "Catalog",
    "ComposeRecipe",
    "DaskEntry",
    "LabelStudioEntry",
    "LimitsEntry",
    "NotifyEntry",
    "PortraitRecipe",
    "PreannotationGateEntry",
    "SampleRecipe",
    "ScenesRecipe",
    "ScheduleEntry",
    "defaults",
    "load",
    "render_for_folder",
]
