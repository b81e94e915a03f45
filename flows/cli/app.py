"""The command line. Every command says what it did; errors are one message on stderr and exit code 1."""

import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from figureground.errors import FiguregroundError

if TYPE_CHECKING:
    from figureground.catalog import Catalog
    from flows.ingest import Outcome

app = typer.Typer(
    name="figureground",
    help="From community video to a released person-segmentation dataset.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
studio = typer.Typer(help="A local Label Studio for one machine.", no_args_is_help=True)
app.add_typer(studio, name="studio")

CatalogFile = Annotated[Path, typer.Option("--catalog", metavar="FILE", help="The catalog: sources, recipe, places.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show the log, and tracebacks of errors.")]
Sources = Annotated[list[str] | None, typer.Argument(metavar="[SOURCE]...", help="Names of catalog sources; none means all.")]
Note = Annotated[str, typer.Option("--note", help="Part of the release's name; the catalog's note when not given.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A release's folder.")]
Release = Annotated[Path, typer.Argument(metavar="RELEASE", help="The folder of a release, or of pictures in a layout.")]
Network = Annotated[str, typer.Option("--network", help="unet, segnet, segresnet, deeplabv3.")]
NetworkSettings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the network.")]
Side = Annotated[int, typer.Option("--side", help="Of the square it sees, pixels; a multiple of 32.")]
Stretch = Annotated[float, typer.Option("--stretch", help="By how much a picture's short side may be drawn out to fill it.")]
Pictures = Annotated[int, typer.Option("--pictures", help="How many it sees in all: the budget.")]
Batch = Annotated[int, typer.Option("--batch", help="How many at a time.")]
LearningRate = Annotated[float, typer.Option("--learning-rate", help="The largest on the way.")]
Device = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda", help="auto: a GPU where there is one.")]
Splits = Annotated[list[str] | None, typer.Option("--split", help="train, val or test; may be given again.")]
Classes = Annotated[int | None, typer.Option("--classes", help="1: soft alpha; 2: person; 5: parts.")]
Pages = Annotated[Path | None, typer.Option("--into", metavar="DIR", help="For tables and pages; else in the storage.")]
HERE = Path("data_catalog.yaml")
STRETCH = 4 / 3
_COLUMNS = 6

out = Console()
err = Console(stderr=True)


def main() -> None:
    """Run the command line and turn a `FiguregroundError` into one message and exit code 1."""
    try:
        app()
    except FiguregroundError as error:
        if "--verbose" in sys.argv:
            traceback.print_exc()
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        raise SystemExit(1) from None


@app.command()
def demo(
    catalog: CatalogFile = HERE,
    keep: Annotated[bool, typer.Option("--keep", help="Leave Label Studio running.")] = False,
    verbose: Verbose = False,
) -> None:
    """Go the whole way on the catalog's sources, with a local Label Studio and a stand-in annotator."""
    _begin(catalog, verbose)
    from flows.demo import demo as go

    with _progress():
        end = go(catalog, keep=keep, say=lambda text: out.print(f"[bold]{text}[/]"))
    _print_funnels(end.funnels)
    counts = ", ".join(f"{count} in {split}" for split, count in sorted(end.release.counts.items()))
    out.print(f"\nreleased and verified: [bold]{end.release.name}[/] ({counts})\n  {end.release.folder}", soft_wrap=True)
    out.print(f"pictures of the way: [bold]{end.page}[/]", soft_wrap=True)
    out.print(f"one sheet a source: {', '.join(map(str, end.pictures))}", soft_wrap=True)
    if keep:
        out.print(
            f"Label Studio runs at {end.studio.url}: log in as {end.studio.username} with the password {end.studio.password}",
            soft_wrap=True,
        )
        out.print(f"stop it with: figureground studio down --catalog {end.catalog_file}", soft_wrap=True)
    else:
        out.print(f"to label by hand: figureground studio up --catalog {end.catalog_file}", soft_wrap=True)
    out.print(
        f"then: figureground pull --catalog {end.catalog_file}"
        f" && figureground release --note mine --catalog {end.catalog_file}",
        soft_wrap=True,
    )


@app.command()
def ingest(sources: Sources = None, catalog: CatalogFile = HERE, verbose: Verbose = False) -> None:
    """Fetch, sample, crop, measure, judge and matte what is not done yet; write the reports."""
    settings = _begin(catalog, verbose)
    from flows.ingest import ingest as flow
    from tasks.datasets.summarise import summarise

    with _progress():
        outcomes = flow(str(catalog), sources)
    done = [outcome.source_id for outcome in outcomes if not outcome.error and not outcome.left]
    funnels = [summarise(source_id, settings) for source_id in done]
    _print_funnels(funnels)
    for funnel in funnels:
        for reason in funnel.why:
            out.print(f"{funnel.source_id}: refused: {reason}", soft_wrap=True, markup=False)
        if funnel.refused.total() > len(funnel.why):
            out.print(f"{funnel.source_id}: and {funnel.refused.total() - len(funnel.why)} more, each in the frames table")
        if funnel.crops == 0:
            out.print(f"{funnel.source_id}: no people found in {funnel.frames} frames, so there is nothing to label")
    if any(settings.source(settings.entry_of(source_id)).kind != "layout" for source_id in done):
        out.print(f"reports: {settings.storage_root}/reports/", soft_wrap=True)
    _fail(outcomes)


@app.command()
def judge(sources: Sources = None, catalog: CatalogFile = HERE, verbose: Verbose = False) -> None:
    """Judge again from the stored scores, after a limit was moved. Decodes nothing, asks nobody."""
    settings = _begin(catalog, verbose)
    from flows.judge import rejudge
    from tasks.datasets.summarise import summarise

    _print_funnels([summarise(source_id, settings) for source_id in rejudge(settings, sources)])


@app.command()
def push(sources: Sources = None, catalog: CatalogFile = HERE, verbose: Verbose = False) -> None:
    """Give every pre-annotated crop to Label Studio, exactly once."""
    settings = _begin(catalog, verbose)
    from flows.annotate import push_all
    from tasks.datasets.summarise import summarise

    with _progress():
        outcomes = push_all(str(catalog), sources)
    for outcome in outcomes:
        if not outcome.error:
            out.print(f"{outcome.source_id}: {summarise(outcome.source_id, settings).pushed} tasks in Label Studio")
    _fail(outcomes)


@app.command()
def pull(sources: Sources = None, catalog: CatalogFile = HERE, verbose: Verbose = False) -> None:
    """Fetch what the annotators have done."""
    settings = _begin(catalog, verbose)
    from flows.annotate import pull_all
    from tasks.datasets.summarise import summarise

    with _progress():
        outcomes = pull_all(str(catalog), sources)
    for outcome in outcomes:
        if not outcome.error:
            funnel = summarise(outcome.source_id, settings)
            out.print(
                f"{outcome.source_id}: {funnel.labelled} of {funnel.pushed} tasks labelled, "
                f"{funnel.rejected.total()} of them rejected"
            )
    _fail(outcomes)


@app.command()
def meter(catalog: CatalogFile = HERE, verbose: Verbose = False) -> None:
    """Say whether pre-annotation pays: by scene, remover and annotator, with charts."""
    settings = _begin(catalog, verbose, runs=False)
    from figureground.reports.annotation_statistics import verdict
    from tasks.annotation.annotation_stats import meter as measure

    page, found = measure(settings)
    for row in found.scenes:
        ratio = f"correcting takes {row.gate.ratio.middle:.2f} times as long as drawing; " if row.gate.ratio else ""
        out.print(f"{row.name} ({row.remover}): {ratio}{verdict(row, found)}", soft_wrap=True, markup=False, highlight=False)
    out.print(f"charts: {page}", soft_wrap=True)


@app.command()
def release(
    note: Note = "",
    date: Annotated[str, typer.Option("--date", metavar="YYYYMMDD", help="Today (UTC) when not given.")] = "",
    from_: Annotated[Path | None, typer.Option("--from", metavar="FILE", help="Cut this manifest's release again.")] = None,
    catalog: CatalogFile = HERE,
    verbose: Verbose = False,
) -> None:
    """Cut a version of everything that is labelled, or an old one again, and verify it."""
    _begin(catalog, verbose)
    from flows.release import cut, recut

    with _progress():
        made = recut(str(from_), str(catalog), note, date) if from_ else cut(str(catalog), note, date)
    out.print(f"released and verified: {made.name} ({_counts(made.counts)})\n  {made.folder}", soft_wrap=True)


@app.command()
def compose(
    note: Note = "",
    processes: Annotated[int, typer.Option("--processes", min=0, help="How many work at a time; 0: one a processor.")] = 0,
    picture: Annotated[str, typer.Option("--picture", metavar="STEM", help="Make only this one again, into --into.")] = "",
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="Where --picture writes.")] = Path("remade"),
    catalog: CatalogFile = HERE,
    verbose: Verbose = False,
) -> None:
    """Put people on new backgrounds: synthetic pairs with exact truth, disjoint splits, and a page of them."""
    settings = _begin(catalog, verbose)
    from flows.compose import compose as go
    from flows.compose import remake

    if picture:
        files, differing = remake(catalog, picture, into, note)
        for file in files:
            out.print(str(file), soft_wrap=True, markup=False, highlight=False)
        out.print(f"not as in the composition: {', '.join(differing)}" if differing else "the same as in the composition")
        return
    with _progress():
        made = go(str(catalog), note, processes)
    for lack in made.lacking:
        out.print(lack, soft_wrap=True, markup=False, highlight=False)
    counts = _counts(made.release.counts)
    out.print(f"composed and verified: {made.release.name} ({counts})\n  {made.release.folder}", soft_wrap=True)
    out.print(f"pictures: {settings.storage_root}/{made.page}", soft_wrap=True)


@app.command()
def train(
    release: Release,
    network: Network = "unet",
    settings: NetworkSettings = None,
    classes: Annotated[int, typer.Option("--classes", help="1: soft alpha; 2: person; 5: parts.")] = 2,
    side: Side = 256,
    stretch: Stretch = STRETCH,
    pictures: Pictures = 20000,
    batch: Batch = 8,
    learning_rate: LearningRate = 3e-3,
    seed: Annotated[int, typer.Option("--seed", help="Of weights, order and variations.")] = 1,
    into: Annotated[Path | None, typer.Option("--into", metavar="DIR", help="The checkpoint's; else in the storage.")] = None,
    device: Device = "auto",
    catalog: CatalogFile = HERE,
    verbose: Verbose = False,
) -> None:
    """Teach a network what a release shows; a killed run carries on and ends with the same weights."""
    _begin(catalog, verbose)
    from flows.training import train as go

    how = _training(network, settings, classes, side, stretch, pictures, batch, learning_rate, seed)
    with _progress():
        made = go(release, how, str(catalog), into, device)  # type: ignore[arg-type]
    score = made.card.metrics
    out.print(f"learnt from {made.card.learnt.release}: {_counts(made.card.learnt.pictures)}\n  {made.folder}", soft_wrap=True)
    told = f"score on its val split {score['score']:.3f}, at step {score['at_step']:.0f}"
    out.print(f"{told}; curve: {made.folder}/curve.svg", soft_wrap=True)


@app.command()
def evaluate(
    who: Annotated[str, typer.Argument(metavar="WHO", help="A checkpoint, a folder of predictions, or a remover.")],
    release: Release,
    split: Splits = None,
    classes: Classes = None,
    into: Pages = None,
    device: Device = "auto",
    catalog: CatalogFile = HERE,
    verbose: Verbose = False,
) -> None:
    """Score a checkpoint, a remover or predictions on a release: by split and scene, with intervals and the worst."""
    _begin(catalog, verbose)
    from figureground.reports.scoreboard import titles, told
    from flows.training import evaluate as go

    with _progress():
        found = go(who, release, str(catalog), into, split or (), classes, device)
    table = Table("", "pictures", "sources", *(title for _, title in titles(found.groups[0].figures)))
    for group in found.groups:
        values = [told(group.figures[key], key) for key, _ in titles(group.figures)]
        table.add_row(escape(group.name), str(group.pictures), str(group.sources), *values)
    out.print(table)
    out.print(f"page: {found.page}", soft_wrap=True)


@app.command()
def compare(
    old: Annotated[str, typer.Argument(metavar="OLD", help="A release; with --on, whoever answers.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="A release; with --on, whoever answers.")],
    on: Annotated[Path | None, typer.Option("--on", metavar="RELEASE", help="Compare two that answer, on this.")] = None,
    split: Splits = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings a release, each of the next seed.")] = 1,
    network: Network = "unet",
    settings: NetworkSettings = None,
    classes: Classes = None,
    side: Side = 256,
    pictures: Pictures = 20000,
    batch: Batch = 8,
    learning_rate: LearningRate = 3e-3,
    into: Pages = None,
    device: Device = "auto",
    catalog: CatalogFile = HERE,
    verbose: Verbose = False,
) -> None:
    """Say whether new data helps: the same network taught by two releases; or, with --on, which of two answers better."""
    _begin(catalog, verbose)
    from flows.training import compare as releases
    from flows.training import compare_answers

    with _progress():
        if on:
            contests: Sequence[Any] = [compare_answers(old, new, on, str(catalog), into, split or ("test",), classes, device)]
        else:
            how = _training(network, settings, classes or 2, side, STRETCH, pictures, batch, learning_rate, 1)
            done = releases(Path(old), Path(new), how, seeds, str(catalog), into, device)  # type: ignore[arg-type]
            contests = done.contests
            for source in done.left_out:
                out.print(f"left out: {source}, which one release tests on and the other learns from", soft_wrap=True)
    for contest in contests:
        _print_contest(contest)


def _print_contest(contest: Any) -> None:
    from figureground.reports.scoreboard import told
    from tasks.models.model_comparison import DECIDING

    table = Table(f"mIoU on {contest.on}", "pictures", "sources", "old", "new", "gained")
    for one in contest.differences:
        values = [told(side[DECIDING], DECIDING) for side in (one.old, one.new, one.gained)]
        table.add_row(escape(one.name), str(one.pictures), str(one.sources), *values)
    out.print(table)
    out.print(contest.verdict, soft_wrap=True, markup=False, highlight=False)
    out.print(f"page: {contest.page}", soft_wrap=True)


def _training(
    network: str,
    settings: list[str] | None,
    classes: int,
    side: int,
    stretch: float,
    pictures: int,
    batch: int,
    learning_rate: float,
    seed: int,
) -> Any:
    """Check how a network is to be taught before anything is read."""
    from pydantic import ValidationError

    from figureground import plugins
    from figureground.errors import CatalogError
    from figureground.training.loop import Training

    given: dict[str, Any] = dict(_setting(one) for one in settings or ())
    plugins.build("networks", network, given)
    try:
        return Training(
            network=network,
            settings=given,
            classes=classes,  # type: ignore[arg-type]
            side=side,
            stretch=stretch,
            pictures=pictures,
            batch=batch,
            learning_rate=learning_rate,
            seed=seed,
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = "-".join(map(str, first["loc"])).replace("_", "-")
        raise CatalogError(f"--{name}: {first['msg']}; found {first['input']!r}") from error


def _setting(text: str) -> tuple[str, Any]:
    import yaml

    key, sign, value = text.partition("=")
    if not sign:
        raise typer.BadParameter(f"--set {text}: expected KEY=VALUE, such as encoder=mobilenet_v2")
    return key, yaml.safe_load(value)


@app.command()
def verify(folder: Folder, verbose: Verbose = False) -> None:
    """Check every file of a release against its manifest, and that no footage is in two splits."""
    _log(verbose)
    from tasks.datasets.verify import verify as check
    from tasks.datasets.verify_composites import recheck

    found = recheck(folder) if (folder / "composition.json").is_file() else check(folder)
    out.print(f"{found.name} is whole: {_counts(found.counts)}; digest {found.digest}", soft_wrap=True)


@app.command()
def diff(
    old: Folder,
    new: Folder,
    page: Annotated[Path | None, typer.Option("--page", metavar="FILE", help="Also write a page with the pictures.")] = None,
    verbose: Verbose = False,
) -> None:
    """Tell what a release added, dropped and annotated anew."""
    _log(verbose)
    from tasks.datasets.verify import diff as compare
    from tasks.datasets.verify import diff_page

    if page:
        page.write_text(diff_page(old, new), encoding="utf-8")
        out.print(f"pictures: {page}", soft_wrap=True)
    for word, stems in compare(old, new).items():
        out.print(f"{word}: {len(stems)}")
        for stem in stems:
            out.print(f"  {stem}")


@app.command()
def explain(
    name: Annotated[str, typer.Argument(metavar="ID", help="A crop's id, which is also its stem in a release.")],
    catalog: CatalogFile = HERE,
    verbose: Verbose = False,
) -> None:
    """Tell the story of one image, from its video to its releases."""
    settings = _begin(catalog, verbose, runs=False)
    from tasks.datasets.explain import explain as tell

    table = Table.grid(padding=(0, 2))
    for line in tell(name, settings):
        table.add_row(f"[bold]{escape(line.subject)}[/]", escape(line.text))
    out.print(table)


@app.command()
def forget(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A source's name.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    catalog: CatalogFile = HERE,
    verbose: Verbose = False,
) -> None:
    """Remove a source's video and everything made from it; say which releases still hold it."""
    settings = _begin(catalog, verbose, runs=False)
    from tasks.datasets.forget import forget as go
    from tasks.datasets.forget import holdings

    own = holdings(source, settings)
    if not yes:
        typer.confirm(f"Remove all that was made from {', '.join(own)} in {settings.storage_root} for ever?", abort=True)
    gone = go(source, settings)
    out.print(f"{', '.join(gone.sources)}: {gone.files} files removed")
    for name, count in gone.releases.items():
        out.print(f"the release {name} still holds {count} pictures of it: remove its folder and cut another", soft_wrap=True)
    for name in gone.unreadable:
        out.print(f"the release {name} cannot be read: look into it", soft_wrap=True)
    if gone.tasks:
        out.print(f"{gone.tasks} tasks deleted in Label Studio", soft_wrap=True)
    if source in settings.sources:
        out.print(f"remove {source} from {catalog}, or the next ingest fetches it again", soft_wrap=True)
    if gone.reason:
        numbers = ", ".join(map(str, gone.task_ids))
        out.print(f"its tasks in Label Studio could not all be deleted: {gone.reason}", soft_wrap=True, markup=False)
        out.print(f"left are tasks {numbers}: then run `figureground forget {source} --yes` again", soft_wrap=True)
        raise typer.Exit(1)


@app.command()
def doctor(
    catalog: CatalogFile = HERE,
    fetch: Annotated[bool, typer.Option("--fetch", help="Fetch missing weights first.")] = False,
    verbose: Verbose = False,
) -> None:
    """Check everything outside: weights, storage, Label Studio, pictures reachable."""
    settings = _begin(catalog, verbose, runs=False)
    from flows.ingest import fetch_weights
    from tasks.operation.doctor import examine

    if fetch:
        fetch_weights(settings)
    findings = examine(settings)
    for finding in findings:
        mark = "[green]ok  [/]" if finding.fine else "[red]fail[/]"
        out.print(f"{mark} {escape(finding.what)}: {escape(finding.said)}", soft_wrap=True)
    if ill := [finding.what for finding in findings if not finding.fine]:
        raise FiguregroundError(f"{len(ill)} of {len(findings)} checks failed: {', '.join(ill)}")


@app.command()
def schedule(catalog: CatalogFile = HERE, verbose: Verbose = False) -> None:
    """Serve the scheduled flows until stopped: nightly ingest, frequent pulls, weekly release."""
    _begin(catalog, verbose, shared=False)
    from flows.scheduling.schedules import schedule as serve

    serve(catalog.resolve(), lambda text: out.print(text, soft_wrap=True, markup=False, highlight=False))


@app.command()
def status(
    catalog: CatalogFile = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    verbose: Verbose = False,
) -> None:
    """Tell of every source what is pending, running, failed, waiting for annotators, answered and released."""
    _log(verbose)
    from figureground.catalog import load
    from flows.cli import catalog_cache
    from flows.cli.status_fast_path import told
    from tasks.operation.status import status as look

    sys.stdout.write(told(look(catalog_cache.remember(catalog, load(catalog, build_plugins=False))), as_json=as_json))


@app.command()
def tidy(
    catalog: CatalogFile = HERE,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    verbose: Verbose = False,
) -> None:
    """Drop what is over the catalog's budget and can be made again; clear what killed runs left."""
    settings = _begin(catalog, verbose, runs=False)
    from figureground.storage.disk_budget import told
    from figureground.storage.store import Store
    from tasks.operation.prune import tidy as go

    if not dry:
        for orphan in Store(settings.storage_root).sweep():
            out.print(f"{orphan}: removed, a killed run left it", soft_wrap=True, markup=False, highlight=False)
    found = go(settings, dry=dry)
    for one in found:
        what = f"{one.source_id}: {one.files} {one.kind}" if one.source_id else one.kind
        out.print(f"{what}, {told(one.bytes)}: {one.said}", soft_wrap=True, markup=False, highlight=False)
    if not found:
        out.print("everything is within its budget")


@app.command()
def listen(
    catalog: CatalogFile = HERE,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The port to listen on.")] = 8090,
    address: Annotated[str, typer.Option("--address", metavar="URL", help="Where Label Studio reaches that.")] = "",
    every: Annotated[float, typer.Option("--every", min=0.1, metavar="MINUTES", help="Pull that often, told or not.")] = 15.0,
    verbose: Verbose = False,
) -> None:
    """Pull as soon as Label Studio tells of an answer, and every so often anyway, until stopped."""
    _begin(catalog, verbose)
    from flows.scheduling.webhook import listen as go

    go(
        catalog,
        host=host,
        port=port,
        address=address,
        every_minutes=every,
        say=lambda text: out.print(text, soft_wrap=True, markup=False, highlight=False),
    )


@app.command("export-model")
def export_model(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A folder that `figureground train` left.")],
    release_: Annotated[Path, typer.Option("--release", metavar="DIR", help="The release that it learnt from.")],
    into: Annotated[Path | None, typer.Option("--into", metavar="DIR", help="Where; CHECKPOINT/export when not given.")] = None,
    format_: Annotated[
        list[str] | None, typer.Option("--format", metavar="FORMAT", help="onnx, openvino, openvino-int8, tflite; all.")
    ] = None,
    side: Annotated[int | None, typer.Option("--side", help="Of the square it takes; the checkpoint's.")] = None,
    verbose: Verbose = False,
) -> None:
    """Make ONNX, OpenVINO and TFLite of a trained network, each checked against torch, with a model card."""
    _log(verbose)
    from tasks.models.export import export

    with _progress():
        made = export(checkpoint, release_, into, format_ or (), side)
    for name, one in made.checks.items():
        kept = f"IoU {one['iou']:.4f} with torch on {one['pictures']} crops, " if "iou" in one else ""
        out.print(f"{name}: {kept}{one['milliseconds']:.1f} ms a crop")
    if "tflite" not in made.checks and not format_:
        out.print("tflite: left out, there is no converter here; `make litert` installs one")
    out.print(f"exported: {made.folder}", soft_wrap=True)


@app.command()
def live(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A folder of `figureground export-model`, or its model.onnx.")],
    video: Annotated[Path | None, typer.Option("--video", metavar="FILE", help="A video instead of the camera.")] = None,
    camera: Annotated[str, typer.Option("--camera", metavar="DEVICE", help="With --into: a camera here, /dev/video0.")] = "",
    into: Annotated[Path | None, typer.Option("--into", metavar="FILE", help="Write an mp4 instead of serving a page.")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.1, help="Of the camera; until stopped.")] = None,
    background: Annotated[Path | None, typer.Option("--background", metavar="FILE", help="A picture that goes behind.")] = None,
    blur: Annotated[float, typer.Option("--blur", min=0.5, max=99, help="Pixels of blur where no picture goes.")] = 14.0,
    host: Annotated[str, typer.Option("--host", help="The address to serve the page on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0: any that is free.")] = 8095,
    catalog: CatalogFile = HERE,
    verbose: Verbose = False,
) -> None:
    """Replace the background: of a video or a camera into a file, or live on a page in the browser."""
    _log(verbose)
    from flows.live import serve
    from tasks.models import live as verb

    if into is None:
        serve(catalog, model, host, port, background, blur, video, say=lambda text: out.print(text, soft_wrap=True))
        return
    if bool(video) == bool(camera):
        raise typer.BadParameter("--into asks for either --video FILE or --camera DEVICE")
    behind = verb.background_of(background, blur)
    with _progress():
        if video:
            count = verb.replace_video(model, video, into, behind)
        else:
            count = verb.replace_camera(model, camera, into, behind, seconds)
    out.print(f"{count} frames: {into.with_suffix('.mp4')}", soft_wrap=True)


@studio.command("up")
def studio_up(
    catalog: CatalogFile = HERE,
    port: Annotated[int | None, typer.Option(help="8080, or a free one, when not given.")] = None,
    verbose: Verbose = False,
) -> None:
    """Start the local Label Studio and leave it running."""
    settings = _begin(catalog, verbose, runs=False)
    from figureground.clients.local_label_studio import up

    with out.status("starting Label Studio (the first start takes a minute)"):
        found = up(settings, port)
    out.print(
        f"Label Studio runs at {found.url}: log in as {found.username} with the password {found.password}", soft_wrap=True
    )
    if found.url != settings.label_studio.url.rstrip("/"):
        out.print(f"set label_studio.url to {found.url} before you push: the catalog says {settings.label_studio.url}")


@studio.command("down")
def studio_down(catalog: CatalogFile = HERE, verbose: Verbose = False) -> None:
    """Stop the local Label Studio."""
    settings = _begin(catalog, verbose, runs=False)
    from figureground.clients.local_label_studio import down

    out.print("stopped" if down(settings) else "it was not running")


def _log(verbose: bool) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(levelname)s %(name)s: %(message)s")


def _begin(catalog_file: Path, verbose: bool, *, shared: bool = True, runs: bool = True) -> "Catalog":
    """Read the catalog before anything slow is imported, so that a typo is told at once."""
    _log(verbose)
    from figureground.catalog import load
    from flows.scheduling.engine import embed

    catalog = load(catalog_file)
    embed(catalog.folder, verbose=verbose, shared=shared, runs=runs)
    return catalog


@contextmanager
def _progress() -> Iterator[None]:
    """Show a bar with the time left for every stage of every source, or a line at its end when nobody watches."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from figureground.progress import subscribe

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bars:
        unsubscribe = subscribe(_bar(bars) if out.is_terminal else _line)
        try:
            yield
        finally:
            unsubscribe()


def _bar(bars: Any) -> Callable[[str, str, int, int], None]:
    known: dict[tuple[str, str], Any] = {}

    def listen(stage: str, source_id: str, done: int, total: int) -> None:
        key = (stage, source_id)
        if key not in known:
            known[key] = bars.add_task(f"{source_id} · {stage}", total=total or None)
        bars.update(known[key], completed=done, total=total or None, visible=not (total and done >= total))

    return listen


def _line(stage: str, source_id: str, done: int, total: int) -> None:
    if total and done >= total:
        out.print(f"{source_id} · {stage} {done}/{total}")


def _print_funnels(funnels: Sequence[Any]) -> None:
    """Show what became of everybody: a column a source, or the sum alone when they are many."""
    if not funnels:
        return
    if len(funnels) > _COLUMNS:
        for funnel in funnels:
            out.print(f"{funnel.source_id}: {funnel.frames} frames, {funnel.crops} crops, {funnel.kept} kept", soft_wrap=True)
    from tasks.datasets.summarise import together

    whole = together(funnels)
    shown = [*(funnels if len(funnels) <= _COLUMNS else []), *([whole] if len(funnels) > 1 else [])]
    table = Table("", *(funnel.source_id for funnel in shown))
    for name, _ in _told(whole):
        table.add_row(name, *(str(dict(_told(funnel)).get(name, 0)) for funnel in shown))
    out.print(table)
    for funnel in funnels:
        if funnel.truncated:
            out.print(f"{funnel.source_id}: truncated: fewer frames came than the video's header promised", soft_wrap=True)


def _told(funnel: Any) -> Iterator[tuple[str, int]]:
    yield "frames", funnel.frames
    yield from ((f"refused: {reason}", count) for reason, count in sorted(funnel.refused.items()))
    yield from (("people", funnel.people), ("too small to crop", funnel.too_small))
    yield "crops", funnel.crops
    yield from ((f"dropped: {reason}", count) for reason, count in sorted(funnel.dropped.items()))
    yield "kept", funnel.kept
    if funnel.pushed:
        yield "pushed", funnel.pushed
        words = {"prediction": "accepted as is", "prediction-changed": "corrected", "manual": "drawn"}
        yield from ((words[origin], count) for origin, count in sorted(funnel.origins.items()))
        yield from ((f"rejected: {reason}", count) for reason, count in sorted(funnel.rejected.items()))


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} in {split}" for split, count in sorted(counts.items()))


def _fail(outcomes: "Sequence[Outcome]") -> None:
    for outcome in outcomes:
        if outcome.left:
            out.print(f"{outcome.source_id}: {outcome.left}", soft_wrap=True, markup=False, highlight=False)
    failed = [outcome for outcome in outcomes if outcome.error]
    if failed:
        told = "\n".join(f"{outcome.source_id}: {outcome.error}" for outcome in failed)
        raise FiguregroundError(f"{len(failed)} of {len(outcomes)} sources failed; running again carries on\n{told}")


if __name__ == "__main__":
    main()
