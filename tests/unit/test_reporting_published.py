"""What each paper would say: the figure, the tables, the words, and the way through a file."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import fixture_decision as fixtures
import jsonschema
import pytest
from rich.console import Console
from typer.testing import CliRunner

from tospike.cli import app
from tospike.decision import Decision, PublishedSummary, PublishedVerdict
from tospike.decision.schema import PATH
from tospike.reporting import published as papers
from tospike.reporting import read_report, render, report
from tospike.reporting.palette import LOSES, NEUTRAL, WINS
from tospike.tables import FORMATS, export

_BASE = PublishedVerdict(
    key="naive",
    title="Naive 2022",
    paper="dampfhoffer_2022",
    locator="eq. 2",
    ann_model="ann_naive",
    snn_model="snn_if_inst",
    technology="dampfhoffer_2022_45nm_8b",
    verdict="spike",
    energy_ann_J=3e-6,
    energy_snn_J=2e-6,
    ratio=1.5,
    ratio_low=1.2,
    ratio_high=1.9,
    p_snn_cheaper=1.0,
    break_even_spikes_per_synapse=1.38,
    spikes_per_synapse=0.9,
    distance=0.65,
    leaves_out="data reuse",
    bits={"weight": 8, "activation": 8, "state": 8},
    assumptions=("the same for all", "no reuse"),
    sources=("dampfhoffer_2022",),
)
_VERDICTS = (
    replace(
        _BASE,
        key="reuse",
        title="Ideal reuse",
        verdict="do not spike",
        ratio=0.2,
        ratio_low=0.1,
        ratio_high=0.4,
        p_snn_cheaper=0.0,
        distance=5.0,
        leaves_out="communication",
        assumptions=("the same for all",),
    ),
    _BASE,
    replace(
        _BASE,
        key="close",
        title="Close call",
        verdict="too close",
        ratio=0.9,
        ratio_low=0.7,
        ratio_high=1.4,
        p_snn_cheaper=0.25,
        break_even_spikes_per_synapse=math.inf,
        distance=0.0,
    ),
    PublishedVerdict(
        "seneca", "Other chip", "tang_2023", "abstract", "ann_naive", "snn_if_inst", "seneca_22nm",
        why_not="2 action(s) without a price", leaves_out="much",
    ),
)  # fmt: skip
_SUMMARY = PublishedSummary(
    ann="QNN, 8 bit",
    snn="SNN, T=8",
    snn_meets_floor=True,
    mean_p_snn_cheaper=1.25 / 3,
    mean_p_by_paper=0.31,
    lowest_p_snn_cheaper=0.0,
    highest_p_snn_cheaper=1.0,
    share_spike=1 / 3,
    n_spike=1,
    n_do_not_spike=1,
    n_too_close=1,
    n_not_applied=1,
    definition="the mean; the models are not independent votes",
)


def decision(**changes: object) -> Decision:
    fields = {
        "published": _VERDICTS,
        "published_summary": _SUMMARY,
        "p_snn_wins_published": 1.25 / 3,
    }
    return replace(fixtures.image_decision(), **{**fields, **changes})


def hostile() -> Decision:
    """Markup in every text, and numbers that no axis holds."""
    bad = fixtures.HOSTILE
    odd = (math.nan, math.inf, 0.0, -1.0, 1e300, None)
    verdicts = tuple(
        replace(
            _BASE,
            key=f"{bad}{i}",
            title=f"{bad}{i}",
            paper=bad,
            locator=bad,
            technology=bad,
            leaves_out=bad,
            why_not=bad,
            ratio=value,
            ratio_low=odd[i - 1],
            ratio_high=odd[i - 2],
            p_snn_cheaper=value,
            distance=value,
            break_even_spikes_per_synapse=value,
            energy_ann_J=value,
            assumptions=(bad,),
            sources=(bad,),
            verdict=("spike", "do not spike", "too close", bad, "spike", "too close")[i],
        )
        for i, value in enumerate(odd)
    )
    named = replace(_SUMMARY, ann=bad, snn=bad, mean_p_snn_cheaper=math.nan, definition=bad)
    return replace(fixtures.hostile_decision(), published=verdicts, published_summary=named)


def text_of(decision: Decision, width: int, **keywords: bool) -> str:
    stream = io.StringIO()
    render(decision, Console(file=stream, width=width, no_color=True), **keywords)
    return stream.getvalue()


# --- the figure --------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [decision, hostile])
def test_the_figure_is_valid_for_plotly(make: object) -> None:
    from plotly.graph_objects import Figure

    figure = papers.published_figure(make())
    Figure(figure)
    json.dumps(figure, allow_nan=False)


def test_one_row_per_model_with_its_range_on_its_side() -> None:
    figure = papers.published_figure(decision())
    assert figure["layout"]["yaxis"]["ticktext"] == ["Naive 2022", "Close call", "Ideal reuse"]
    points = {t["name"]: t for t in figure["data"] if t["mode"] == "markers"}
    colours = {name: trace["marker"]["color"] for name, trace in points.items()}
    assert colours == {"spike": WINS, "too close": NEUTRAL, "do not spike": LOSES}
    assert len({trace["marker"]["symbol"] for trace in points.values()}) == 3
    assert {name: (t["x"], t["y"]) for name, t in points.items()} == {
        "spike": ([1.5], [0]),
        "too close": ([0.9], [1]),
        "do not spike": ([0.2], [2]),
    }
    ranges = [t["x"][:2] for t in figure["data"] if t["mode"] == "lines"]
    assert ranges == [[1.2, 1.9], [0.7, 1.4], [0.1, 0.4]]
    (line,) = figure["layout"]["shapes"]
    assert (line["x0"], line["x1"], figure["layout"]["xaxis"]["type"]) == (1.0, 1.0, "log")
    low, high = figure["layout"]["xaxis"]["range"]
    assert low < math.log10(0.1)
    assert high > math.log10(1.9)


def test_the_figure_says_p_and_what_is_left_out() -> None:
    figure = papers.published_figure(decision())
    column = {n["y"]: n["text"] for n in figure["layout"]["annotations"] if n.get("xref")}
    assert column == {-1.7: "<i>P(SNN wins)</i>", 0: "> 99 %", 1: "25 %", 2: "< 1 %"}
    hover = next(t for t in figure["data"] if t.get("name") == "do not spike")["customdata"][0]
    assert hover == [
        "Ideal reuse",
        "ANN / SNN 0.20×, 5–95 %: 0.10–0.40×",
        "P(SNN wins) < 1 %: do not spike",
        "0.9 spikes per synapse, break-even 1.38",
        "communication",
    ]
    assert "Naive 2022 1.50×, spike" in papers.figure_summary(decision())


def test_without_a_verdict_there_is_no_figure() -> None:
    assert papers.published_figure(fixtures.image_decision()) is None
    assert papers.published_figure(decision(published=_VERDICTS[3:])) is None


# --- words and tables --------------------------------------------------------------------------


def test_the_words() -> None:
    assert papers.in_words(decision()) == [
        "Of 3 published models (1 could not be applied), 1 says spike, 1 says do not spike and 1 "
        "is too close to call, comparing “QNN, 8 bit” with “SNN, T=8” by energy alone.",
        "P(SNN wins) is 42 % on average, each model with the same weight (31 % with the same "
        "weight for each paper), and from < 1 % to > 99 % by model. The models share equations "
        "and constants: they are not independent votes.",
    ]
    assert papers.in_words(fixtures.image_decision()) == []
    missed = papers.in_words(decision(published_summary=replace(_SUMMARY, snn_meets_floor=False)))
    assert "misses the floor" in missed[-1]
    unknown = papers.in_words(decision(published_summary=replace(_SUMMARY, snn_meets_floor=None)))
    assert "not known whether" in unknown[-1]


def test_a_probability_without_a_range_is_marked() -> None:
    sharp = replace(_BASE, ratio_low=1.5, ratio_high=1.5)
    found = decision(published=(sharp, *_VERDICTS))
    assert [papers.p_text(item) for item in (sharp, _BASE)] == ["> 99 %*", "> 99 %"]
    assert papers.STAR in papers.in_words(found)
    assert papers.STAR not in papers.in_words(decision())
    assert "> 99 %*" in text_of(found, 80, published=True)


def test_the_words_where_nothing_could_be_applied() -> None:
    none = replace(_SUMMARY, n_spike=0, n_do_not_spike=0, n_too_close=0, snn="")
    found = papers.in_words(decision(published=_VERDICTS[3:], published_summary=none))
    assert found == ["None of 1 published model gives a verdict: 2 action(s) without a price."]


def test_the_report_has_figure_table_and_reason(tmp_path: Path) -> None:
    text = report(decision(), tmp_path / "r.html").read_text(encoding="utf-8")
    plain = unescape(re.sub(r"<[^>]+>", " ", text))
    assert papers.TITLE in plain
    assert "Table of published models (4)" in plain
    assert "2 action(s) without a price" in plain
    assert "no reuse" in plain
    # what all assume is said once
    assert plain.count("the same for all") == 1 + text.count('"the same for all"')
    assert papers.TITLE not in report(
        fixtures.image_decision(), tmp_path / "without.html"
    ).read_text(encoding="utf-8")


def test_hostile_texts_are_only_text(tmp_path: Path) -> None:
    text = report(hostile(), tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "<img" not in text
    text_of(hostile(), 80, published=True)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_terminal_lists_every_model(width: int) -> None:
    text = text_of(decision(), width, published=True)
    assert max(map(len, text.splitlines())) <= width
    block = text[text.index(papers.TITLE) :]
    for word in ("◆ spike", "● too close", "■ do not spike", "not applied", "> 99 %", "25 %"):
        assert word in block
    assert ("0.70–1.40×" in block) == (width >= 104)
    assert "P(SNN wins) is 42 % on average" in " ".join(block.split())


def test_the_terminal_says_one_sentence_where_no_table_is_asked_for() -> None:
    text = " ".join(text_of(decision(), 80).split())
    assert "Of 3 published models" in text
    assert "--models all lists them." in text
    assert papers.TITLE not in text
    assert "published" not in text_of(fixtures.image_decision(), 80)


@pytest.mark.parametrize("form", FORMATS)
def test_the_table_can_be_exported(form: str) -> None:
    for found in (decision(), hostile()):
        assert export([papers.published_table(found)], form)
    assert papers.published_table(fixtures.image_decision()) is None


def test_the_exported_numbers_are_those_of_the_decision() -> None:
    rows = json.loads(export([papers.published_table(decision())], "json"))
    rows = rows[0]["rows"] if isinstance(rows, list) else rows["rows"]
    assert [row["ratio"] for row in rows] == [1.5, 0.9, 0.2, None]
    assert rows[-1]["why_not"] == "2 action(s) without a price"
    assert "Naive 2022" in next(csv.reader(io.StringIO(rows[0]["model"])))


# --- files -------------------------------------------------------------------------------------


def test_the_verdicts_come_back_from_a_report(tmp_path: Path) -> None:
    (back,) = read_report(report(decision(), tmp_path / "r.html"))
    assert back.published[0] == _VERDICTS[0]
    assert back.published_summary == _SUMMARY
    assert back.as_dict() == decision().as_dict()
    assert back.published[2].break_even_spikes_per_synapse is None  # infinity


def test_a_report_of_version_1_0_is_still_read(tmp_path: Path) -> None:
    """It has none of the new fields."""
    path = report(fixtures.image_decision(), tmp_path / "r.html")
    text = path.read_text(encoding="utf-8")
    block = re.search(r'id="tospike-decision">(.*?)</script>', text, re.DOTALL).group(1)
    body = json.loads(block)
    for key in ("published", "published_summary", "p_snn_wins_published"):
        del body[key]
    old = json.dumps({**body, "schema_version": "1.0"})
    path.write_text(text.replace(block, old.replace("<", "\\u003c")), encoding="utf-8")
    assert read_report(path) == (fixtures.image_decision(),)


def test_the_json_satisfies_the_schema() -> None:
    schema = json.loads(PATH.read_text())
    validator = jsonschema.Draft202012Validator(schema)
    body = json.loads(json.dumps(decision().as_dict(), allow_nan=False))
    network = {**body["network"], "importer": "torch"}
    validator.validate({**body, "network": network})
    broken = {**body, "network": network, "published": [{"key": "x"}]}
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(broken)


# --- the command line --------------------------------------------------------------------------


def printed(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["analyze", "vgg16", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_line_prints_the_table_where_it_is_asked_for() -> None:
    assert papers.TITLE in printed("--models", "all")
    some = printed("--models", "compute_only")
    assert "MACs and ACs only" in some
    assert "Ottati 2023" not in some
    bare = printed()
    assert papers.TITLE not in bare
    assert "--models all lists them." in " ".join(bare.split())
    assert "published" not in printed("--models", "none")


def test_json_and_tables_hold_the_models_asked_for() -> None:
    body = json.loads(printed("--json", "--models", "compute_only"))
    assert [item["key"] for item in body["published"]] == ["compute_only"]
    assert body["schema_version"] == "1.3"
    assert json.loads(printed("--json", "--models", "none"))["published"] == []
    assert "MACs and ACs only" in printed("--format", "markdown", "--models", "compute_only")
