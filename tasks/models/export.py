"""export: a checkpoint → a folder of networks for other engines, each held against torch, with a card."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from figureground import __version__, extras, progress
from figureground.errors import AssetError, ReleaseError
from figureground.escaping import escape_markdown, markdown_code
from figureground.inference import backends
from figureground.storage import atomic, hashing
from figureground.training import checkpoints, exported_model, sample_cache
from figureground.training.exported_model import About
from figureground.types import Image

VERSION = 1
"""Raised by 1 when the exported files change for the same checkpoint."""

TOLD = "export.json"
_TEACH, _CHECK = 128, 64
"""Pictures that teach the scales of 8 bits, and that every export is checked on: at most."""


class Export(NamedTuple):
    """What was made: the folder, and of each format how well it keeps to torch; ``torch`` says how long torch takes."""

    folder: Path
    checks: dict[str, dict[str, Any]]


def export(
    checkpoint: Path, release: Path, into: Path | None = None, formats: Sequence[str] = (), side: int | None = None
) -> Export:
    """Export a network, whole or not at all.

    Parameters
    ----------
    checkpoint
        The folder that `figureground train` left.
    release
        The release it learnt from: its training pictures scale the 8 bits, its validation pictures check all exports.
    into
        The folder to make; ``<checkpoint>/export`` when None. Nothing may be there yet.
    formats
        Some of `figureground.training.export.FORMATS`; all when empty, TFLite only where `make litert` has been run.
    side
        Of the square it shall take, pixels, a multiple of 32; the checkpoint's when None.

    Returns
    -------
    Export
        The folder, and the checks as ``export.json`` has them.

    Raises
    ------
    AssetError
        When the checkpoint is none, the folder exists, a format cannot be made, or one does not keep to torch.
    ReleaseError
        When the release is none, or not the one it learnt from.
    """
    extras.require("train", "figureground export-model")
    from figureground.training import export as exporting

    folder = into or checkpoint / "export"
    if folder.exists():
        raise AssetError(f"{folder} exists and is never changed; move it away or choose another --into")
    wanted = _wanted(formats)
    network, card = checkpoints.load(checkpoint)
    if side is not None and (side % 32 or side < 32):
        raise AssetError(f"--image-size: expected a multiple of 32, found {side}")
    about = About.of(card, side)
    calibration_images, check_images = _pictures(release, card, about)
    answering = exporting.Answering(network, card.classes).eval()
    mark = hashing.sha256(repr((card.digest, about, wanted, VERSION)).encode())
    with atomic.build_folder(folder, mark) as bench:
        for left in bench.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        exporting.write_onnx(answering, about, bench / exporting.FILES["onnx"])
        expected, milliseconds = exporting.by_torch(answering, check_images)
        if not exporting.tell_anything(expected):
            raise AssetError(
                f"{checkpoint}: it finds nobody on any of {len(check_images)} pictures of {release}, so exports cannot be held "
                "against it; train longer"
            )
        checks: dict[str, dict[str, Any]] = {"torch": {"milliseconds": milliseconds}}
        for made_format in progress.track(wanted, "export", checkpoint.name, len(wanted)):
            checks[made_format] = _made(made_format, checkpoint, about, bench, calibration_images, check_images, expected)
        if "onnx" not in wanted:
            (bench / exporting.FILES["onnx"]).unlink()
        files = {name: {"sha256": sha, "bytes": size} for name, (sha, size) in hashing.hash_folder(bench).items()}
        text = {"format": 1, "about": about.model_dump(mode="json"), "checks": checks, "files": files, "code": __version__}
        (bench / TOLD).write_bytes(exporting.as_json(text))
        (bench / "README.md").write_text(_page(card, about, checks, files, len(calibration_images)), encoding="utf-8")
        atomic.flush_folder(bench)
        bench.rename(folder)
        atomic.flush(folder.parent)
    return Export(folder, checks)


def _wanted(formats: Sequence[str]) -> tuple[str, ...]:
    from figureground.training import export as exporting

    if unknown := [sample for sample in formats if sample not in exporting.FORMATS]:
        raise AssetError(f"no format {unknown[0]!r}; there are: {', '.join(exporting.FORMATS)}")
    if formats:
        return tuple(sample for sample in exporting.FORMATS if sample in formats)
    return tuple(sample for sample in exporting.FORMATS if sample != "tflite" or exporting.litert_folder())


def _pictures(folder: Path, card: checkpoints.Card, about: About) -> tuple[list[Image], list[Image]]:
    """Give letterboxed pictures that teach scales, and others that check; of a release without validation the same."""
    result = sample_cache.open_release(folder, card.classes)
    if result.digest != card.trained_on.digest:
        raise ReleaseError(
            f"{folder} is not what this network learnt from: its digest is {result.digest}; "
            f"expected {card.trained_on.digest}, that of {card.trained_on.release}"
        )
    stems = {split: [sample.sample_id for sample in result.samples() if sample.split == split] for split in ("train", "val")}
    calibration_ids, check_ids = _spread(stems["train"], _TEACH), _spread(stems["val"] or stems["train"], _CHECK)
    if not calibration_ids:
        raise ReleaseError(f"{folder} has no pictures to train with")
    squares = {
        sample.stem: exported_model.letterbox(sample.image, about)
        for sample in result.examples("train", "val")
        if sample.stem in {*calibration_ids, *check_ids}
    }
    return [squares[stem] for stem in calibration_ids], [squares[stem] for stem in check_ids]


def _spread(stems: list[str], at_most: int) -> list[str]:
    """Take some, spread evenly over all.

    >>> _spread(list("abcdef"), 3)
    ['a', 'c', 'e']
    """
    return list(islice(stems, 0, None, max(1, -(-len(stems) // at_most))))


def _made(
    made_format: str,
    checkpoint: Path,
    about: About,
    bench: Path,
    calibration_images: list[Image],
    check_images: list[Image],
    expected: list[Any],
) -> dict[str, Any]:
    """Make one format and hold it against torch."""
    from figureground.training import export as exporting

    onnx_file, file, layers = bench / exporting.FILES["onnx"], bench / exporting.FILES[made_format], ""
    if made_format == "openvino":
        exporting.write_openvino(onnx_file, file)
    elif made_format == "openvino-int8":
        layers = exporting.write_int8(onnx_file, file, calibration_images, check_images, expected)
    if made_format == "tflite":
        result, milliseconds = exporting.write_tflite(checkpoint, about, file, check_images)
    else:
        predict = backends.open_file(file, "onnxruntime" if made_format == "onnx" else "openvino")
        result, milliseconds = exporting.asked(predict, check_images)
    kept = exporting.agreement(expected, result, milliseconds)
    if not np.isfinite(kept.difference) or kept.iou < exporting.IOU_AT_LEAST:
        raise AssetError(
            f"the export {made_format} does not keep to torch: IoU {kept.iou:.4f} on {kept.pictures} pictures, expected at "
            f"least {exporting.IOU_AT_LEAST}; leave it out with --format, or train longer: an unsure network changes with "
            "every bit"
        )
    return {**asdict(replace(kept, iou=round(kept.iou, 6), worst=round(kept.worst, 6))), "layers": layers}


def _page(
    card: checkpoints.Card,
    about: About,
    checks: dict[str, dict[str, Any]],
    files: dict[str, dict[str, Any]],
    calibration_crops: int,
) -> str:
    """Write the model's card."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(  # Markdown, escaped by the filters below  # nosec B701
        loader=FileSystemLoader(Path(exported_model.__file__).parent / "templates"),
        autoescape=False, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    context = {"card": card, "about": about, "checks": checks, "files": files, "code": __version__}
    context["calibration_crops"] = calibration_crops
    templates.filters |= {"escaped": escape_markdown, "code": markdown_code}
    return templates.get_template("model.md.jinja").render(context)
