"""Decisions printed in a terminal, a pipe, and where the encoding is not UTF-8."""

from __future__ import annotations

import io
from dataclasses import replace

import fixture_decision as fixtures
import pytest
from rich.console import Console

from tospike.decision.record import Decision
from tospike.errors import OptionError
from tospike.reporting import render, render_breakeven

DECISIONS = {
    "image": fixtures.image_decision(),
    "stream": fixtures.stream_decision(),
    "empty": fixtures.empty_decision(),
    "hostile": fixtures.hostile_decision(),
    "deep": fixtures.deep_decision(),
}


def printed(decision: Decision, width: int = 80) -> str:
    stream = io.StringIO()
    render(decision, Console(file=stream, width=width))
    return stream.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", DECISIONS)
def test_lines_fit_and_a_pipe_gets_no_colour(name: str, width: int) -> None:
    text = printed(DECISIONS[name], width)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width


def test_the_terminal_shows_the_numbers_of_the_decision() -> None:
    text = printed(DECISIONS["image"])
    for part in (
        *("P(SNN wins): 14 %", "412 nJ", "288–618 nJ", "91.2 %", "0.72×", "(reference)"),
        *(
            "(86.1 %)",
            "ANN, 8 bit, dense *",
            "* not run on the data",
            "classifier.1",
            "65.0 %",
            "0.26×",
            "register read, 8 bit",
            "Assumptions (5)",
        ),
        *("and 2 more: see the report", "Sources: 4, 1 quoted second-hand"),
    ):
        assert part in text
    assert "160 layers with fewer synapses are left out" in printed(DECISIONS["deep"])


def test_markup_of_the_terminal_in_names_is_not_obeyed() -> None:
    assert "[bold red]x[/]" in printed(DECISIONS["hostile"], 240)


def test_a_terminal_without_utf8_gets_plain_characters() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    render(DECISIONS["image"], Console(file=stream, width=80))
    stream.flush()
    text = raw.getvalue().decode("ascii")
    assert "1.5 uJ" in text
    assert "0.72x" in text
    assert "?" not in text


def test_break_even_table() -> None:
    stream = io.StringIO()
    row = {"model": "ann_dense", "title": "no zero skipping", "spikes_per_synapse": 1.3803}
    full = row | {"printed": 1.38, "locator": "Table III"}
    render_breakeven([row, full], Console(file=stream, width=100))
    lines = stream.getvalue().splitlines()
    assert lines[-2].split() == ["ann_dense", "no", "zero", "skipping", "1.38", "–", "–"]
    assert lines[-1].split()[-3:] == ["1.38", "Table", "III"]
    with pytest.raises(OptionError, match="a row without title, spikes_per_synapse"):
        render_breakeven([{"model": "x"}])


def test_without_labels_the_agreement_is_printed() -> None:
    items = DECISIONS["stream"].implementations
    agreed = tuple(replace(item, agreement=0.987) for item in items)
    text = printed(replace(DECISIONS["stream"], implementations=agreed))
    assert "agreement" in text
    assert "98.7 %" in text
