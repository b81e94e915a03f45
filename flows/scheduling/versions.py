"""The versions of the programs that decide a run's results."""

import platform

from figureground import __version__

_PACKAGES = ("prefect", "numpy", "opencv-python", "av", "openvino", "torch")


def read_versions() -> dict[str, str]:
    """Read the versions of figureground, Python and the main packages."""
    from importlib.metadata import version

    return {"figureground": __version__, "python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
