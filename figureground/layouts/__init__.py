"""Layouts: how a release's images and labels lie in a folder, one convention a file.

A layout is a frozen dataclass; its fields are the settings of the convention. See ``docs/releases.md``.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from figureground import plugins
from figureground.errors import PluginError
from figureground.storage.hashing import ReadLog
from figureground.types import Sample

if TYPE_CHECKING:  # it imports OpenCV
    from figureground.datasets.pairs import Pair


class Layout(plugins.Plugin, Protocol):
    """Writes samples to a folder, reads them back, and finds what is wrong with a folder."""

    @property
    def verbatim(self) -> bool:
        """Whether the folder holds each sample's JPEG byte for byte; other layouts give back a JPEG of the same size."""

    @property
    def exact(self) -> bool:
        """Whether a label, cut at one half, comes back pixel for pixel; from other layouts it comes back nearly so."""

    def write(self, items: Iterable[Sample], into: Path, log: ReadLog | None = None) -> None:
        """Write all samples below a folder, a few at a time; the same samples in another order give the same bytes.

        Parameters
        ----------
        items
            The samples.
        into
            The folder; it is made.
        log
            Where the hashes of written files are recorded, as far as the samples carry them.

        Raises
        ------
        ReleaseError
            For two samples of one id, a name that cannot be a file name, or a label of another size than its image.
        """

    def read(self, from_: Path) -> Iterator[Sample]:
        """Give the samples back, by split (train, val, test) and sample id."""

    def find_problems(self, from_: Path, log: ReadLog | None = None) -> Iterator[str]:
        """Name everything in a folder that is not as the layout promises, each with its file's name; nothing when all is well.

        Files that it reads whole are recorded in ``log``, so that hashing the folder need not read them again.
        """


@runtime_checkable
class ImportableLayout(Protocol):
    """A layout whose datasets can become sources: see ``kind: layout`` in ``docs/catalog.md``."""

    def find_pairs(self, from_: Path) -> "Iterator[Pair]":
        """List the images and masks of a dataset from elsewhere, complete or not; only names and lists are read, not pixels."""


class DatasetLayout(plugins.Plugin, ImportableLayout, Protocol):
    """The plug-in that a source of ``kind: layout`` is read with."""


@runtime_checkable
class LayoutWithClasses(Protocol):
    """A layout that can hold class maps of more than person and background."""

    @property
    def classes(self) -> int:
        """How many classes its labels have: 2, 5 or 18."""


PROTOCOL = Layout
LETTERBOX = "letterbox"
"""A setting of every layout: the side of the square that images and labels are fitted into, pixels."""


def build(name: str, settings: Mapping[str, Any]) -> Layout:
    """Build a layout of a release.

    Parameters
    ----------
    name
        The plug-in's, with ``-2`` after it for the second time that a release has it.
    settings
        Its own, and `LETTERBOX`.

    Raises
    ------
    PluginError
        When there is no such layout, or a setting is wrong.
    """
    side = settings.get(LETTERBOX)
    if LETTERBOX in settings and (not isinstance(side, int) or isinstance(side, bool) or not 16 <= side <= 8192):
        message = f"layout {name}: {LETTERBOX}: expected a side of 16 to 8192 pixels; found {side!r}"
        raise PluginError(message, where=(name, LETTERBOX))
    own = {key: value for key, value in settings.items() if key != LETTERBOX}
    layout: Layout = plugins.build("layouts", name.partition("-")[0], own)
    return layout


def importable() -> tuple[str, ...]:
    """List the layouts whose datasets can become sources."""
    return tuple(name for name in plugins.names("layouts") if issubclass(plugins.find("layouts", name), ImportableLayout))
