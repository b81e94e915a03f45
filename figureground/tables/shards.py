"""A long source's rows done by several at once, in shards, and put together in order: the same table as if one had done all.

A shard is a run of a stage's rows, cut where the work itself begins a new call, so that each call sees what it would have seen.
What is found of its rows is kept as JSON in ``shards/<source>`` under the mark of all that the stage depends on, until the
source is done; the stage takes what it finds there and does the rest itself. So a shard that failed, was killed or came
out damaged costs time and nothing else, and one that a killed run left is not done again.
"""

import itertools
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from figureground import progress, tables
from figureground.parallel import ordered
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.types import TableRef

FOLDER = "shards"

Row = Mapping[Any, Any]


def split(rows: int, at_most: int, at_least: int, together: int) -> list[tuple[int, int]]:
    """Cut rows into shards of nearly the same size, in order.

    Parameters
    ----------
    rows
        How many there are.
    at_most
        So many shards at most.
    at_least
        So many rows a shard at least.
    together
        So many rows are worked on in one call: only the last call may have fewer.

    Returns
    -------
    list of tuple of int
        First row, and row after the last; none when there would not be two.

    Examples
    --------
    >>> split(22, at_most=3, at_least=1, together=4)
    [(0, 8), (8, 16), (16, 22)]
    >>> split(22, at_most=3, at_least=12, together=4)
    []
    """
    calls = math.ceil(rows / together)
    count = min(at_most, rows // together // math.ceil(at_least / together))
    bounds = [min(rows, together * (calls * number // count)) for number in range(count + 1)] if count > 1 else []
    return list(itertools.pairwise(bounds))


@dataclass(frozen=True, eq=False)
class Work:
    """A stage's work on one source, as a whole or a shard of it.

    Parameters
    ----------
    store
        Where.
    verb, stage
        What is done, ``crop``, and which table it fills, ``crops``.
    source_id
        Whose rows.
    mark
        The table's fingerprint.
    together
        So many rows are worked on in one call.
    rows
        Reads what is worked on, in order.
    find
        Gives one thing a row, in order: anything that `json.dumps` writes and `json.loads` gives back as it was.
    files
        Gives what of a found thing names a ``file`` with its ``sha256``.
    """

    store: Store
    verb: str
    stage: str
    source_id: str
    mark: str
    together: int
    rows: Callable[[], Sequence[Row]]
    find: Callable[[Sequence[Row]], Iterable[Any]]
    files: Callable[[Any], Iterable[Row]]

    def fresh(self) -> TableRef | None:
        """Find the table when it is right already."""
        return tables.fresh(self.store, self.stage, self.source_id, self.mark)

    def found(self, rows: Sequence[Row]) -> Iterator[Any]:
        """Give what is found of all rows, in order: of shards what they left, of other rows what is found now."""
        return progress.track(self._found(rows), self.verb, self.source_id, len(rows))

    def _found(self, rows: Sequence[Row]) -> Iterator[Any]:
        at = 0
        for first, end in self._shards(len(rows)):
            left = self._left(first, end) if first >= at else None
            if left is not None:
                yield from self.find(rows[at:first]) if at < first else ()
                yield from left
                at = end
        yield from self.find(rows[at:]) if at < len(rows) else ()

    def ahead(self, first: int, end: int, name: str) -> None:
        """Do one shard, unless it was left from before.

        Parameters
        ----------
        first, end
            Its first row, and the row after its last; see `split`.
        name
            What progress calls it.

        Raises
        ------
        StoreError
            When what is found cannot be written.
        """
        if self._left(first, end) is None:
            found = progress.track(self.find(self.rows()[first:end]), name, self.source_id, end - first)
            content = json.dumps({"mark": self.mark, "found": list(found)}).encode()
            self.store.write(self._name(first, end), f"{sha256(content)}\n".encode() + content)

    def _name(self, first: int, end: int) -> str:
        return f"{FOLDER}/{self.source_id}/{self.verb}-{self.mark[:16]}-{first:08d}-{end:08d}.json"

    def _shards(self, rows: int) -> list[tuple[int, int]]:
        """List what shards were left; those of another number of shards may overlap."""
        here = self._name(0, 0).rpartition("/")[2][: -len("00000000-00000000.json")]
        names = [file.rpartition("/")[2] for file in self.store.names(f"{FOLDER}/{self.source_id}")]
        bounds = (name[len(here) :].removesuffix(".json").split("-") for name in names if name.startswith(here))
        found = [(int(first), int(end)) for first, end in bounds]
        return [(first, end) for first, end in found if not first % self.together and (end == rows or not end % self.together)]

    def _left(self, first: int, end: int) -> list[Any] | None:
        """Read what a shard left; None when it is not there, damaged, of something else, or a file of it is."""
        name = self._name(first, end)
        if not self.store.exists(name):
            return None
        digest, _, content = self.store.read(name).partition(b"\n")
        if digest.decode(errors="replace") != sha256(content):
            return None
        told = json.loads(content)
        found = told["found"]
        files = [(row["file"], row["sha256"]) for one in found for row in self.files(one)]
        whole = told["mark"] == self.mark and len(found) == end - first
        return found if whole and all(ordered(lambda file: self.store.verifies(*file), files)) else None


def sweep(store: Store, done: Collection[str]) -> list[str]:
    """Remove the shards of sources whose tables are all there, and name them.

    Parameters
    ----------
    store
        Where.
    done
        The sources; nobody else works on them.

    Raises
    ------
    StoreError
        When the storage cannot be written to.
    """
    found = [file for file in store.names(FOLDER) if file.split("/")[1] in done]
    for file in found:
        store.remove(file)
    for folder in sorted({file.rpartition("/")[0] for file in found}) if store.local_only else ():
        with suppress(OSError):  # somebody's half-written file, which goes with the next run
            store.path(folder).rmdir()
            store.path(FOLDER).rmdir()
    return found
