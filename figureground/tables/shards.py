"""Shards: several workers process parts of a long source, and the table is the one of an undivided run.

A shard is a range of a stage's inputs. It starts and ends where a batch does, so that each batch holds the same inputs as in
an undivided run. The outputs of a shard are kept as JSON in ``shards/<source>``, with the fingerprint of the table, until the
source is done. The stage reads what is there and processes the rest itself. A shard that failed, was killed or is damaged
costs time and nothing else, and one that an earlier run left is not processed again.
"""

import itertools
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from figureground import progress, tables
from figureground.parallel import map_ordered
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.tables.fingerprints import Fingerprint
from figureground.types import TableRef

FOLDER = "shards"

Input = TypeVar("Input")
Output = TypeVar("Output")


def split(inputs: int, at_most: int, at_least: int, batch_size: int) -> list[tuple[int, int]]:
    """Divide inputs into shards of nearly the same size, in order.

    Parameters
    ----------
    inputs
        Number of inputs.
    at_most
        Largest number of shards.
    at_least
        Smallest number of inputs in a shard.
    batch_size
        Number of inputs that are processed in one call; only the last call may have fewer.

    Returns
    -------
    list of tuple of int
        First input, and input after the last; empty when there would be fewer than two shards.

    Examples
    --------
    >>> split(22, at_most=3, at_least=1, batch_size=4)
    [(0, 8), (8, 16), (16, 22)]
    >>> split(22, at_most=3, at_least=12, batch_size=4)
    []
    """
    batches = math.ceil(inputs / batch_size)
    count = min(at_most, inputs // batch_size // math.ceil(at_least / batch_size))
    bounds = [min(inputs, batch_size * (batches * number // count)) for number in range(count + 1)] if count > 1 else []
    return list(itertools.pairwise(bounds))


@dataclass(frozen=True, eq=False)
class ShardedStage(Generic[Input, Output]):
    """A stage for one source, which can run as a whole or shard by shard.

    Parameters
    ----------
    store
        The storage.
    task
        Name of the task, ``crop``.
    stage
        Name of the table that it writes, ``crops``.
    source_id
        The source.
    fingerprint
        Fingerprint of that table.
    batch_size
        Number of inputs that are processed in one call.
    read_inputs
        Reads the inputs, in order.
    process
        Gives one output for each input, in order.
    files
        Gives the name and the SHA-256 of each file that an output refers to.
    to_json, from_json
        Turn an output into what `json.dumps` can write, and back without loss.
    """

    store: Store
    task: str
    stage: str
    source_id: str
    fingerprint: Fingerprint
    batch_size: int
    read_inputs: Callable[[], Sequence[Input]]
    process: Callable[[Sequence[Input]], Iterable[Output]]
    files: Callable[[Output], Iterable[tuple[str, str]]]
    to_json: Callable[[Output], Any]
    from_json: Callable[[Any], Output]

    def fresh(self) -> TableRef | None:
        """Find the table when it is up to date."""
        return tables.fresh(self.store, self.stage, self.source_id, self.fingerprint)

    def process_all(self, inputs: Sequence[Input]) -> Iterator[Output]:
        """Give the outputs of all inputs, in order: those of finished shards are read, the others are processed now."""
        return progress.track(self._process_all(inputs), self.task, self.source_id, len(inputs))

    def _process_all(self, inputs: Sequence[Input]) -> Iterator[Output]:
        start = 0
        for first, end in self._shards(len(inputs)):
            outputs = self._read_shard(first, end) if first >= start else None
            if outputs is not None:
                yield from self.process(inputs[start:first]) if start < first else ()
                yield from outputs
                start = end
        yield from self.process(inputs[start:]) if start < len(inputs) else ()

    def process_shard(self, first: int, end: int, name: str) -> None:
        """Process one shard and keep its outputs, unless they are there already.

        Parameters
        ----------
        first, end
            Its first input, and the input after its last; see `split`.
        name
            Its name in the progress display.

        Raises
        ------
        StoreError
            When the outputs cannot be written.
        """
        if self._read_shard(first, end) is None:
            outputs = progress.track(self.process(self.read_inputs()[first:end]), name, self.source_id, end - first)
            kept = {"fingerprint": str(self.fingerprint), "outputs": [self.to_json(output) for output in outputs]}
            content = json.dumps(kept).encode()
            self.store.write(self._name(first, end), f"{sha256(content)}\n".encode() + content)

    def _name(self, first: int, end: int) -> str:
        return f"{FOLDER}/{self.source_id}/{self.task}-{self.fingerprint.digest[:16]}-{first:08d}-{end:08d}.json"

    def _shards(self, inputs: int) -> list[tuple[int, int]]:
        """List the finished shards; those of runs with another number of shards may overlap."""
        prefix = self._name(0, 0).rpartition("/")[2][: -len("00000000-00000000.json")]
        names = [file.rpartition("/")[2] for file in self.store.names(f"{FOLDER}/{self.source_id}")]
        bounds = (name[len(prefix) :].removesuffix(".json").split("-") for name in names if name.startswith(prefix))
        shards = [(int(first), int(end)) for first, end in bounds]
        size = self.batch_size
        return [(first, end) for first, end in shards if not first % size and (end == inputs or not end % size)]

    def _read_shard(self, first: int, end: int) -> list[Output] | None:
        """Read the outputs of a shard; None when they, or their files, are missing, damaged or of other inputs."""
        name = self._name(first, end)
        if not self.store.exists(name):
            return None
        digest, _, content = self.store.read(name).partition(b"\n")
        if digest.decode(errors="replace") != sha256(content):
            return None
        kept = json.loads(content)
        if kept["fingerprint"] != self.fingerprint.digest or len(kept["outputs"]) != end - first:
            return None
        outputs = [self.from_json(output) for output in kept["outputs"]]
        files = [file for output in outputs for file in self.files(output)]
        return outputs if all(map_ordered(lambda file: self.store.verifies(*file), files)) else None


def remove_shards(store: Store, sources: Collection[str]) -> list[str]:
    """Remove the shards of sources whose tables are complete, and name them.

    Parameters
    ----------
    store
        The storage.
    sources
        Those sources; no other process may be processing them.

    Raises
    ------
    StoreError
        When the storage cannot be written to.
    """
    files = [file for file in store.names(FOLDER) if file.split("/")[1] in sources]
    for file in files:
        store.remove(file)
    for folder in sorted({file.rpartition("/")[0] for file in files}) if store.local_only else ():
        with suppress(OSError):  # the half-written file of another process, which goes with the next run
            store.path(folder).rmdir()
            store.path(FOLDER).rmdir()
    return files
