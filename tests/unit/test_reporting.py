"""Reports: what they show is what the decision holds; bad input gives one clear error."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from html import unescape
from itertools import pairwise
from pathlib import Path

import fixture_decision as fixtures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tospike.activity.profile import ActivityProfile
from tospike.decision.record import EnergyPart
from tospike.errors import OptionError, StatisticError, TospikeError
from tospike.reporting import (
    Section,
    activity_figure,
    read_report,
    report,
    temporal_figure,
)
from tospike.reporting import wording as say
from tospike.reporting.figures import energy_figure, pareto_figure, sensitivity_figure, shares
from tospike.reporting.layer_map import layer_figure, short_names
from tospike.reporting.markup import el, esc, script_json
from tospike.reporting.page import linked
from tospike.reporting.plot import label, prefix_scale

DECISIONS = {
    "image": fixtures.image_decision(),
    "stream": fixtures.stream_decision(),
    "empty": fixtures.empty_decision(),
    "hostile": fixtures.hostile_decision(),
    "deep": fixtures.deep_decision(),
}
FIGURES = (energy_figure, pareto_figure, sensitivity_figure, layer_figure)
UNITS = {"nJ": 1e-9, "µJ": 1e-6, "mJ": 1e-3, "pJ": 1e-12, "J": 1.0}


def page(decision: object, folder: Path, **keywords: object) -> str:
    return report(decision, folder / "r.html", **keywords).read_text(encoding="utf-8")


def bars(figure: dict) -> list[dict]:
    return [t for t in figure["data"] if t["type"] == "bar"]


# --- figures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DECISIONS)
@pytest.mark.parametrize("make", FIGURES)
def test_figures_are_valid_for_plotly(make: object, name: str) -> None:
    """plotly.py knows every property of every trace and refuses all others."""
    from plotly.graph_objects import Figure

    figure = make(DECISIONS[name])
    if figure is not None:
        Figure(figure)
        json.dumps(figure, allow_nan=False)


def test_a_figure_with_a_wrong_property_is_seen() -> None:
    from plotly.graph_objects import Figure

    figure = energy_figure(DECISIONS["image"])
    figure["data"][0]["colour"] = "red"
    with pytest.raises(ValueError, match="colour"):
        Figure(figure)


@pytest.mark.parametrize("name", ["image", "stream", "hostile"])
def test_stacked_bars_add_up_to_the_energy(name: str) -> None:
    decision = DECISIONS[name]
    figure = energy_figure(decision)
    unit = re.search(r"\((.+)\)", figure["layout"]["xaxis"]["title"]["text"]).group(1)
    priced = [item for item in decision.implementations if math.isfinite(item.energy_J)]
    for row, item in enumerate(priced):
        total = sum(trace["x"][row] for trace in bars(figure)) * UNITS[unit]
        # Parts may say more than the total (they are drawn as given), never less.
        parts = sum(part.energy_J for part in item.parts)
        assert total == pytest.approx(max(item.energy_J, parts), rel=1e-3)


def test_whiskers_reach_from_5_to_95_percent() -> None:
    decision = DECISIONS["image"]
    whiskers = energy_figure(decision)["data"][-1]
    for x, down, item in zip(
        whiskers["x"], whiskers["error_x"]["arrayminus"], decision.implementations, strict=True
    ):
        assert x * 1e-6 == pytest.approx(item.energy_high_J, rel=1e-3)
        assert (x - down) * 1e-6 == pytest.approx(item.energy_low_J, rel=1e-3)


def test_modelled_bars_are_hatched_and_the_reference_is_marked() -> None:
    decision = DECISIONS["image"]
    figure = energy_figure(decision)
    assert bars(figure)[0]["marker"]["pattern"]["shape"] == ["", "/", "", "", "", "", "", "", ""]
    names = figure["layout"]["yaxis"]["ticktext"]
    assert [i for i, name in enumerate(names) if "reference" in name] == [0]
    assert [i for i, name in enumerate(names) if "modelled" in name] == [1]
    assert [i for i, name in enumerate(names) if "winner" in name] == [8]
    band, line = figure["layout"]["shapes"]
    assert line["x0"] == pytest.approx(0.412)
    rows = figure["data"][0]["y"]
    assert (band["y0"], band["y1"]) == (rows[8] - 0.5, rows[8] + 0.5)


def test_rows_of_one_mode_stand_together_and_what_misses_the_floor_is_pale() -> None:
    image = DECISIONS["image"]
    mixed = replace(image, implementations=image.implementations[::-1])
    figure = energy_figure(mixed)
    names = [row[0] for row in figure["data"][0]["customdata"]]
    modes = [next(i.mode for i in image.implementations if i.name == name) for name in names]
    assert modes == ["hybrid", *["snn"] * 4, *["qnn"] * 2, *["ann"] * 2]
    rows = figure["data"][0]["y"]
    gaps = [round(b - a, 3) for a, b in pairwise(rows)]
    assert gaps == [1.4, 1, 1, 1, 1.4, 1, 1.4, 1]
    # floor 90 %: the SNNs with 89.7, 86.1 and 73.4 % miss it
    assert figure["data"][0]["marker"]["opacity"] == [1, 1, 0.4, 0.4, 0.4, 1, 1, 1, 1]


def test_what_the_parts_leave_out_is_drawn_as_other() -> None:
    item = DECISIONS["image"].implementations[0]
    half = replace(item, parts=(EnergyPart("compute", item.energy_J / 2),))
    assert shares(half) == pytest.approx({"compute": item.energy_J / 2, "other": item.energy_J / 2})
    assert shares(replace(item, parts=())) == {"total": item.energy_J}


def test_the_pareto_front_goes_through_its_points_in_order_of_energy() -> None:
    figure = pareto_figure(DECISIONS["image"])
    front = figure["data"][0]
    assert front["x"] == pytest.approx([204e-9, 262e-9, 297e-9, 318e-9])
    assert front["y"] == pytest.approx([73.4, 90.4, 90.9, 91.1])
    assert figure["layout"]["shapes"][0]["y0"] == pytest.approx(90)
    assert pareto_figure(DECISIONS["stream"]) is None


def test_the_layer_map_shows_rates_and_break_even() -> None:
    figure = layer_figure(DECISIONS["image"])
    traces = {trace["name"]: trace for trace in figure["data"]}
    assert len(traces["break-even"]["x"]) == 6
    rates = traces["measured spikes per synapse"]
    assert rates["x"] == [1, 2, 3, 4, 5]
    distances = [0.62 / 0.4, 0.47 / (0.42 / 1.1), 0.21 / (0.42 / 1.15), 0.09 / 0.35, 0.31 / 0.336]
    assert rates["marker"]["color"] == pytest.approx(np.log10(distances), abs=1e-3)
    assert rates["text"] == ["1.55×", "1.23×", "0.57×", "0.26×", "0.92×"]
    assert traces["spiking wins in this layer"]["x"][::3] == [3, 4, 5]
    assert traces["spiking loses"]["x"][::3] == [1, 2]
    assert traces["runs as SNN"]["x"] == [3, 4]
    assert traces["runs as ANN, cannot receive spikes"]["x"] == [0]
    for part in ("features.3", "32×14×14 → 64×14×14", "3.61 M synapses", "0.62", "0.4", "1.55×"):
        assert part in rates["hovertext"][0]


def test_layers_that_never_spike_are_marked() -> None:
    traces = {trace["name"]: trace for trace in layer_figure(DECISIONS["hostile"])["data"]}
    assert traces["no spike at all"]["x"] == [2]


def test_the_tornado_starts_at_the_nominal_probability() -> None:
    figure = sensitivity_figure(DECISIONS["image"])
    low, high = figure["data"]
    ends = [(b + x, b + y) for b, x, y in zip(low["base"], low["x"], high["x"], strict=True)]
    assert ends[0] == pytest.approx((0.04, 0.61))
    assert ends[1] == pytest.approx((0.57, 0.03))
    assert low["base"] == [0.14] * 5
    assert ["reverses" in text for text in figure["layout"]["yaxis"]["ticktext"]] == [
        *(True, True),
        *(False, False, False),
    ]


def test_constants_that_move_nothing_are_not_drawn(tmp_path: Path) -> None:
    still = DECISIONS["image"].sensitivities[-1:]
    decision = replace(DECISIONS["image"], sensitivities=still)
    assert sensitivity_figure(decision) is None
    text = page(decision, tmp_path)
    assert (
        "None of the constants tried, anywhere in its range, reverses the verdict: "
        "P(hybrid: 2 layers spike, T=8 cheaper) stays 14 %."
    ) in text
    assert "The ANN model matters: spiking wins against ann_dense (71 %)." in text


def test_activity_figure_and_its_mean() -> None:
    network = fixtures.small_network(3)
    activity = fixtures.small_activity(network)
    figure = activity_figure(network, activity)
    (trace,) = figure["data"]
    assert trace["y"] == pytest.approx([0, 44, 48])
    assert trace["error_y"]["array"] == pytest.approx([0, 1, 2])
    # (1·0 + 2·0.44 + 3·0.48) / 6 of 1, 2 and 3 units of synapses
    assert figure["layout"]["shapes"][0]["y0"] == pytest.approx(100 * 2.32 / 6)
    assumed = ActivityProfile.assumed(network, zero_fraction=0.5, origin="a guess")
    assert activity_figure(network, assumed)["data"][0]["name"] == "analog input (assumed)"


def test_activity_figure_refuses_what_it_cannot_draw() -> None:
    network = fixtures.small_network(2)
    with pytest.raises(StatisticError, match="zero fraction per layer"):
        activity_figure(network, ActivityProfile({}, 0, "nothing"))
    with pytest.raises(StatisticError, match="without temporal sparsity"):
        temporal_figure(ActivityProfile.assumed(network, zero_fraction=0.5, origin="a guess"))


def test_temporal_figure_shows_gamma_and_gives_zero_a_place() -> None:
    figure = temporal_figure(fixtures.small_activity(fixtures.small_network(2)))
    assert [trace["y"] for trace in figure["data"]] == [
        pytest.approx([30, 50, 60]),
        pytest.approx([33, 53, 63]),
    ]
    axis = figure["layout"]["xaxis"]
    assert axis["type"] == "log"
    assert axis["ticktext"] == ["0", "0.1", "0.5"]
    assert axis["tickvals"] == pytest.approx([0.05, 0.1, 0.5])


def test_short_names_stay_different() -> None:
    names = [f"backbone.stage{i}.conv_depthwise_separable" for i in range(5)]
    assert short_names(names) == [f"stage{i}" for i in range(5)]
    assert short_names(["a.b", "a.c", "a.d"]) == ["a.b", "a.c", "a.d"]
    assert short_names(["same-long-name-without-dots"] * 3) == ["same-long-name-without-dots"] * 3


# --- escaping ----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.text())
def test_no_text_leaves_its_element_or_its_attribute(text: str) -> None:
    written = el("p", text, attrs={"title": text})
    match = re.fullmatch(r'<p title="([^"<>]*)">([^<>]*)</p>', written, re.DOTALL)
    assert match is not None
    assert unescape(match.group(1)) == unescape(match.group(2)) == unescape(esc(text))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.recursive(st.text() | st.floats() | st.integers(), st.lists, max_leaves=5))
def test_embedded_json_has_no_markup_and_says_the_same(value: object) -> None:
    text = script_json(value)
    assert not set("<>&\u2028\u2029") & set(text)
    text.encode("utf-8")
    back = json.loads(text)
    if isinstance(value, str):
        assert len(back) == len(value)
    if isinstance(value, float):
        assert back == (value if math.isfinite(value) else None)


def test_figure_text_is_escaped_and_shortened_in_the_middle() -> None:
    assert label("<b>x</b>") == "&lt;b&gt;x&lt;/b&gt;"
    assert len(label("x" * 50, 13)) == 13


def test_links_are_made_for_papers_only() -> None:
    text = linked("A: B. C, 2022. doi:10.1109/TETCI.2022.3214509 http://x.test <b>")
    assert '<a href="https://doi.org/10.1109/TETCI.2022.3214509"' in text
    assert text.count("<a ") == 1
    assert "&lt;b&gt;" in text


# --- wording -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (say.energy(1.31e-8), "13.1 nJ"),
        (say.energy(math.nan), "–"),
        (say.energy_range(9.1e-9, 1.4e-8), "9.1–14 nJ"),
        (say.energy_range(9.1e-9, 1.4e-6), "9.1 nJ–1.4 µJ"),
        (say.energy_range(math.nan, 1.0), "–"),
        (say.percent(0.9123), "91.2 %"),
        (say.probability(0.0), "< 1 %"),
        (say.probability(1.0), "> 99 %"),
        (say.probability(0.136), "14 %"),
        (say.probability(None), "–"),
        (say.times(0.5), "0.50×"),
        (say.times(0.0123), "0.012×"),
        (say.times(123.4), "123×"),
        (say.times(math.inf), "–"),
        (say.amount(512), "512"),
        (say.amount(15_346_630_656), "15.3 G"),
    ],
)
def test_numbers_as_text(made: str, text: str) -> None:
    assert made == text


def test_the_axis_unit_keeps_numbers_below_1000() -> None:
    assert prefix_scale(9.99e-7) == (1e-9, "nJ")
    assert prefix_scale(1e-6) == (1e-6, "µJ")
    assert prefix_scale(2.0) == (1.0, "J")


def test_the_best_snn_meets_the_floor_if_one_does() -> None:
    decision = DECISIONS["image"]
    assert say.best_snn(decision).name == "SNN, IF, T=32"
    assert say.best_snn(replace(decision, accuracy_floor=0.99)).name == "SNN, IF, T=32"
    assert say.best_snn(replace(decision, accuracy_floor=None)).name == "SNN, IF, T=4"
    assert say.best_snn(DECISIONS["stream"]) is None


def test_the_headline_is_the_first_sentence_or_clause() -> None:
    assert say.headline("Spike. It needs less.") == ("Spike.", "It needs less.")
    assert say.headline("Spike: 0.5 J") == ("Spike: 0.5\N{NO-BREAK SPACE}J", "")
    long = f"Do not spike: {'x' * 60}; {'y' * 90}. More."
    assert say.headline(long) == (f"Do not spike: {'x' * 60}.", f"Y{'y' * 89}. More.")
    assert say.headline("At 96.9 % it needs 3 nJ.")[0].split(" ") == [
        *("At", "96.9\N{NO-BREAK SPACE}%", "it", "needs", "3\N{NO-BREAK SPACE}nJ.")
    ]
    assert say.headline("z" * 300) == ("z" * 300, "")


def test_break_even_of_zero_and_infinity() -> None:
    texts = [say.break_even(value) for value in (0.0, math.inf, math.nan, None, 0.4)]
    assert texts == ["never", "any rate", "–", "–", "0.4"]


def test_without_labels_agreement_takes_the_place_of_accuracy(tmp_path: Path) -> None:
    image = DECISIONS["image"]
    decision = replace(
        image,
        implementations=tuple(
            replace(item, accuracy=None, agreement=0.9 + 0.01 * i)
            for i, item in enumerate(image.implementations)
        ),
        agreement_floor=0.965,
    )
    assert say.best_snn(decision).name == "SNN, IF, T=32"
    figure = pareto_figure(decision)
    assert figure["layout"]["yaxis"]["title"]["text"] == "agreement (%)"
    assert figure["layout"]["shapes"][0]["y0"] == pytest.approx(96.5)
    assert "agreement 98.0 % with the float network" in page(decision, tmp_path)


def test_lines_that_differ_in_one_number_become_one() -> None:
    lines = [f"mac of {bits} bit is outside of (8, 16)" for bits in (7, 3, 5)]
    lines += ["a 1 b 2", "a 3 b 4", "only once", "only once"]
    assert say.merged(lines) == {
        "mac of 3, 5 and 7 bit is outside of (8, 16)": lines[:3],
        "a 1 b 2": ["a 1 b 2"],
        "a 3 b 4": ["a 3 b 4"],
        "only once": ["only once"],
    }
    assert list(say.merged(f"{n + 0.25} adds" for n in range(1, 20))) == ["1.25 to 19.25 adds"]
    # Digits inside of a name are no number: horowitz_2014_45nm stays.
    assert len(say.merged(["x_2014_45nm: a", "x_2015_45nm: a"])) == 2


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.from_regex(r"[ab] \d{1,2} [cd] \d{1,2}(\.\d)?", fullmatch=True)))
def test_merging_loses_no_line(lines: list[str]) -> None:
    found = say.merged(lines)
    assert sorted(line for group in found.values() for line in group) == sorted(set(lines))


def test_points_far_below_the_floor_do_not_squeeze_the_pareto_figure() -> None:
    image = DECISIONS["image"]
    assert image.accuracy_floor == 0.9
    figure = pareto_figure(image)
    low, high = figure["layout"]["yaxis"]["range"]
    assert low > 73.4
    assert high > 91.2
    far = next(trace for trace in figure["data"] if trace["name"].startswith("far below"))
    assert far["text"] == ["73 %"]
    assert low < far["y"][0] < 86.1
    free = pareto_figure(replace(image, accuracy_floor=None))
    assert free["layout"]["yaxis"]["range"][0] < 73.4


def test_an_unknown_accuracy_is_not_called_below_the_floor(tmp_path: Path) -> None:
    image = DECISIONS["image"]
    items = tuple(
        replace(item, accuracy=None) if item.mode == "ann" else item
        for item in image.implementations
    )
    shown = [say.below_floor(item, image) for item in items]
    assert shown == [False, False, False, False, True, True, True, False, False]


def test_a_path_in_the_title_is_cut_to_the_file() -> None:
    image = DECISIONS["image"]
    path = replace(image, data={"origin": "/home/x/data/test.npz"})
    assert say.part_title(path) == "FashionCNN on test.npz"
    assert say.part_title(replace(image, data={"origin": "x" * 80})) == "FashionCNN"


@pytest.mark.parametrize("name", ["image", "stream", "empty", "deep"])
def test_a_report_gives_its_decisions_back(tmp_path: Path, name: str) -> None:
    decision = DECISIONS[name]
    (back,) = read_report(report(decision, tmp_path / "r.html"))
    assert back.as_dict() == decision.as_dict()
    assert back.verdict == decision.verdict


def test_hostile_decisions_come_back_too(tmp_path: Path) -> None:
    first, second = read_report(
        report([DECISIONS["hostile"], DECISIONS["image"]], tmp_path / "r.html")
    )
    assert first.winner == DECISIONS["hostile"].winner
    assert math.isnan(first.implementations[1].energy_J)
    assert second == replace(DECISIONS["image"])


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    with pytest.raises(TospikeError, match="FileNotFoundError"):
        read_report(path)
    path.write_text("<p>")
    with pytest.raises(TospikeError, match="without the element"):
        read_report(path)
    report(DECISIONS["image"], path)
    path.write_text(path.read_text().replace('"schema_version":"1.3"', '"schema_version":"9"'))
    with pytest.raises(TospikeError, match="schema version '9'"):
        read_report(path)


# --- the page ----------------------------------------------------------------------------------


def embedded(text: str) -> object:
    return json.loads(re.search(r'id="tospike-decision">(.*?)</script>', text, re.DOTALL).group(1))


def test_the_decision_is_embedded_as_its_json(tmp_path: Path) -> None:
    image, stream = DECISIONS["image"], DECISIONS["stream"]
    assert embedded(page(image, tmp_path)) == json.loads(json.dumps(image.as_dict()))
    assert embedded(page([image, stream], tmp_path)) == json.loads(
        json.dumps([image.as_dict(), stream.as_dict()])
    )


def test_parts_titles_and_extra_sections(tmp_path: Path) -> None:
    image = DECISIONS["image"]
    text = page(
        {"First <part>": image, "Second": Section("unused", "One.\n\nTwo.")},
        tmp_path,
        title="All & everything",
        extra_sections=[Section("Inside", "of the first", belongs_to=0), Section("Last", "words")],
    )
    assert "<title>All &amp; everything</title>" in text
    headings = re.findall(r"<h[23][^>]*>(.*?)</h[23]>", text)
    assert headings[0] == "First &lt;part&gt;"
    assert headings.index("Inside") < headings.index("Second") < headings.index("Last")
    assert "<p>One.</p><p>Two.</p>" in text
    assert ">unused<" not in text
    assert page(image, tmp_path).count("Parts of this report") == 0


def test_one_implementation_is_reported(tmp_path: Path) -> None:
    image = DECISIONS["image"]
    alone = replace(
        image,
        implementations=image.implementations[:1],
        winner=image.implementations[0].name,
        p_snn_wins=None,
        p_snn_wins_by_model={},
        sensitivities=(),
        challenger="",
    )
    assert pareto_figure(alone) is None
    text = page(alone, tmp_path)
    assert "Only one accuracy is known" in text
    assert "Winner and reference" in text
    assert "What could reverse the verdict" not in text


def test_where_no_layer_can_spike_there_is_no_layer_map(tmp_path: Path) -> None:
    assert "Layer map" in page(DECISIONS["image"], tmp_path)
    text = page(DECISIONS["stream"], tmp_path)
    assert "Layer map" not in text
    assert "Layers that can spike</div>" in text


def test_temporal_sparsity_is_drawn_once(tmp_path: Path) -> None:
    figure = temporal_figure(fixtures.small_activity(fixtures.small_network(2)))
    section = Section("Γ", figures=(figure,), belongs_to=0)
    alone = page(DECISIONS["stream"], tmp_path)
    both = page(DECISIONS["stream"], tmp_path, extra_sections=[section])
    assert alone.count("Temporal sparsity Γ: share") == 1
    assert both.count("<figcaption>Temporal sparsity Γ: share") == 1
    # The section stands before the implementations, near the verdict.
    assert both.index(">Γ</h3>") < both.index("Energy and accuracy of every implementation")


def test_time_is_utc(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert "2025-12-31 23:30:00 UTC" in page(DECISIONS["empty"], tmp_path, now=moment)
    assert f"{datetime.now(UTC):%Y-%m-%d}" in page(DECISIONS["empty"], tmp_path)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    text = page(DECISIONS["stream"], tmp_path)
    assert "No accuracy is known" in text
    assert "No layer can receive spikes: its input is a recurrent state (tanh), not a rate" in text
    assert "not computed" in text
    text = page(DECISIONS["empty"], tmp_path)
    assert "No implementation was priced" in text
    assert "The network has no layer with synapses" in text


def test_figures_of_plotly_are_taken_over(tmp_path: Path) -> None:
    from plotly.graph_objects import Figure, Heatmap

    figure = Figure(Heatmap(z=np.eye(3)), layout={"title": {"text": "A <map>"}})
    text = page(Section("s", figures=(figure,)), tmp_path)
    assert "<figcaption>A &lt;map&gt;</figcaption>" in text
    assert '"heatmap"' in text
    assert '"template"' not in text


@pytest.mark.parametrize(
    ("figure", "reason"),
    [
        ({"data": [{"type": "scattergl"}]}, "trace 0 is of type 'scattergl'"),
        ({"data": []}, "the figure has no traces"),
        ({"data": [3]}, "every trace in 'data' must be a dict"),
        ({"layout": {}}, "the figure has no traces"),
        (
            {"data": [{"y": [1]}], "layout": {"images": [{"source": "https://x.test/a.png"}]}},
            "image 0 would be fetched from 'https://x.test/a.png'",
        ),
        (
            {"data": [{"type": "image", "source": "//x.test/a.png"}]},
            "trace 0 would be fetched from '//x.test/a.png'",
        ),
        ("a string", "received: str"),
    ],
)
def test_figures_that_cannot_be_drawn_offline(tmp_path: Path, figure: object, reason: str) -> None:
    with pytest.raises(OptionError) as caught:
        page(Section("s", figures=(figure,)), tmp_path)
    assert reason in str(caught.value)
    assert "section 's', figure 0" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_tables_of_sections_take_numpy_and_gaps(tmp_path: Path) -> None:
    rows = [{"a": np.int64(3), "b": np.float64(0.25)}, {"a": None, "c": "<x>"}]
    text = page(Section("s", table=rows), tmp_path)
    assert '<td class="num" data-sort="0.25">0.25</td>' in text
    assert "&lt;x&gt;" in text


# --- errors and the file -----------------------------------------------------------------------


def test_path_errors_name_every_reason(tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        report(DECISIONS["image"], tmp_path / "none" / "report.pdf")
    text = str(caught.value)
    assert "the name ends in '.pdf'" in text
    assert "there is no directory" in text
    with pytest.raises(OptionError, match="it is a directory"):
        report(DECISIONS["image"], tmp_path)


@pytest.mark.parametrize("wrong", [[], {}, 3, "text", [3, None], None])
def test_what_is_no_decision_is_refused(tmp_path: Path, wrong: object) -> None:
    with pytest.raises(OptionError, match="cannot write a report"):
        report(wrong, tmp_path / "r.html")


@pytest.mark.parametrize("index", [-1, 1])
def test_sections_of_no_decision_are_refused(tmp_path: Path, index: int) -> None:
    with pytest.raises(OptionError, match=f"belongs to decision {index}, of 1"):
        page(DECISIONS["image"], tmp_path, extra_sections=[Section("s", belongs_to=index)])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "r.html"
    target.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(TospikeError, match="No space left on device"):
        report(DECISIONS["image"], target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_file_gets_the_usual_rights(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        target = report(DECISIONS["empty"], str(tmp_path / "r.HTM"))
    finally:
        os.umask(old)
    assert target.stat().st_mode & 0o777 == 0o644
