"""The tree of errors.

::

    FiguregroundError            anything a user can act on; exit code 1
    ├── CatalogError             data_catalog.yaml says something that cannot be meant
    │   └── PluginError          a plug-in is missing, or is not what its kind asks for
    ├── SourceError              a video or picture cannot be found, fetched or read
    ├── ArrayError               an array has the wrong shape, dtype or range
    ├── StoreError               a stored file is missing, damaged or cannot be written
    ├── LabelError               an annotation or a pre-annotation is not usable
    ├── AssetError               model weights cannot be had or are not the pinned ones
    ├── MissingPackageError      an optional package is not installed
    ├── ReleaseError             a release cannot be cut, or does not match its manifest
    └── TransientError           the same call may work in a while; the only one that is retried

A message names the thing, the place, what was expected, what was found and the way out.
Foreign errors are translated once, where they are caught, with ``raise ... from error``.
"""


class FiguregroundError(Exception):
    """Anything a user can act on."""


class CatalogError(FiguregroundError):
    """The catalog says something that cannot be meant."""


class PluginError(CatalogError):
    """A plug-in is missing, or is not what its kind asks for.

    ``where`` names the plug-in and, if one is at fault, its setting.
    """

    def __init__(self, message: str, *, where: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.where = where


class SourceError(FiguregroundError):
    """A video or picture cannot be found, fetched or read."""


class ArrayError(FiguregroundError):
    """An array has the wrong shape, dtype or range."""


class StoreError(FiguregroundError):
    """A stored file is missing, damaged or cannot be written."""


class LabelError(FiguregroundError):
    """An annotation or a pre-annotation is not usable."""


class AssetError(FiguregroundError):
    """Model weights cannot be had, or are not the pinned ones."""


class MissingPackageError(FiguregroundError):
    """An optional package is not installed."""


class ReleaseError(FiguregroundError):
    """A release cannot be cut, or does not match its manifest."""


class TransientError(FiguregroundError):
    """The same call may work in a while. ``final`` is set where that was tried already, for as long as is worth it."""

    final = False
