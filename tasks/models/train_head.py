"""Trains the head of a check again: `python -m tasks.models.train_head NAME --data DIR [--write]`.

It logs the head's figures on scenes left out, and the sha256 that the check's ``HEAD`` has to name. Developers run it from a
checkout; no flow does.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from figureground import catalog, plugins
from figureground.catalog import Catalog
from figureground.checks import heads
from figureground.checks.heads import train_distortion, train_ghosting, train_occlusion, train_truncation
from figureground.checks.heads.regression import TrainedHead
from figureground.clients.sources.fetching import fetch_asset
from figureground.types import Weights

NAMES = ("truncation", "distortion", "ghosting", "occlusion")
POSE_NETWORK, SEGMENTATION_NETWORK = "yolo11n-pose.pt", "yolo26n-seg.pt"


def train_head(name: str, settings: Catalog, data: Path) -> TrainedHead:
    """Fetch the networks and train the head of a check.

    Parameters
    ----------
    name
        One of `NAMES`.
    settings
        The catalog: its recipe's detector and its networks are used.
    data
        The folder of labelled scenes, see `figureground.checks.heads.scenes`.
    """
    detector = settings.detector()
    for weights in plugins.weights(detector):
        fetch_asset(settings.asset(weights.name))
    if name == "truncation":
        return train_truncation.train(detector, data)
    pose = _fetch_weights(settings, POSE_NETWORK)
    if name == "distortion":
        return train_distortion.train(detector, pose, data)
    if name == "ghosting":
        return train_ghosting.train(detector, pose, data)
    return train_occlusion.train(detector, pose, _fetch_weights(settings, SEGMENTATION_NETWORK), data)


def _fetch_weights(settings: Catalog, name: str) -> Weights:
    asset = settings.asset(name)
    fetch_asset(asset)
    return asset.weights


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the head that the command line names, and write it when asked to."""
    parser = argparse.ArgumentParser(prog="python -m tasks.models.train_head", description="Trains the head of a check.")
    parser.add_argument("name", choices=NAMES, help="the check")
    parser.add_argument("--data", type=Path, required=True, help="the folder of labelled scenes")
    parser.add_argument("--catalog", type=Path, default=Path("data_catalog.yaml"), help="names the detector and the networks")
    parser.add_argument("--write", action="store_true", help="write the head trained on all scenes beside the checks")
    options = parser.parse_args(arguments)
    trained = train_head(options.name, catalog.load(options.catalog), options.data)
    for line in trained.figures:
        sys.stdout.write(f"{line}\n")
    file = Path(heads.__path__[0]) / f"{options.name}.npz"
    if options.write:
        file.write_bytes(trained.content)
    digest = hashlib.sha256(trained.content).hexdigest()
    sys.stdout.write(f"{file}: sha256 {digest}, {'written' if options.write else 'not written'}\n")


if __name__ == "__main__":
    main()
