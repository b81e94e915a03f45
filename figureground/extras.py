"""Which optional packages are installed. The base takes videos to a release; the rest is in extras of the package."""

from importlib.util import find_spec

from figureground.errors import MissingPackageError

PACKAGES = {
    "train": ("albumentations", "monai", "nncf", "onnx", "onnxscript", "safetensors", "segmentation_models_pytorch"),
    "cluster": ("dask", "distributed"),
    "s3": ("s3fs",),
    "web": ("yt_dlp",),
}
"""The packages of each extra that are imported by name, as ``pyproject.toml`` lists them."""


def require(extra: str, purpose: str) -> None:
    """Refuse what needs an extra that is not installed, before any work begins.

    Parameters
    ----------
    extra
        A key of `PACKAGES`.
    purpose
        What needs it, as the user wrote it: ``sources.talks: kind: web``.

    Raises
    ------
    MissingPackageError
        With the missing packages and the command that installs them.

    Examples
    --------
    >>> require("s3", "storage: s3://bucket")
    """
    missing = [name for name in PACKAGES[extra] if find_spec(name) is None]
    if missing:
        names = ", ".join(missing)
        raise MissingPackageError(
            f"{purpose} needs {names}, which is not installed; install it with: pip install 'figureground[{extra}]'"
        )
