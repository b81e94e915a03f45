"""The tree of errors.

::

    FiguregroundError            anything a user can act on; exit code 1
    ├── CatalogError             data_catalog.yaml contains something invalid
    │   └── PluginError          a plug-in is missing, or is not what its kind requires
    ├── SourceError              a video or photo cannot be found, fetched or read
    ├── ArrayError               an array has the wrong shape, dtype or range
    ├── StoreError               a stored file is missing, damaged or cannot be written
    ├── LabelError               an annotation or a pre-annotation cannot be used
    ├── AssetError               model weights cannot be fetched, or are not the pinned ones
    ├── MissingPackageError      an optional package is not installed
    ├── ReleaseError             a release cannot be made, or does not match its manifest
    └── TransientError           the same call may succeed later; the only error that is retried
        └── ShortageError        this machine lacks memory, threads, open files or room on a disk
            └── FullStorageError it lacks room where a stored file is written; a StoreError, too

A message names the thing, the place, what was expected, what was found and what to do.
Errors of other libraries are translated once, where they are caught, with ``raise ... from error``.
"""


from figureground.escaping import escape_undecoded


class FiguregroundError(Exception):
    """Anything a user can act on."""

    def __str__(self) -> str:
        """Give the message; bytes of file names that are not UTF-8 are escaped."""
        return escape_undecoded(super().__str__())


class CatalogError(FiguregroundError):
    """The catalog contains something invalid."""


class PluginError(CatalogError):
    """A plug-in is missing, or is not what its kind requires.

    ``where`` names the plug-in and, if one is at fault, its setting.
    """

    def __init__(self, message: str, *, where: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.where = where


class SourceError(FiguregroundError):
    """A video or photo cannot be found, fetched or read."""


class ArrayError(FiguregroundError):
    """An array has the wrong shape, dtype or range."""


class StoreError(FiguregroundError):
    """A stored file is missing, damaged or cannot be written."""


class LabelError(FiguregroundError):
    """An annotation or a pre-annotation cannot be used."""


class AssetError(FiguregroundError):
    """Model weights cannot be fetched, or are not the pinned ones."""


class MissingPackageError(FiguregroundError):
    """An optional package is not installed."""


class ReleaseError(FiguregroundError):
    """A release cannot be made, or does not match its manifest."""


class TransientError(FiguregroundError):
    """The same call may succeed later. ``final`` is set where it was already retried and shall not be retried again."""

    final = False


class ShortageError(TransientError):
    """The machine lacks memory, threads, open files or room on a disk; that is never a property of the input."""


class FullStorageError(StoreError, ShortageError):
    """There is no room where a stored file is written."""
