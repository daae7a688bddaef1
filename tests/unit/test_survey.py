"""The published accelerators: printed numbers, units, definitions, tables, figures, placement."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tospike.errors import UnknownNameError
from tospike.sources import SOURCES
from tospike.survey import DEFINITIONS, Accelerator, accelerators, energy_per_inference, entries
from tospike.survey.fields import View
from tospike.survey.figures import (
    cycles_error_figure,
    energy_error_figure,
    throughput_power_figure,
)
from tospike.survey.laws import agreements
from tospike.survey.mine import parse_mine, read_decision
from tospike.survey.normalise import mostly_static, normalise_to
from tospike.survey.place import place
from tospike.survey.quantity import QUANTITIES, UNITS, parse
from tospike.survey.query import Query, ask
from tospike.survey.tables import left_out_table, survey_table
from tospike.tables import FORMATS
from tospike.units import parse_quantity

CHIPS = accelerators()


def chip(label: str) -> Accelerator:
    (found,) = [item for item in CHIPS if item.label == label]
    return found


def energy(label: str, definition: str) -> float:
    value = energy_per_inference(chip(label), definition).value
    assert value is not None
    return value


# ---------------------------------------------------------------- printed numbers

#: Ottati 2023, Table II: process [nm], clock [MHz], accuracy [%], FPS, mW, mJ
TABLE_2 = {
    "Keller23 VSQ (DeiT-Base)": (5, 1760, 80.5, 56, 56, 1.0),
    "Park22 (Samsung NPU)": (4, 1196, 71.7, 3433, 5114, 1.5),
    "Mo21 (QNAP)": (28, 470, 76.9, 120, 132, 1.1),
    "SNPU23": (28, 200, 66.8, 245, 478, 2.0),
    "C-DNN23": (28, 200, 77.1, 123, 34, 0.3),
}
#: Ottati 2023, Table III: process [nm], accuracy [%], uW, nJ, ms
TABLE_3 = {
    "Yang19 VAD": (180, 85, 1, 10, None),
    "Oh19 VAD": (180, 90, 0.142, 2.3, 512.0),
    "ReckOn (Frenkel22)": (28, 90.7, 79, 42, 5.7),
    "Kim22 KWS": (65, 86, 23, 285.2, 12.4),
    "Vocell (Giraldo)": (65, 90.9, 10.6, 169.6, 16.0),
    "Shan23 AAD-KWS": (28, 97.8, 0.8, 23.6, 29.5),
}


@pytest.mark.parametrize("label", TABLE_2)
def test_table_2_of_ottati(label):
    process, clock, accuracy, rate, power, printed = TABLE_2[label]
    held = chip(label)
    assert held.process_nm == process
    assert held.clock_hz == pytest.approx(clock * 1e6)
    assert held.accuracy == pytest.approx(accuracy / 100)
    assert held.throughput_per_s == pytest.approx(rate)
    assert held.power_w == pytest.approx(power * 1e-3)
    assert energy(label, "printed") == pytest.approx(printed * 1e-3)
    # The column is power / throughput rounded to 0.1 mJ.
    assert round(energy(label, "power_over_throughput") * 1e3, 1) == printed


@pytest.mark.parametrize("label", TABLE_3)
def test_table_3_of_ottati(label):
    process, accuracy, power, printed, latency = TABLE_3[label]
    held = chip(label)
    assert held.process_nm == process
    assert held.accuracy == pytest.approx(accuracy / 100)
    assert held.power_w == pytest.approx(power * 1e-6)
    assert held.latency_s == (None if latency is None else pytest.approx(latency * 1e-3))
    assert energy(label, "printed") == pytest.approx(printed * 1e-9)


def test_table_3_mixes_definitions():
    """Power x latency gives the printed energy of three chips, and not of two others."""
    for label in ("Kim22 KWS", "Vocell (Giraldo)", "Shan23 AAD-KWS"):
        assert energy(label, "power_times_latency") == pytest.approx(energy(label, "printed"))
    # 142 nW x 512 ms = 72.704 nJ; 79 uW x 5.7 ms = 450.3 nJ
    assert energy("Oh19 VAD", "power_times_latency") == pytest.approx(72.704e-9)
    assert energy("ReckOn (Frenkel22)", "power_times_latency") == pytest.approx(450.3e-9)
    assert "energy" in chip("Oh19 VAD").conflict
    assert "energy" in chip("ReckOn (Frenkel22)").conflict


def test_frame_period():
    """23 uW x 16 ms = 368 nJ (Kim 2022, abstract); not with a period that is energy / power."""
    assert energy("Kim22 KWS", "frame_period") == pytest.approx(368e-9)
    for label in ("Yang19 VAD", "Oh19 VAD"):
        held = energy_per_inference(chip(label), "frame_period")
        assert held.value is None
        assert "follows from the energy" in held.reason


def test_operating_points_are_apart():
    """Eyeriss, JSSC 2017: 278 mW x 115.3 ms / 4 and 236 mW x 4309.5 ms / 3."""
    assert energy("Eyeriss v1 (AlexNet conv)", "power_times_latency") == pytest.approx(
        278e-3 * 115.3e-3 / 4
    )
    assert energy("Eyeriss v1 (VGG-16 conv)", "power_times_latency") == pytest.approx(
        236e-3 * 4309.5e-3 / 3
    )
    assert energy("SNE (Kraken) (1.2 % activity)", "printed") == pytest.approx(80e-6)
    assert energy("SNE (Kraken) (4.9 % activity)", "printed") == pytest.approx(261e-6)
    assert chip("Minitaur (20 newsgroups)").accuracy == pytest.approx(0.71)


def test_derived_energies_are_not_printed_ones():
    held = energy_per_inference(chip("Eyeriss v1 (AlexNet conv)"), "printed")
    assert held.value is None
    assert held.reason == (
        "the energy is not printed; the survey table derived it by power x latency"
    )
    # 1 / 1734 inf/J is the same number in another form
    assert energy("Keller23 VSQ (BERT-Base at 0.67 V)", "printed") == pytest.approx(1 / 1734)


@pytest.mark.parametrize(
    ("label", "definition", "reason"),
    [
        ("Brainwave NPU", "power_times_latency", "the printed power is qualified as peak"),
        ("Loihi 2 KWS", "power_times_latency", "the printed latency is that of one timestep"),
        ("ANP-I", "printed", "the printed energy is qualified as learning"),
        ("ODIN", "power_over_throughput", "the power is printed as a range over operating points"),
        ("0.5 V neuromorphic core", "power_times_latency", "qualified as leakage"),
        ("Speck", "power_times_latency", "the printed latency is that of one event"),
        ("MorphIC", "printed", "no energy is printed"),
    ],
)
def test_why_there_is_no_energy(label, definition, reason):
    held = energy_per_inference(chip(label), definition)
    assert held.value is None
    assert reason in held.reason


def test_counts():
    """85 chips; seven more entries are further operating points and one GPU."""
    assert len(CHIPS) == 92
    assert len({item.name for item in CHIPS}) == 85
    assert [item.name for item in CHIPS if item.evidence == "unverified"] == ["muBrain"]


def test_the_documentation_counts_the_same():
    """The counts in docs/survey.md are those of the data."""
    text = (Path(__file__).parents[2] / "docs" / "survey.md").read_text()
    assert "92 entries of 85 chips" in " ".join(text.split())
    for definition in DEFINITIONS:
        held = [item for item in CHIPS if energy_per_inference(item, definition).value is not None]
        known = [item for item in held if item.error is not None]
        row = next(line for line in text.splitlines() if line.startswith(f"| `{definition}` |"))
        assert row.endswith(f"| {len(held)} | {len(known)} |")
    movable = [item for item in CHIPS if normalise_to(item, 28.0).factor is not None]
    assert f"{len(movable)} entries can be moved to 28 nm" in " ".join(text.split())


def test_entries_by_label():
    found = entries("SNPU23", "Minitaur (MNIST)")
    assert [item.label for item in found] == ["SNPU23", "Minitaur (MNIST)"]
    with pytest.raises(UnknownNameError, match="did you mean 'SNPU23'"):
        entries("SNPU22")


def test_initiation_interval_of_figure_1b():
    """Clock over throughput: 1760 MHz / 56 FPS and 200 MHz / 245 FPS."""
    assert chip("Keller23 VSQ (DeiT-Base)").initiation_interval == pytest.approx(31_428_571.43)
    assert chip("SNPU23").initiation_interval == pytest.approx(816_326.53)


# ---------------------------------------------------------------- the data as a whole

NUMBER = re.compile(r"\d+(?:\.\d+)?")


@pytest.mark.parametrize("item", CHIPS, ids=lambda item: item.label)
def test_every_printed_number_is_held(item):
    """Every number in the kept wording stands in a quantity, a further number or a note."""
    siblings = [other for other in CHIPS if other.name == item.name or other.venue == item.venue]
    held = " ".join(
        [quantity.text for other in siblings for quantity in other.quantities.values()]
        + [f"{also.text} {also.what}" for other in siblings for also in other.also]
        + [
            f"{x.name} {x.point} {x.network} {x.dataset} {x.task} {x.batch} {x.notes}"
            for x in siblings
        ]
        + [quantity.note for other in siblings for quantity in other.quantities.values()]
    )
    known = {float(text) for text in NUMBER.findall(held)}
    for column, wording in item.printed.items():
        for text in NUMBER.findall(wording.replace("Liu & Delbruck 2019", "")):
            assert float(text) in known, f"{column}: {wording}"


def test_every_entry_says_where_it_is_from():
    for item in CHIPS:
        assert item.source
        assert set(item.cites) <= set(SOURCES)
        assert item.confidence in ("high", "medium", "low")


def test_numbers_that_could_be_had_twice_agree_or_are_explained():
    checked = [(item.label, key) for item in CHIPS for key, *_ in agreements(item)]
    assert len(checked) >= 25
    apart = {
        (item.label, key)
        for item in CHIPS
        for key, _, computed, printed in agreements(item)
        if abs(computed / printed - 1) > 0.15
    }
    assert apart == {
        ("Oh19 VAD", "energy"),
        ("ReckOn (Frenkel22)", "energy"),
        ("DeltaRNN (DRNN)", "op_efficiency"),
    }


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("56 FPS", "inference_rate", 56),
        ("22.6 kFPS", "inference_rate", 22_600),
        ("12.1 TOPS/W", "operations_per_joule", 12.1e12),
        ("164 GOp/s/W", "operations_per_joule", 164e9),
        ("3.08 Gop/s/mW", "operations_per_joule", 3.08e12),
        ("83.1 GMACS/W", "operations_per_joule", 166.2e9),
        ("23.1 GMACS", "operation_rate", 46.2e9),
        ("275 TFLOPS", "operation_rate", 275e12),
        ("58 GSOPS", "synaptic_rate", 58e9),
        ("19 MSOP/s", "synaptic_rate", 19e6),
        ("400 GSOPS/W", "synaptic_per_joule", 400e9),
        ("2560.3 inf/J", "inferences_per_joule", 2560.3),
        ("80.5 %", "fraction", 0.805),
        ("12.25 mm^2", "area", 12.25e-6),
        ("18.3uJ", "energy", 18.3e-6),
        ("86.6 M", "count", 86.6e6),
        ("0.18 um", "node", 180),
    ],
)
def test_units_of_the_trade(text, dimension, value):
    assert parse(text, dimension) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("dimension", ["energy", "power", "time", "frequency", "voltage", "length"])
def test_physical_units_against_pint(dimension):
    for unit in UNITS[dimension]:
        if unit != "KHz":  # printed now and then; no unit of the SI
            text = f"7.25 {unit}"
            assert parse(text, dimension) == pytest.approx(parse_quantity(text, dimension)), text


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("view", [View(), View("printed"), View("printed", 28.0)])
def test_every_table_exports(format, view):
    answer = ask(Query(view), CHIPS)
    assert FORMATS[format](survey_table(answer))


def test_evidence_stands_in_every_row():
    answer = ask(Query(View(), columns=("power",)), CHIPS)
    table = survey_table(answer)
    assert [column.key for column in table.columns] == ["label", "power", "qualifiers", "evidence"]
    assert all(row["evidence"] for row in table.rows)
    marks = {row["label"]: row["evidence"] for row in survey_table(ask(Query(), CHIPS)).rows}
    assert marks["muBrain"] == "unverified"
    assert marks["SNE (Kraken) (1.2 % activity)"] == "unverified: process"


def test_a_definition_says_what_it_leaves_out():
    answer = ask(Query(View("power_over_throughput")), CHIPS)
    assert len(answer.published) == 9
    note = next(line for line in survey_table(answer).notes if "left out" in line)
    assert note.startswith("83 of 92 entries are left out: ")
    counted = [int(part) for part in re.findall(r"(\d+) because", note)]
    assert sum(counted) == 83
    left_out = left_out_table(answer)
    assert left_out is not None
    assert len(left_out.rows) == 83


def test_bounds_are_marked():
    answer = ask(Query(View(), columns=("label", "power")), CHIPS)
    marks = {row["label"]: row["qualifiers"] for row in survey_table(answer).rows}
    assert marks["Loihi"] == "power: upper bound"
    assert marks["ODIN"] == "power: 30 uW to 1 mW"
    assert marks["SNPU23"] is None


def test_normalised_tables_state_the_rule_and_the_static_chips():
    answer = ask(Query(View("printed", 28.0)), CHIPS)
    table = survey_table(answer)
    assert "stillmaker_2017" in table.sources
    assert any("Stillmaker & Baas 2017" in line for line in table.assumptions)
    static = next(line for line in table.notes if "static" in line)
    assert "Shan23 AAD-KWS" in static
    assert "SNPU23" not in static
    factors = {row["label"]: row["scale_factor"] for row in table.rows}
    assert factors["SNPU23"] == 1.0
    assert mostly_static(chip("Kim22 KWS"))
    assert not mostly_static(chip("SNPU23"))


def test_pareto_front_of_figure_1a():
    """Energy against error on ImageNet: C-DNN and Keller are not dominated, SNPU is by all ANNs."""
    names = "|".join(("Keller23 VSQ", "Park22", "Mo21", "SNPU23", "C-DNN23"))
    from tospike.survey.select import conditions

    view = View("power_over_throughput")
    asked = conditions(f"name ~ {names}", view)
    answer = ask(Query(view, asked, front="energy,error"), CHIPS)
    front = {item.name for item, on in zip(answer.chips, answer.on_front or (), strict=True) if on}
    assert len(answer.chips) == 5
    assert front == {"C-DNN23", "Keller23 VSQ"}
    snpu = chip("SNPU23")
    placed = place(snpu, [item for item in answer.chips if item.name != "SNPU23"], view)
    assert len(placed.beaten_by) == 4


# ---------------------------------------------------------------- figures


def test_energy_error_figure():
    figure = energy_error_figure(CHIPS, definition="printed")
    (panel,) = figure.panels
    points = {
        text: (x, y, series.evidence)
        for series in panel.series
        for text, x, y in zip(series.texts, series.x, series.y, strict=True)
    }
    assert points["SNPU23"] == (pytest.approx(33.2), pytest.approx(2000), "quoted")
    assert points["Shan23 AAD-KWS"] == (pytest.approx(2.2), pytest.approx(0.0236), "quoted")
    assert len(points) == sum(
        item.error is not None and energy_per_inference(item, "printed").value is not None
        for item in CHIPS
    )
    assert "do not print what the figure needs" in figure.caption
    assert "Errors on different data sets cannot be compared." in figure.caption


def test_unverified_points_look_different():
    doubted = replace(chip("Oh19 VAD"), evidence="unverified")
    figure = energy_error_figure([chip("Kim22 KWS"), doubted], definition="printed")
    evidence = {
        text: series.evidence for series in figure.panels[0].series for text in series.texts
    }
    assert evidence == {"Kim22 KWS": "quoted", "Oh19 VAD": "recalled"}


def test_cycles_figure_of_table_2():
    figure = cycles_error_figure([chip(label) for label in TABLE_2])
    values = {
        text: y
        for series in figure.panels[0].series
        for text, y in zip(series.texts, series.y, strict=True)
    }
    assert set(values) == set(TABLE_2)
    for label, (_, clock, _, rate, *_) in TABLE_2.items():
        assert values[label] == pytest.approx(clock * 1e6 / rate)


def test_throughput_power_figure():
    """EdgeDRNN at 2.42 W and 20.2 GOp/s; Chipmunk 1.2 mW x 3.08 Gop/s/mW = 3.696 GOp/s."""
    figure = throughput_power_figure(CHIPS, kind="rnn")
    points = {
        text: (x, y)
        for series in figure.panels[0].series
        if series.kind == "points"
        for text, x, y in zip(series.texts, series.x, series.y, strict=True)
    }
    assert points["EdgeDRNN‡"] == (pytest.approx(2.42), pytest.approx(20.2))
    assert points["Chipmunk*"] == (pytest.approx(1.2e-3), pytest.approx(3.696))
    # 9.4 TOp/s / 1.1 TOp/s/W = 8.545 W
    assert points["Spartus*"] == (pytest.approx(8.545454545), pytest.approx(9400))
    assert points["Brainwave NPU†"] == (pytest.approx(125), pytest.approx(35_900))
    lines = [series for series in figure.panels[0].series if series.kind == "line"]
    assert lines
    for line in lines:
        amount, unit = line.name.split(" ")
        per_watt = float(amount) * {"GOp/s/W": 1, "TOp/s/W": 1000}[unit]
        for x, y in zip(line.x, line.y, strict=True):
            assert y / x == pytest.approx(per_watt)


# ---------------------------------------------------------------- a network of one's own


def test_mine():
    own = parse_mine("name=FashionCNN,energy=18.3uJ,error=6 %,throughput=100 FPS,dataset=MNIST")
    assert own.evidence == "modelled"
    assert own.accuracy == pytest.approx(0.94)
    assert energy_per_inference(own, "printed").value == pytest.approx(18.3e-6)
    assert own.throughput_per_s == pytest.approx(100)


def test_place_ranks_and_compares_only_the_same_data():
    view = View("printed")
    placed = place(parse_mine("name=Own,energy=30 nJ,error=4 %,dataset=gscd"), CHIPS, view)
    cheaper = [
        item.label for item in CHIPS if (energy_per_inference(item, "printed").value or 1) < 30e-9
    ]
    assert placed.rank == len(cheaper) + 1 == 4
    assert placed.beaten_by == ("Shan23 AAD-KWS",)
    assert set(placed.beats) == {
        "Kim22 KWS",
        "Vocell (Giraldo)",
        "DeltaKWS (11 classes)",
        "DeltaKWS (12 classes)",
    }
    foreign = place(parse_mine("name=Own,energy=30 nJ,error=4 %,dataset=My data"), CHIPS, view)
    assert foreign.compared == 0
    assert not foreign.beats
    assert not foreign.beaten_by
    assert "the data set is My data" in foreign.warnings[0]
    twin = place(parse_mine("name=Own,energy=23.6 nJ,error=2.2 %,dataset=GSCD"), CHIPS, view)
    assert not twin.beaten_by, "an equal chip does not beat it"
    assert "Shan23 AAD-KWS" not in twin.beats
    unnamed = place(parse_mine("name=Own,energy=30 nJ"), CHIPS, view)
    assert "no data set is stated" in unnamed.warnings[0]
    assert "no error is stated" in unnamed.warnings[1]


DECISION = {
    "schema_version": "1.0",
    "network": {"name": "FashionCNN"},
    "data": {"origin": "fashion.npz"},
    "technology": {"node_nm": 45.0},
    "implementations": [
        {"name": "ANN", "mode": "ann", "energy_J": 1.83e-5, "accuracy": 0.94},
        {"name": "SNN, T=8", "mode": "snn", "energy_J": 4.1e-5, "accuracy": None},
        {"name": "hybrid", "mode": "hybrid", "energy_J": 2e-5, "accuracy": 0.0},
    ],
}


def test_decision(tmp_path: Path):
    path = tmp_path / "decision.json"
    path.write_text(json.dumps(DECISION))
    own = read_decision(path)
    assert [item.label for item in own] == [
        "FashionCNN: ANN", "FashionCNN: SNN, T=8", "FashionCNN: hybrid"
    ]  # fmt: skip
    assert [item.kind for item in own] == ["ann", "snn", "mixed"]
    assert own[0].error == pytest.approx(0.06)
    assert own[1].error is None
    assert {item.dataset for item in own} == {"fashion.npz"}
    assert read_decision(path, "MNIST")[0].dataset == "MNIST"
    # 45 nm is scaled with the chips
    moved = ask(Query(View("printed", 45.0)), CHIPS, own)
    assert {row["scale_factor"] for row in survey_table(moved).rows[:3]} == {1.0}
    figure = energy_error_figure(CHIPS, definition="printed", mine=own)
    assert any(series.evidence == "computed" for series in figure.panels[0].series)


def test_every_quantity_can_be_given_for_mine():
    """Each kind of quantity has a unit that --mine reads."""
    for key, kind in QUANTITIES.items():
        unit = next(iter(UNITS[kind.dimension]))
        value = (kind.low * 10) / UNITS[kind.dimension][unit]
        own = parse_mine(f"name=Own,{key}={value!r} {unit}")
        assert own.value(key) == pytest.approx(kind.low * 10)
