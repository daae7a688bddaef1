"""Numbers and tables of the results page of the spiking networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def percent(value: float | None, digits: int = 1) -> str:
    """A share in percent."""
    return "–" if value is None else f"{100 * value:.{digits}f}"


def number(value: float) -> str:
    """Three digits, or all of a large number."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def energy(value: float | None, factor: float = 1e6) -> str:
    """Joule times ``factor``."""
    return "–" if value is None else number(factor * value)


def times(value: float | None) -> str:
    """A ratio with two digits or more."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Markdown; all columns but the first to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]
