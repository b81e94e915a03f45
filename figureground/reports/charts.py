"""Charts as SVG texts, for pages that need no other file. Plain values in; the same bytes for the same values."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from statistics import fmean

from figureground.annotation.preannotation_gate import Ratio

_WIDTH, _LEFT, _RIGHT, _ROW = 860, 190, 120, 34
_PALE, _INK, _MACHINE, _HUMAN, _KEPT, _DROPPED, _LINE = (
    "#5d6875", "#1f2933", "#db2777", "#2563eb", "#0e8a5f", "#c95c08", "#dfe3e8",
)  # fmt: skip


def ratios(rows: Sequence[tuple[str, Ratio | None]]) -> str:
    """Draw how many times as long correcting takes as drawing, with its interval, on a logarithmic axis.

    Parameters
    ----------
    rows
        Name and ratio; None says that there is too little to draw.
    """
    ends = [end for _, ratio in rows if ratio for end in (ratio.low, ratio.high) if end > 0]
    low, high = min([0.25, *ends]), max([4.0, *ends])
    to_x = _scale(math.log(low), math.log(high))
    drawn = [_tick(to_x(math.log(at)), f"{at:g}×", len(rows), at == 1) for at in _doublings(low, high)]
    for number, (name, ratio) in enumerate(rows):
        y = _ROW * number + _ROW / 2
        drawn.append(_name(name, y))
        if ratio is None:
            drawn.append(_text(to_x(0), y, "too few labels of both kinds", _PALE, "middle"))
            continue
        x0, x, x1 = (to_x(math.log(value)) for value in ratio)
        colour = _DROPPED if ratio.low > 1 else _KEPT if ratio.high < 1 else _PALE
        drawn.append(f'<line x1="{x0:.1f}" x2="{x1:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>')
        drawn.append(f'<circle cx="{x:.1f}" cy="{y}" r="6" fill="{colour}"/>')
        drawn.append(_text(_WIDTH - _RIGHT + 14, y, f"{ratio.estimate:.2f}×", _INK))
    return _svg(drawn, len(rows), "Time to correct over time to draw, by scene")


def times(rows: Sequence[tuple[str, Sequence[float], Sequence[float]]]) -> str:
    """Draw every known time, corrected above drawn, each with its mean; the axis is logarithmic, in seconds."""
    every = [value for _, *kinds in rows for seconds in kinds for value in seconds]
    low, high = min([1.0, *every]), max([60.0, *every])
    to_x = _scale(math.log(low), math.log(high))
    drawn = [_tick(to_x(math.log(at)), f"{at:g} s", len(rows), False) for at in _decades(low, high)]
    for number, (name, *kinds) in enumerate(rows):
        y = _ROW * number + _ROW / 2
        drawn.append(_name(name, y))
        for seconds, up, colour in zip(kinds, (-7, 7), (_MACHINE, _HUMAN), strict=True):
            drawn += [_dot(to_x(math.log(value)), y + up, colour) for value in _thinned(seconds)]
            if seconds:
                x = to_x(math.log(fmean(seconds)))
                drawn.append(
                    f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y + up - 6}" y2="{y + up + 6}" stroke="{_INK}" stroke-width="3"/>'
                )
        means = " / ".join(f"{fmean(seconds):.0f}" if seconds else "–" for seconds in kinds)
        drawn.append(_text(_WIDTH - _RIGHT + 14, y, f"{means} s", _INK))
    return _svg(drawn, len(rows), "Seconds a picture: corrected above, drawn from blank below")


def shares(rows: Sequence[tuple[str, float, int]]) -> str:
    """Draw which share (0 to 1) was accepted as it is, of so many; NaN says that there is none."""
    to_x = _scale(0, 1)
    drawn = [_tick(to_x(at / 4), f"{25 * at} %", len(rows), False) for at in range(5)]
    for number, (name, value, count) in enumerate(rows):
        y = _ROW * number + _ROW / 2
        drawn.append(_name(name, y))
        if not math.isnan(value):
            wide = to_x(value) - to_x(0)
            whole = to_x(1) - to_x(0)
            drawn.append(f'<rect x="{to_x(0)}" y="{y - 8}" width="{whole:.1f}" height="16" fill="{_MACHINE}" opacity=".22"/>')
            drawn.append(f'<rect x="{to_x(0)}" y="{y - 8}" width="{wide:.1f}" height="16" fill="{_KEPT}"/>')
        drawn.append(_text(_WIDTH - _RIGHT + 14, y, f"{100 * value:.0f} % of {count}" if count else "none", _INK))
    return _svg(drawn, len(rows), "Share of the pre-annotated pictures that were accepted as they are")


def curve(points: Sequence[tuple[int, float, float]], best: int) -> str:
    """Draw how a network learnt: its loss and, on the same picture, its score on pictures it did not learn from.

    Parameters
    ----------
    points
        Pictures seen, loss (at least 0), score (0 to 1); at least one.
    best
        After how many pictures the weights were kept.
    """
    across = _Place(0, max(seen for seen, _, _ in points))
    highest = max(1e-9, *(loss for _, loss, _ in points))
    height = _ROW * _CURVE_ROWS
    drawn = [_tick(across(at * across.wide / 4), f"{at * across.wide / 4:,.0f}", _CURVE_ROWS, False) for at in range(5)]
    drawn.append(_tick(across(best), "", _CURVE_ROWS, True))
    for at in range(5):
        y = height * (1 - at / 4)
        drawn.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="{_LINE}"/>')
        drawn.append(_text(_LEFT - 14, y, f"{highest * at / 4:.2f}", _DROPPED, "end"))
        drawn.append(_text(_WIDTH - _RIGHT + 14, y, f"{at / 4:.2f}", _KEPT))
    for colour, values in ((_DROPPED, [loss / highest for _, loss, _ in points]), (_KEPT, [score for _, _, score in points])):
        coordinates = [(across(seen), height * (1 - value)) for (seen, _, _), value in zip(points, values, strict=True)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in coordinates)
        drawn.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [_dot(x, y, colour) for x, y in coordinates]
    drawn.append(_text(_LEFT - 14, height / 8, "loss", _DROPPED, "end"))
    drawn.append(_text(_WIDTH - _RIGHT + 14, height / 8, "score", _KEPT))
    return _svg(drawn, _CURVE_ROWS, f"Loss and score over pictures seen; kept after {best:,}")


_CURVE_ROWS = 8


class _Place:
    def __init__(self, low: float, high: float) -> None:
        self.low, self.wide = low, max(high - low, 1e-9)

    def __call__(self, value: float) -> float:
        return _LEFT + (value - self.low) / self.wide * (_WIDTH - _LEFT - _RIGHT)


def _scale(low: float, high: float) -> _Place:
    return _Place(low, high)


def _doublings(low: float, high: float) -> list[float]:
    return [2.0**power for power in range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)]


def _decades(low: float, high: float) -> list[float]:
    steps = [digit * 10.0**power for power in range(-1, 6) for digit in (1, 3)]
    return [step for step in steps if low <= step <= high]


def _thinned(values: Iterable[float], at_most: int = 400) -> list[float]:
    """Keep a page small: of very many times every so many-th, in their order of length."""
    ordered = sorted(values)
    return ordered[:: max(1, math.ceil(len(ordered) / at_most))]


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y}" r="3" fill="{colour}" opacity=".4"/>'


def _name(name: str, y: float) -> str:
    return _text(_LEFT - 14, y, name if len(name) <= 24 else f"{name[:23]}…", _INK, "end")


def _text(x: float, y: float, words: str, colour: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y + 5}" fill="{colour}" text-anchor="{anchor}">{escape(words)}</text>'


def _tick(x: float, words: str, rows: int, strong: bool) -> str:
    colour, bottom = _INK if strong else _LINE, _ROW * rows
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{bottom}" stroke="{colour}"/>'
    return line + _text(x, bottom + 14, words, _PALE, "middle")


def _svg(drawn: Sequence[str], rows: int, label: str) -> str:
    inside = "\n".join(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_ROW * rows + 28}" role="img" '
        f'aria-label="{escape(label)}" font-family="inherit" font-size="14">\n{inside}\n</svg>'
    )
