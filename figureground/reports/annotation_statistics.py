"""The page of the annotation statistics: whether pre-annotation saves time."""

from figureground.annotation.statistics import AnnotationStatistics, GroupStatistics
from figureground.reports import charts
from figureground.reports.source_report import rendered


def describe_gate(group: GroupStatistics, statistics: AnnotationStatistics) -> str:
    """Say in words what a scene's stopping rule says."""
    least = min(len(group.gate.corrected), len(group.gate.drawn))
    if group.gate.evaluations == 0:
        return f"too few labels: {least} of {statistics.labels_at_least} in the smaller group"
    saves = group.gate.ratio is not None and group.gate.ratio.high < 1
    result = "does not pay" if group.gate.stopped else "pays" if saves else "not proven to cost time"
    return result if statistics.gated else f"{result} (the catalog has no preannotation_gate: nothing is stopped)"


def list_facts(statistics: AnnotationStatistics) -> tuple[tuple[str, str], ...]:
    """List the facts at the top of the page: name and text."""
    timed = f"known of {statistics.timed:,}; mean {statistics.mean_seconds:.1f} s" if statistics.timed else "not known"
    return (
        ("labels", f"{statistics.kept:,} kept, {statistics.rejected:,} rejected"),
        ("annotators", ", ".join(statistics.names) or "none"),
        ("left blank", f"{statistics.blank:,} of the kept ones"),
        ("annotated by two", f"{statistics.annotated_twice:,}"),
        ("lead time", timed),
    )


def render(statistics: AnnotationStatistics) -> str:
    """Render the page: one HTML file that needs no other; the same for the same content."""
    one_remover = len({group.remover for group in statistics.scenes}) == 1
    scenes = [(row.name if one_remover else f"{row.name}, {row.remover}", row) for row in statistics.scenes]
    return rendered(
        "annotation_statistics.html",
        title="Does pre-annotation save time?",
        page=statistics,
        facts=list_facts(statistics),
        verdicts=[describe_gate(row, statistics) for row in statistics.scenes],
        ratios=charts.ratios([(name, row.gate.ratio) for name, row in scenes]),
        times=charts.times([(name, row.gate.corrected, row.gate.drawn) for name, row in scenes]),
        routes=charts.shares([(name, row.accepted.value, row.accepted.count) for name, row in scenes]),
    )
