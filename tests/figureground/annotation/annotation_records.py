"""Annotation records made by hand."""

import math

from figureground.annotation.preannotation_gate import TimedAnnotation
from figureground.annotation.statistics import AnnotationRecord

NAN = math.nan


def record(number, *, blank=False, origin="prediction", seconds=10.0, scenes=("park",), changed=0.0, iou=1.0, **more):
    who = {"annotator": "anna", "verdict": "keep", "second_annotator": "", "second_verdict": ""}
    who |= {"agreement": NAN, "boundary_agreement": NAN}
    return AnnotationRecord(
        timing=TimedAnnotation(number, scenes, "person-v1", blank, seconds), source_id="clip", origin=origin, changed=changed,
        boundary_iou=iou, **who | more,
    )  # fmt: skip


def made_by_hand():
    return [
        *(record(n, seconds=4.0) for n in range(6)),
        *(record(n, origin="prediction-changed", seconds=40.0, changed=0.02, iou=0.8) for n in range(6, 10)),
        *(record(n, origin="manual", blank=True, seconds=60.0, iou=0.6) for n in range(10, 16)),
        record(16, verdict="blurred", origin="manual", changed=NAN, iou=NAN),
        record(17, second_annotator="bo", second_verdict="keep", agreement=0.95, boundary_agreement=0.7),
        record(18, second_annotator="bo", second_verdict="blurred", annotator="chen"),
    ]
