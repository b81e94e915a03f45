"""The manifest of a release: its records, how it is written and sealed, how it is read, how two of them compare.

It lists every file with its hash and says for every sample which video, frame, matte and annotation it comes from.
"""

from figureground.datasets.manifest.comparison import compare_samples, describe_changes, have_same_samples
from figureground.datasets.manifest.leaks import find_leaks, split_of_file
from figureground.datasets.manifest.parsing import parse, read_released_splits
from figureground.datasets.manifest.records import (
    FILE,
    FOLDER_PREFIX,
    AnnotationRecord,
    AttributionRecord,
    ClassMapRecord,
    FileRecord,
    Manifest,
    MatteRecord,
    PreviousRecord,
    SampleRecord,
    SecondAnnotationRecord,
    SourceRecord,
    build,
)
from figureground.datasets.manifest.sealing import (
    FileHashes,
    check_seal,
    compare_files,
    file_hashes,
    find_missing_images,
    seal,
    to_bytes,
    write,
)

__all__ = [
    "FILE", "FOLDER_PREFIX", "AnnotationRecord", "AttributionRecord", "ClassMapRecord", "FileHashes", "FileRecord",
    "Manifest", "MatteRecord", "PreviousRecord", "SampleRecord", "SecondAnnotationRecord", "SourceRecord", "build",
    "check_seal", "compare_files", "compare_samples", "describe_changes", "file_hashes", "find_leaks",
    "find_missing_images", "have_same_samples", "parse", "read_released_splits", "seal", "split_of_file", "to_bytes",
    "write",
]  # fmt: skip
