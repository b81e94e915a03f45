"""What the names in a manifest may be: anybody can seal one, and its names become paths when a release is made again."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import PurePosixPath

from figureground.datasets.manifest.records import Manifest, SampleRecord
from figureground.documents import abridge
from figureground.ids import is_file_name

_LAYOUT = re.compile(r"[a-z][a-z0-9_]*(-[0-9]+)?").fullmatch
_HASH = re.compile(r"[0-9A-Za-z]{0,64}").fullmatch


def find_unsafe_names(manifest: Manifest) -> Iterator[str]:
    """Name everything in a manifest that could lead out of the release's folder, or out of the storage."""
    for name, place in manifest.layouts.items():
        if not _LAYOUT(name) or place not in (".", name):
            yield f"the layout {abridge(name)} lies in {abridge(place)}; expected '.' or a folder of its name"
    unknown = sorted(manifest.settings.keys() - manifest.layouts)
    yield from (f"settings of {abridge(name)}, which is no layout of it" for name in unknown)
    for source_id in manifest.sources:
        if not is_file_name(source_id):
            yield f"the source {abridge(source_id)} cannot be a file's name"
    yield from (f"the file {abridge(name)} is not below the release's folder" for name in manifest.files if not _is_below(name))
    yield from chain.from_iterable(_check_sample(sample_id, sample) for sample_id, sample in manifest.samples.items())


def _check_sample(sample_id: str, sample: SampleRecord) -> Iterator[str]:
    names = {"sample": (sample_id,), "source": (sample.source,), "scene": sample.scenes}
    for what, own in names.items():
        yield from (f"the {what} {abridge(name)} cannot be a file's name" for name in own if not is_file_name(name))
    for digest in (sample.sha256, *sample.annotation.digests):
        if not _HASH(digest):
            yield f"sample {sample_id} has the hash {abridge(digest)}; expected 64 hexadecimal digits"


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and not {"\0", "\\"} & set(name)
