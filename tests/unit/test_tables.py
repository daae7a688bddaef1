"""Tables: what a caption must state, and exports that other programs can read back."""

from __future__ import annotations

import csv
import io
import json
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tospike.errors import OptionError, UnknownNameError
from tospike.tables import FORMATS, Column, Table, export
from tospike.tables.formats import latex_text
from tospike.tables.record import cell_text

TABLE = Table(
    key="energies",
    title="Energy per operation",
    columns=(Column("what", "operation"), Column("energy", "energy", "pJ", digits=3)),
    rows=(
        {"what": "add_8 & mult", "energy": 0.03},
        {"what": "100 %", "energy": 1.23456},
        {"what": None, "energy": math.nan},
    ),
    assumptions=("8 bit", "no memory."),
    sources=("horowitz_2014",),
    notes=("The last row is empty",),
)


def test_caption_states_title_assumptions_notes_and_sources() -> None:
    assert TABLE.caption == (
        "Energy per operation. Assumptions: 8 bit. no memory. The last row is empty. "
        "Sources: Horowitz 2014, doi:10.1109/ISSCC.2014.6757323."
    )


def test_latex_escapes_and_has_a_full_caption() -> None:
    text = export([TABLE], "latex")
    assert r"add\_8 \& mult & 0.03 \\" in text
    assert r"100 \% & 1.23 \\" in text
    assert r"-- & -- \\" in text
    assert r"\begin{tabular}{lr}" in text
    assert "Horowitz 2014" in text.split(r"\caption{")[1].split("\n")[0]


@given(st.text(max_size=60))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_latex_text_has_no_live_command(text: str) -> None:
    escaped = latex_text(text)
    # What remains after removing our own escapes must hold no character that LaTeX acts upon.
    known = (
        r"\\textbackslash\{\}|\\text(ascii)?(tilde|circum|less|greater)\{\}|\\ldots\{\}"
        r"|\\[&%$#_{}]|\$(\\[a-zA-Z]+|\^[23]|-)\$"
    )
    rest = re.sub(known, "", escaped).replace("~", "")
    assert not set(rest) & set("\\&%$#_{}^")
    assert "\n" not in escaped


def test_csv_is_read_back_by_another_reader_with_all_digits() -> None:
    lines = export([TABLE], "csv").splitlines()
    comments = [line for line in lines if line.startswith("#")]
    assert comments[0] == "# Energy per operation"
    assert any("Horowitz" in line for line in comments)
    rows = list(csv.reader(io.StringIO("\n".join(lines[len(comments) :]))))
    assert rows == [
        ["operation", "energy [pJ]"],
        ["add_8 & mult", "0.03"],
        ["100 %", "1.23456"],
        ["", ""],
    ]


def test_json_is_a_list_of_tables_without_nan() -> None:
    (table,) = json.loads(export([TABLE], "json"))
    assert table["rows"][1] == {"what": "100 %", "energy": 1.23456}
    assert table["rows"][2] == {"what": None, "energy": None}
    assert table["sources"][0]["key"] == "horowitz_2014"
    assert table["assumptions"] == ["8 bit", "no memory."]


def test_markdown_has_as_many_cells_in_every_row() -> None:
    table = Table("t", "T", (Column("a", "a|b"), Column("b", "b")), ({"a": "x|y", "b": 2},))
    lines = export([table], "markdown").splitlines()[:3]
    assert [len(re.split(r"(?<!\\)\|", line)) for line in lines] == [4, 4, 4]


def test_several_tables_follow_each_other_in_every_format() -> None:
    for name in FORMATS:
        text = export([TABLE, TABLE], name)
        assert text.count("Energy per operation") >= 2, name
        assert text.endswith("\n"), name


def test_unknown_format_names_those_that_exist() -> None:
    with pytest.raises(UnknownNameError, match="csv, json, latex, markdown"):
        export([TABLE], "docx")


def test_a_table_reports_all_its_faults_at_once() -> None:
    with pytest.raises(OptionError) as caught:
        Table("t", "T", (Column("a", "a"), Column("a", "b")), ({"z": 1},), sources=("nobody",))
    text = str(caught.value)
    assert "no column 'z'" in text
    assert "unknown source 'nobody'" in text
    assert "same key" in text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.000123456, 3, "0.000123"),
        (12345.6, 3, "12,300"),
        (1.5e-9, 3, "1.5e-09"),
        (123456, 3, "123,456"),
        (9999, None, "9999"),
        (0.1, None, "0.1"),
        (math.inf, 3, "∞"),
        (math.nan, 3, "–"),
        (None, 3, "–"),
        (True, 3, "yes"),
        ("x", 3, "x"),
    ],
)
def test_cell_text(value: object, digits: int | None, text: str) -> None:
    assert cell_text(value, digits) == text  # type: ignore[arg-type]  # deliberately any cell
