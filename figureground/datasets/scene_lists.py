"""The scene lists of a release: one file for each scene, one sample id a line."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from figureground import documents
from figureground.datasets.samples import check_name
from figureground.datasets.splits import Split
from figureground.errors import ReleaseError
from figureground.types import Sample


def write(scenes: Mapping[str, Collection[str]], into: Path) -> None:
    """Write ``<scene>.txt`` for each scene: its sample ids sorted, lines ended by LF.

    Parameters
    ----------
    scenes
        Scene to sample ids, both fit for a file's name: see `figureground.datasets.samples.check_name`.
    into
        The lists' own folder; it is made.
    """
    into.mkdir(parents=True, exist_ok=True)
    for scene, sample_ids in scenes.items():
        (into / f"{scene}.txt").write_bytes("".join(f"{sample_id}\n" for sample_id in sorted(sample_ids)).encode())


def take(written: Iterable[Sample], into: Path) -> dict[str, Split]:
    """Take samples as they are written, then write their scenes' lists.

    Parameters
    ----------
    written
        The samples of a release.
    into
        The lists' own folder; it is made.

    Returns
    -------
    dict
        Sample id to split, in the samples' order.

    Raises
    ------
    ReleaseError
        When two samples have the same id.
    """
    seen: dict[str, Split] = {}
    scenes: dict[str, list[str]] = defaultdict(list)
    for sample in written:
        if sample.sample_id in seen:
            raise ReleaseError(f"two samples have the id {sample.sample_id}; expected each once")
        seen[sample.sample_id] = sample.split
        for scene in set(sample.scenes):
            scenes[scene].append(sample.sample_id)
    write(scenes, into)
    return seen


def read(from_: Path) -> dict[str, tuple[str, ...]]:
    """Give each listed sample id's scenes, sorted.

    Raises
    ------
    ReleaseError
        When a list cannot be read.
    """
    scenes, problems = read_what_is_there(from_)
    if problems:
        raise ReleaseError("; ".join(problems))
    return scenes


def read_what_is_there(from_: Path) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Give each listed sample id's scenes, sorted, and what is wrong with the lists: a line that cannot be read is left out."""
    scenes: defaultdict[str, set[str]] = defaultdict(set)
    problems: list[str] = []
    for file in sorted(file for file in from_.glob("*.txt") if not file.name.startswith("._")):
        where, scene = f"{from_.name}/{file.name}", file.name.removesuffix(".txt")
        try:
            check_name(scene, "scene")
            lines = documents.decode_lines(documents.read_bytes(file))
        except (OSError, ValueError, ReleaseError) as error:
            problems.append(f"{where}: {error}")
            continue
        if None in lines:
            problems.append(f"{where}: line {lines.index(None) + 1} is not UTF-8; save the list as UTF-8")
        for sample_id in lines:
            if sample_id:
                scenes[sample_id].add(scene)
    return {sample_id: tuple(sorted(own)) for sample_id, own in scenes.items()}, problems


def find_problems(from_: Path, sample_ids: Collection[str]) -> Iterator[str]:
    """Name the lists that are not written as `write` does, or that hold an id which is none of these."""
    for file in sorted(from_.glob("*.txt")):
        where, content = f"{from_.name}/{file.name}", file.read_bytes()
        lines = content.decode(errors="replace").split("\n")
        if lines[-1] or b"\r" in content or lines[:-1] != sorted(set(lines[:-1])):
            yield f"{where}: expected one sample id a line, sorted, each once, lines ended by LF"
        for sample_id in sorted(set(lines[:-1]) - set(sample_ids)):
            yield f"{where}: names {sample_id!r}, which is no image"
