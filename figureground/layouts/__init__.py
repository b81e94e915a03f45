"""Layouts: how a release's pictures and labels lie in a folder, one convention a file.

A layout is a frozen dataclass; its fields are the settings of the convention. See ``docs/releases.md``.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from figureground import plugins
from figureground.errors import PluginError
from figureground.storage.hashing import ReadLog
from figureground.types import Sample

if TYPE_CHECKING:  # it brings OpenCV along
    from figureground.datasets.pairs import Pair


class Layout(Protocol):
    """Writing, reading back, and saying what is wrong.

    ``verbatim`` layouts hold each picture's JPEG byte for byte; others give back a JPEG of the same size. ``exact`` ones
    give back the label cut at one half pixel for pixel; others nearly.
    """

    verbatim: ClassVar[bool]
    exact: ClassVar[bool]

    def write(self, items: Iterable[Sample], into: Path, log: ReadLog | None = None) -> None:
        """Write all samples below a folder, a few at a time; the same samples in another order give the same bytes.

        The hashes of what it writes go into ``log`` where a sample knows them.
        Raises ReleaseError for two samples of one stem, a name that is no file name, or a label of another size than its
        picture.
        """

    def read(self, from_: Path) -> Iterator[Sample]:
        """Give the samples back, by split (train, val, test) and stem."""

    def problems(self, from_: Path, log: ReadLog | None = None) -> Iterator[str]:
        """Say all that is not as the layout promises, each with its file's name in the folder; nothing when all is well.

        Files that it reads whole are recorded in ``log``, so that hashing the folder need not read them again.
        """


class Importable(Protocol):
    """What a layout has besides, whose datasets can become sources: see ``kind: layout`` in ``docs/catalog.md``."""

    def found(self, from_: Path) -> "Iterator[Pair]":
        """Give what a dataset that others made holds, complete or not; only names and lists are looked at, not pixels."""


PROTOCOL = Layout
LETTERBOX = "letterbox"
"""A setting of every layout: the side of the square that pictures and labels are fitted into, pixels."""


def build(name: str, settings: Mapping[str, Any]) -> Any:
    """Build a layout of a release.

    Parameters
    ----------
    name
        The plug-in's, or that with ``-2`` behind it when a release has it twice.
    settings
        Its own, and `LETTERBOX`.

    Raises
    ------
    PluginError
        When there is none of that name, or a setting is wrong.
    """
    side = settings.get(LETTERBOX)
    if LETTERBOX in settings and (not isinstance(side, int) or isinstance(side, bool) or not 16 <= side <= 8192):
        raise PluginError(
            f"layout {name}: {LETTERBOX}: expected a side of 16 to 8192 pixels; found {side!r}", (name, LETTERBOX)
        )
    own = {key: value for key, value in settings.items() if key != LETTERBOX}
    return plugins.build("layouts", name.partition("-")[0], own)
