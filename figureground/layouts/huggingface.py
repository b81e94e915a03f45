"""The layout of Hugging Face's `datasets`: parquet files whose image columns decode by themselves.

::

    data/<split>-00000-of-00001.parquet      columns image (the JPEG), mask (8-bit PNG, 0 or 1), stem (the sample id), scenes

Rows are sorted by sample id; a file holds at most 5000. The bytes of the images are kept, but not as files of their own.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from figureground.datasets import samples
from figureground.datasets.splits import SPLITS, Split
from figureground.errors import ArrayError, ReleaseError
from figureground.imaging import codecs, jpeg
from figureground.parallel import map_ordered
from figureground.storage.hashing import ReadLog
from figureground.types import Mask, Sample

_PER_FILE, _PER_GROUP = 5000, 100
_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_TEXT = {"dtype": "string", "_type": "Value"}
_TEXTS = {"feature": _TEXT, "_type": "Sequence"}
_FEATURES = {"image": {"_type": "Image"}, "mask": {"_type": "Image"}, "stem": _TEXT, "scenes": _TEXTS}
_SCHEMA = pa.schema(
    [("image", _PICTURE), ("mask", _PICTURE), ("stem", pa.string()), ("scenes", pa.list_(pa.string()))],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)


@dataclass(frozen=True)
class Huggingface:
    """Parquet files that ``datasets.load_dataset`` reads."""

    VERSION: ClassVar[int] = 1

    verbatim: ClassVar[bool] = False
    exact: ClassVar[bool] = True

    def write(self, items: Iterable[Sample], into: Path, log: ReadLog | None = None) -> None:
        """See `figureground.layouts.Layout`. Images wait in files until all sample ids are known: rows are sorted."""
        seen: dict[str, tuple[Split, tuple[str, ...]]] = {}
        waiting = into / ".waiting"
        for sample in map_ordered(lambda sample: _written(sample, waiting), items):
            if sample.sample_id in seen:
                raise ReleaseError(f"two samples have the id {sample.sample_id}; expected each once")
            seen[sample.sample_id] = (sample.split, tuple(sorted(set(sample.scenes))))
        (into / "data").mkdir(parents=True, exist_ok=True)
        for split in SPLITS:
            sample_ids = sorted(sample_id for sample_id, (own_split, _) in seen.items() if own_split == split)
            shards = [sample_ids[start : start + _PER_FILE] for start in range(0, len(sample_ids), _PER_FILE)]
            for number, shard in enumerate(shards):
                file = into / "data" / f"{split}-{number:05d}-of-{len(shards):05d}.parquet"
                _write_shard(file, shard, {sample_id: seen[sample_id][1] for sample_id in shard}, waiting)
        if waiting.exists():
            shutil.rmtree(waiting)

    def read(self, from_: Path) -> Iterator[Sample]:
        """See `figureground.layouts.Layout`."""
        for split in SPLITS:
            for file in _files(from_, split):
                for row in _rows(file):
                    alpha = _mask(row).astype(np.float32)
                    yield Sample(row["stem"], split, tuple(row["scenes"]), row["image"]["bytes"], alpha)

    def find_problems(self, from_: Path, log: ReadLog | None = None) -> Iterator[str]:
        """See `figureground.layouts.Layout`."""
        sample_ids: dict[str, str] = {}
        for split in SPLITS:
            files = _files(from_, split)
            if [file.name for file in files] != [f"{split}-{at:05d}-of-{len(files):05d}.parquet" for at in range(len(files))]:
                yield f"data/{split}-*.parquet: expected files numbered from 0, all of them"
            for file in files:
                try:
                    for row in _rows(file):
                        if row["stem"] in sample_ids:
                            yield f"data/{file.name}: {row['stem']} is in {sample_ids[row['stem']]} too"
                        sample_ids[row["stem"]] = file.name
                        if problem := _problem(row):
                            yield f"data/{file.name}: {row['stem']}: {problem}"
                except ReleaseError as error:
                    yield str(error)


def _written(sample: Sample, waiting: Path) -> Sample:
    samples.check(sample)
    waiting.mkdir(parents=True, exist_ok=True)
    (waiting / f"{sample.sample_id}.jpg").write_bytes(sample.image)
    mask = (sample.alpha >= 0.5).astype(np.uint8)
    (waiting / f"{sample.sample_id}.png").write_bytes(cv2.imencode(".png", mask)[1].tobytes())
    return sample


def _write_shard(file: Path, sample_ids: list[str], scenes: dict[str, tuple[str, ...]], waiting: Path) -> None:
    with pq.ParquetWriter(file, _SCHEMA, compression="none") as writer:
        for start in range(0, len(sample_ids), _PER_GROUP):
            rows = [
                {
                    "image": {"bytes": (waiting / f"{sample_id}.jpg").read_bytes(), "path": f"{sample_id}.jpg"},
                    "mask": {"bytes": (waiting / f"{sample_id}.png").read_bytes(), "path": f"{sample_id}.png"},
                    "stem": sample_id,
                    "scenes": list(scenes[sample_id]),
                }
                for sample_id in sample_ids[start : start + _PER_GROUP]
            ]
            writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))


def _files(folder: Path, split: str) -> list[Path]:
    return sorted((folder / "data").glob(f"{split}-*.parquet"))


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with pq.ParquetFile(file) as opened:
            if opened.schema_arrow.remove_metadata() != _SCHEMA.remove_metadata():
                columns = ", ".join(opened.schema_arrow.names)
                raise ReleaseError(f"data/{file.name}: has the columns {columns}; expected {', '.join(_SCHEMA.names)}")
            for batch in opened.iter_batches(_PER_GROUP):
                yield from batch.to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise ReleaseError(f"data/{file.name}: damaged: {error}") from error


def _mask(row: dict[str, Any]) -> Mask:
    mask = codecs.decode_unchanged(row["mask"]["bytes"])
    if mask is None or mask.ndim != 2 or mask.dtype != np.uint8:
        raise ReleaseError(f"{row['stem']}: its mask is no 8-bit PNG with one channel")
    return np.asarray(mask, np.uint8)


def _problem(row: dict[str, Any]) -> str:
    try:
        mask, (width, height) = _mask(row), jpeg.size(row["image"]["bytes"])
    except (ReleaseError, ArrayError) as error:
        return str(error)
    if mask.shape != (height, width):
        return f"its mask has {mask.shape[1]}x{mask.shape[0]} pixels, its image {width}x{height}; expected one size"
    return f"its mask holds the value {mask.max()}; expected only 0 and 1" if mask.max() > 1 else ""
