"""Makes the planned composites, in this process or in several: each image is finished before the next run sees it.

A run that was killed continues: an image that lies in the folder, whole and of the same plan, is not made again.
"""

import json
import multiprocessing
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import cv2

from figureground.datasets.splits import Split
from figureground.errors import ReleaseError
from figureground.imaging import crops
from figureground.memo import Memo
from figureground.storage import hashing
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.synthesis import cutouts, synthesize
from figureground.synthesis.cutouts import Cutout
from figureground.synthesis.planning import Job
from figureground.synthesis.synthesize import Background, Composer, ComposeSettings, Person, Pool
from figureground.tables import CompositeRow, rows
from figureground.types import Image

DONE_FOLDER = ".made"
"""Holds a note per finished image; it goes when the composition is complete."""
_CACHED_BYTES = 256_000_000
"""Decoded people, and as many bytes of backgrounds, that a process keeps."""
_CHUNK = 8

_maker_of_process = Memo()
"""The maker of a worker process, which makes many images with it: a process pool keeps no value for a worker."""

_Decoded = TypeVar("_Decoded", Cutout, Image)


class _Cache(Generic[_Decoded]):
    """Decoded inputs of one kind; the least recently used go first when they take too much memory."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, _Decoded] = OrderedDict()
        self._bytes = 0

    def get(self, file: str, read: Callable[[], _Decoded]) -> _Decoded:
        if file in self._values:
            self._values.move_to_end(file)
            return self._values[file]
        self._values[file] = read()
        self._bytes += _size(self._values[file])
        while self._bytes > _CACHED_BYTES and len(self._values) > 1:
            self._bytes -= _size(self._values.popitem(last=False)[1])
        return self._values[file]


def _size(value: Cutout | Image) -> int:
    return int(value.image.nbytes + value.levels.nbytes if isinstance(value, Cutout) else value.nbytes)


class StoredInputs:
    """Reads people and backgrounds from the storage, and keeps as many decoded as fit: `synthesize.Inputs`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._people, self._backgrounds = _Cache[Cutout](), _Cache[Image]()

    def cutout(self, person: Person) -> Cutout:
        """Give a person."""
        return self._people.get(person.file, lambda: cutouts.decode(self._store.read(person.file, person.sha256)))

    def background(self, background: Background) -> Image:
        """Give a background, (h, w, 3) uint8 RGB."""
        file = background.file
        return self._backgrounds.get(file, lambda: crops.decode(self._store.read(file, background.sha256), file))


@dataclass(frozen=True)
class Work:
    """What a worker process needs: how images are made, from what, and where they are written."""

    settings: ComposeSettings
    pools: Mapping[Split, Pool]
    store: Store
    folder: Path


class ImageMaker:
    """Makes single images; one per process."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._composer = Composer(work.settings)
        self._inputs = StoredInputs(work.store)

    def make(self, job: Job) -> tuple[dict[str, bytes], CompositeRow]:
        """Make one image.

        Returns
        -------
        tuple
            Its files by their names in the folder, and its row of the table ``composites``.
        """
        composite = self._composer.compose(job.number, job.turn, job.split, self._work.pools[job.split], self._inputs)
        image, truth = f"im/{job.split}/{job.sample_id}.jpg", f"gt/{job.split}/{job.sample_id}.png"
        files = {image: synthesize.encode_image(composite), truth: synthesize.encode_alpha(composite.truth)}
        for at, levels in enumerate(composite.each if len(composite.each) > 1 else ()):
            files[f"people/{job.split}/{job.sample_id}-{at}.png"] = synthesize.encode_alpha(levels)
        row = CompositeRow(
            picture_id=job.sample_id,
            split=job.split,
            seed=f"{composite.seed:016x}",
            background_id=composite.background_id,
            people=tuple(composite.people),
            boxes=tuple((box.x0, box.y0, box.x1, box.y1) for box in composite.boxes),
            recipe=synthesize.render_recipe(composite),
            image=image,
            image_sha256=sha256(files[image]),
            truth=truth,
            truth_sha256=sha256(files[truth]),
        )
        return files, row

    def make_in_folder(self, job: Job) -> CompositeRow:
        """Make one image in the folder unless it is there: the note that is written last says that all is."""
        note = self._work.folder / DONE_FOLDER / f"{job.sample_id}.json"
        if row := self._read_note(note):
            return row
        files, row = self.make(job)
        for name, content in files.items():
            (self._work.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self._work.folder / name).write_bytes(content)
        temporary = note.with_suffix(".tmp")
        digests = {name: sha256(content) for name, content in files.items()}
        temporary.write_text(json.dumps({"row": rows.to_json(row), "files": digests}))
        temporary.rename(note)
        return row

    def _read_note(self, note: Path) -> CompositeRow | None:
        if not note.is_file():
            return None
        content = json.loads(note.read_text())
        files = {self._work.folder / name: digest for name, digest in content["files"].items()}
        whole = all(file.is_file() and hashing.sha256_file(file) == digest for file, digest in files.items())
        return rows.from_json(CompositeRow, content["row"]) if whole else None


def make_images(work: Work, jobs: Sequence[Job], workers: int) -> Iterator[CompositeRow]:
    """Make images in a folder.

    Parameters
    ----------
    work
        How, from what, and where.
    jobs
        Which.
    workers
        How many processes; the files are the same for any number.

    Yields
    ------
    CompositeRow
        The rows of the table ``composites``, in the order of `jobs`.

    Raises
    ------
    ReleaseError
        When a worker process was ended from outside.
    """
    (work.folder / DONE_FOLDER).mkdir(exist_ok=True)
    several = workers > 1 and len(jobs) > _CHUNK
    yield from _make_in_processes(work, jobs, workers) if several else _make_here(work, jobs)


def _make_here(work: Work, jobs: Iterable[Job]) -> Iterator[CompositeRow]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield from map(ImageMaker(work).make_in_folder, jobs)
    finally:
        cv2.setNumThreads(threads)


def _make_in_processes(work: Work, jobs: Sequence[Job], workers: int) -> Iterator[CompositeRow]:
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that threads of this process hold
    with ProcessPoolExecutor(workers, context, _begin_process, (work,)) as pool:
        try:
            yield from pool.map(_make_in_process, jobs, chunksize=_CHUNK)
        except BrokenProcessPool as error:
            raise ReleaseError(
                f"one of {workers} processes that make images was ended from outside, perhaps because memory ran out; "
                "run again with fewer --workers: it continues"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _begin_process(work: Work) -> None:
    cv2.setNumThreads(1)  # the processes are the parallelism
    _maker_of_process.get("maker", lambda: ImageMaker(work))


def _make_in_process(job: Job) -> CompositeRow:
    return _maker_of_process.get("maker", _no_maker).make_in_folder(job)


def _no_maker() -> ImageMaker:
    raise RuntimeError("this process was not set up by _begin_process")
