"""Lists of stems, one file a scene, one stem a line: which pictures show what."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from figureground.datasets.splits import Split
from figureground.errors import ReleaseError
from figureground.types import Sample


def write(scenes: Mapping[str, Collection[str]], into: Path) -> None:
    """Write ``<scene>.txt`` for each scene: its stems sorted, lines ended by LF.

    Parameters
    ----------
    scenes
        Scene to stems, both fit for a file's name: see `figureground.datasets.samples.check_name`.
    into
        The lists' own folder; it is made.
    """
    into.mkdir(parents=True, exist_ok=True)
    for scene, stems in scenes.items():
        (into / f"{scene}.txt").write_bytes("".join(f"{stem}\n" for stem in sorted(stems)).encode())


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
        Stem to split, in the samples' order.

    Raises
    ------
    ReleaseError
        When two samples have one stem.
    """
    seen: dict[str, Split] = {}
    scenes: dict[str, list[str]] = defaultdict(list)
    for sample in written:
        if sample.sample_id in seen:
            raise ReleaseError(f"two samples have the stem {sample.sample_id}; expected each once")
        seen[sample.sample_id] = sample.split
        for scene in set(sample.scenes):
            scenes[scene].append(sample.sample_id)
    write(scenes, into)
    return seen


def read(from_: Path) -> dict[str, tuple[str, ...]]:
    """Give each listed stem's scenes, sorted."""
    scenes: defaultdict[str, set[str]] = defaultdict(set)
    for file in sorted(from_.glob("*.txt")):
        for stem in file.read_text(encoding="utf-8").split("\n"):
            scenes[stem].add(file.name.removesuffix(".txt"))
    return {stem: tuple(sorted(found)) for stem, found in scenes.items() if stem}


def find_problems(from_: Path, stems: Collection[str]) -> Iterator[str]:
    """Say which lists are not written as `write` does or name a stem that is none of these."""
    for file in sorted(from_.glob("*.txt")):
        where, content = f"{from_.name}/{file.name}", file.read_bytes()
        lines = content.decode(errors="replace").split("\n")
        if lines[-1] or b"\r" in content or lines[:-1] != sorted(set(lines[:-1])):
            yield f"{where}: expected one stem a line, sorted, each once, lines ended by LF"
        yield from (f"{where}: names {stem!r}, which is no picture" for stem in sorted(set(lines[:-1]) - set(stems)))
