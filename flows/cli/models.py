"""Commands that train, score, export and run networks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from figureground.errors import CatalogError
from flows.cli.options import (
    CATALOG,
    MAX_STRETCH,
    BatchSize,
    CatalogFile,
    Classes,
    Device,
    ImageSize,
    Into,
    MaxLearningRate,
    Model,
    Network,
    NetworkSettings,
    ReleaseFolder,
    SplitNames,
    Steps,
    Verbose,
    configure_logging,
    locate_release,
    open_catalog,
)
from flows.cli.output import console, format_counts, print_message, running_flow, show_progress

if TYPE_CHECKING:
    from figureground.datasets.splits import Split
    from figureground.training.settings import TrainingSettings
    from tasks.models.model_comparison import ModelComparison

PANEL = "Models"
_DEFAULT_STEPS = 2500
_OPTION_NAMES = {
    "side": "image-size",
    "stretch": "max-stretch",
    "batch": "batch-size",
    "learning_rate": "max-learning-rate",
}
"""The option that sets a field of the training settings, where it is not called like the field."""

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL)
def train(
    release: ReleaseFolder,
    network: Network = "unet",
    settings: NetworkSettings = None,
    classes: Annotated[int, typer.Option("--classes", help="1: soft alpha; 2: person and background; 5: body parts.")] = 2,
    image_size: ImageSize = 256,
    max_stretch: Annotated[
        float,
        typer.Option(
            "--max-stretch", show_default="4/3", help="How far an image's short side may be stretched to fill the input."
        ),
    ] = MAX_STRETCH,
    steps: Steps = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Passes over the train split, instead of --steps.")
    ] = None,
    batch_size: BatchSize = 8,
    max_learning_rate: MaxLearningRate = 3e-3,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the weights, the order of images and the augmentations.")] = 1,
    into: Annotated[
        Path | None, typer.Option("--into", metavar="DIR", help="The checkpoint's folder; in the storage if omitted.")
    ] = None,
    device: Device = "auto",
    catalog: CatalogFile = CATALOG,
    verbose: Verbose = False,
) -> None:
    """Train a network on a release. A killed run continues and ends with the same weights."""
    if steps is not None and epochs is not None:
        raise typer.BadParameter("--steps and --epochs set the same thing; give one of them")
    open_catalog(catalog, verbose, reads_tables=False)
    training = _training_settings(
        network=network,
        settings=settings,
        classes=classes,
        side=image_size,
        stretch=max_stretch,
        steps=steps,
        batch=batch_size,
        learning_rate=max_learning_rate,
        seed=seed,
    )
    from flows.training import count_training_images
    from flows.training import train as train_network

    folder = locate_release(release, catalog)
    with running_flow():
        if epochs is not None:
            training = replace(training, pictures=max(1, epochs * count_training_images(folder, classes)))
        trained = train_network(folder, training, str(catalog), into, device)
    card, metrics = trained.card, trained.card.metrics
    console.print(
        f"trained on {card.trained_on.release}: {format_counts(card.trained_on.pictures)}\n  {trained.folder}", soft_wrap=True
    )
    console.print(
        f"score on its val split {metrics['score']:.3f}, at step {metrics['at_step']:.0f}; curve: {trained.folder}/curve.svg",
        soft_wrap=True,
    )


@commands.command(rich_help_panel=PANEL)
def evaluate(
    model: Model,
    release: ReleaseFolder,
    split: SplitNames = None,
    classes: Classes = None,
    into: Into = None,
    device: Device = "auto",
    catalog: CatalogFile = CATALOG,
    verbose: Verbose = False,
) -> None:
    """Score a checkpoint, predictions or a remover on a release: per split and scene, with confidence intervals."""
    open_catalog(catalog, verbose, reads_tables=False)
    from figureground.reports.scoreboard import format_interval, list_titles
    from flows.training import evaluate as run_evaluation

    folder = locate_release(release, catalog)
    with running_flow():
        evaluation = run_evaluation(model, folder, str(catalog), into, _parse_splits(split), classes, device)
    table = Table("", "images", "sources", *(title for _, title in list_titles(evaluation.groups[0].figures)))
    for group in evaluation.groups:
        values = [format_interval(group.figures[key], key) for key, _ in list_titles(group.figures)]
        table.add_row(escape(group.name), str(group.pictures), str(group.sources), *values)
    console.print(table)
    console.print(f"page: {evaluation.page}", soft_wrap=True)


@commands.command(rich_help_panel=PANEL)
def compare(
    old: Annotated[str, typer.Argument(metavar="OLD", help="A release; with --on, a model as `evaluate` takes it.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="A release; with --on, a model as `evaluate` takes it.")],
    on: Annotated[Path | None, typer.Option("--on", metavar="RELEASE", help="Compare two models on this release.")] = None,
    split: SplitNames = None,
    repeats: Annotated[
        int, typer.Option("--repeats", min=1, help="Trainings per release, each with the next seed.")
    ] = 1,
    network: Network = "unet",
    settings: NetworkSettings = None,
    classes: Classes = None,
    image_size: ImageSize = 256,
    steps: Steps = None,
    batch_size: BatchSize = 8,
    max_learning_rate: MaxLearningRate = 3e-3,
    into: Into = None,
    device: Device = "auto",
    catalog: CatalogFile = CATALOG,
    verbose: Verbose = False,
) -> None:
    """Compare two releases by training the same network on each; or, with --on, compare two models on one release."""
    open_catalog(catalog, verbose, reads_tables=False)
    from flows.training import compare as compare_releases
    from flows.training import compare_models

    with running_flow():
        if on:
            folder = locate_release(on, catalog)
            comparisons: Sequence[ModelComparison] = [
                compare_models(old, new, folder, str(catalog), into, _parse_splits(split) or ("test",), classes, device)
            ]
        else:
            training = _training_settings(
                network=network,
                settings=settings,
                classes=classes or 2,
                side=image_size,
                stretch=MAX_STRETCH,
                steps=steps,
                batch=batch_size,
                learning_rate=max_learning_rate,
                seed=1,
            )
            older, newer = (locate_release(Path(name), catalog) for name in (old, new))
            compared = compare_releases(older, newer, training, repeats, str(catalog), into, device)
            comparisons = compared.contests
            for source in compared.left_out:
                console.print(
                    f"left out: {source}, which is in the test split of one release and is trained on in the other",
                    soft_wrap=True,
                )
    for comparison in comparisons:
        _print_comparison(comparison)


def _parse_splits(names: Sequence[str] | None) -> tuple["Split", ...]:
    from figureground.datasets.splits import SPLITS

    unknown = [name for name in names or () if name not in SPLITS]
    if unknown:
        raise typer.BadParameter(f"--split {unknown[0]}: expected {', '.join(SPLITS[:-1])} or {SPLITS[-1]}")
    return tuple(split for split in SPLITS if split in (names or ()))


def _print_comparison(comparison: "ModelComparison") -> None:
    from figureground.reports.scoreboard import format_interval
    from tasks.models.model_comparison import DECIDING

    table = Table(f"mIoU on {comparison.on}", "images", "sources", "old", "new", "difference")
    for row in comparison.differences:
        values = [format_interval(figures[DECIDING], DECIDING) for figures in (row.old, row.new, row.gained)]
        table.add_row(escape(row.name), str(row.pictures), str(row.sources), *values)
    console.print(table)
    print_message(comparison.verdict)
    console.print(f"page: {comparison.page}", soft_wrap=True)


def _training_settings(
    *, network: str, settings: Sequence[str] | None, steps: int | None, batch: int, **fields: Any
) -> "TrainingSettings":
    """Validate the settings of a training before any data is read."""
    from pydantic import ValidationError

    from figureground import plugins
    from figureground.training.settings import TrainingSettings

    network_settings = dict(_parse_setting(text) for text in settings or ())
    plugins.build("networks", network, network_settings)
    images = (steps or _DEFAULT_STEPS) * batch
    try:
        return TrainingSettings(network=network, settings=network_settings, pictures=images, batch=batch, **fields)
    except ValidationError as error:
        first = next((item for item in error.errors() if item["loc"] != ("pictures",)), error.errors()[0])
        field = str(first["loc"][0])
        raise CatalogError(f"--{_OPTION_NAMES.get(field, field)}: {first['msg']}; found {first['input']!r}") from error


def _parse_setting(text: str) -> tuple[str, Any]:
    import yaml

    key, sign, value = text.partition("=")
    if not sign:
        raise typer.BadParameter(f"--set {text}: expected KEY=VALUE, such as encoder=mobilenet_v2")
    return key, yaml.safe_load(value)


@commands.command("export-model", rich_help_panel=PANEL)
def export_model(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A folder made by `figureground train`.")],
    release: Annotated[
        Path, typer.Option("--release", metavar="RELEASE", help="The release it was trained on: its folder, or its name.")
    ],
    into: Annotated[
        Path | None, typer.Option("--into", metavar="DIR", help="Output folder; CHECKPOINT/export if omitted.")
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format", metavar="FORMAT", help="onnx, openvino, openvino-int8, tflite; all if omitted."
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option("--image-size", metavar="PIXELS", help="Input size; the checkpoint's if omitted.")
    ] = None,
    catalog: CatalogFile = CATALOG,
    verbose: Verbose = False,
) -> None:
    """Export a trained network to ONNX, OpenVINO and TFLite, check each export against torch, and write a model card."""
    configure_logging(verbose)
    from tasks.models.export import export

    with show_progress():
        exported = export(checkpoint, locate_release(release, catalog), into, formats or (), image_size)
    for name, check in exported.checks.items():
        agreement = f"IoU {check['iou']:.4f} with torch on {check['pictures']} crops, " if "iou" in check else ""
        console.print(f"{name}: {agreement}{check['milliseconds']:.1f} ms per crop")
    if "tflite" not in exported.checks and not formats:
        console.print("tflite: left out, the converter is not installed; `make litert` installs it")
    console.print(f"exported: {exported.folder}", soft_wrap=True)


@commands.command(rich_help_panel=PANEL)
def live(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A folder made by `figureground export-model`, or its model.onnx.")
    ],
    video: Annotated[Path | None, typer.Option("--video", metavar="FILE", help="A video instead of the camera.")] = None,
    camera: Annotated[
        str, typer.Option("--camera", metavar="DEVICE", help="With --into: a camera of this machine, such as /dev/video0.")
    ] = "",
    into: Annotated[Path | None, typer.Option("--into", metavar="FILE", help="Write an mp4 instead of serving a page.")] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.1, help="How long to record the camera; until stopped if omitted.")
    ] = None,
    background: Annotated[
        Path | None, typer.Option("--background", metavar="FILE", help="An image to put behind the person.")
    ] = None,
    blur: Annotated[
        float, typer.Option("--blur", min=0.5, max=99, metavar="PIXELS", help="Blur of the background where no image is given.")
    ] = 14.0,
    host: Annotated[str, typer.Option("--host", help="The address to serve the page on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0: any free port.")] = 8095,
    catalog: CatalogFile = CATALOG,
    verbose: Verbose = False,
) -> None:
    """Replace the background of a video or a camera: into a file, or live on a page in the browser."""
    configure_logging(verbose)
    from flows.live import serve
    from tasks.models.live import load_background, replace_camera, replace_video

    if into is None:
        serve(catalog, model, host, port, background, blur, video, say=lambda text: console.print(text, soft_wrap=True))
        return
    if bool(video) == bool(camera):
        raise typer.BadParameter("--into needs either --video FILE or --camera DEVICE")
    behind = load_background(background, blur)
    with show_progress():
        count = replace_video(model, video, into, behind) if video else replace_camera(model, camera, into, behind, seconds)
    console.print(f"{count} frames: {into.with_suffix('.mp4')}", soft_wrap=True)
