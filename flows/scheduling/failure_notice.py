"""Records how a run ended, and notifies people when it failed: once, and not again and again for the same failure."""

import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime

from figureground.catalog import Catalog
from figureground.clients.notification import notify
from figureground.storage import locks, run_records
from figureground.storage.run_records import RunSummary
from figureground.storage.store import Store

_STARTED_BY_HAND = ("ingest", "push", "pull", "release", "rebuild")


def record_and_notify(catalog: Catalog, summary: RunSummary) -> None:
    """Write a run's summary and, when the run failed, notify whom the catalog names.

    Parameters
    ----------
    catalog
        Its ``notify`` names the receivers, and how often the same failure is repeated.
    summary
        How the run ended.
    """
    store = Store(catalog.storage_root)
    run_records.write(store, summary)
    if summary.outcome not in ("failed", "crashed") or catalog.notify is None or _is_seen_at_terminal(summary):
        return
    notified = _notified_before(store, catalog, summary)
    if not notified and not notify(catalog.notify, *compose_notice(summary, catalog), asdict(summary)):
        notified = locks.format_now()
    run_records.write(store, replace(summary, notified=notified))


def _is_seen_at_terminal(summary: RunSummary) -> bool:
    """Check whether the user who started the run reads its error in the terminal anyway."""
    return summary.outcome == "failed" and summary.flow in _STARTED_BY_HAND and sys.stdout.isatty()


def _notified_before(store: Store, catalog: Catalog, summary: RunSummary) -> str:
    """Give the time of the last notice of the same failure, or "" when it is too long ago."""
    earlier = next((other for other in run_records.read_latest(store, summary.flow) if other.run < summary.run), None)
    if earlier is None or not earlier.notified or earlier.failure_text != summary.failure_text or catalog.notify is None:
        return ""
    hours = (datetime.now(UTC) - datetime.fromisoformat(earlier.notified)).total_seconds() / 3600
    return earlier.notified if hours < catalog.notify.repeat_after_hours else ""


def compose_notice(summary: RunSummary, catalog: Catalog) -> tuple[str, str]:
    """Write the notice of a failed run.

    Parameters
    ----------
    summary
        How the run ended.
    catalog
        Gives the entry of each source that failed.

    Returns
    -------
    tuple of str
        The subject, and the text: what failed, why, and what to do.
    """
    failed = summary.failed
    count = f": {len(failed)} of {len(summary.sources)} sources" if failed else ""
    subject = f"figureground {summary.flow} {summary.outcome}{count} ({summary.host}, {summary.ended})"
    lines = [summary.error] if summary.error else []
    lines += [f"- {end.source}: {end.error}" for end in failed]
    names = " ".join(dict.fromkeys(catalog.entry_of(end.source) for end in failed))
    option = f" --catalog {summary.catalog}" if summary.catalog else ""
    lines += ["", f"Finished work is kept, and the next run continues. See the state with `figureground status{option}`."]
    if failed:
        lines.append(f"Try again at once with `figureground ingest {names}{option}`; docs/operate.md explains more.")
    return subject, "\n".join(lines)
