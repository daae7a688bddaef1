"""A simulated run in words, tables, JSON and figures."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

import toy_machine
from tospike.errors import OptionError
from tospike.machines import MACHINES, MachineRun, RunEnergy, Workload, price_run, simulate
from tospike.machines.workload import workload
from tospike.reporting.narrow import narrowed
from tospike.reporting.simulation import simulation_dict, simulation_tables
from tospike.reporting.timeline import spans, timeline_svg, write_timeline
from tospike.tables import Column, Table

Run = tuple[MachineRun, RunEnergy, Workload]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setitem(MACHINES, "toy", "toy_machine")
    work = workload("vgg8", zeros=0.5, batch=2)
    found = simulate(work, toy_machine.written(tmp_path))
    return found, price_run(found), work


def test_the_timeline_has_no_gap_and_no_overlap(run: Run) -> None:
    found, _, _ = run
    every = spans(found)
    at = 0.0
    for span in every:
        assert span.start == pytest.approx(at)
        at = span.start + span.length
    assert at == pytest.approx(found.latency)
    for layer in found.layers:
        mine = {span.what: span.length for span in every if span.layer == layer.name}
        assert mine["compute"] == pytest.approx(layer.busy / 100e6)
        assert mine["dram_load"] == pytest.approx(layer.stalls["dram_load"] / 100e6)


def test_the_drawing_is_valid_and_to_scale(run: Run) -> None:
    found, energy, work = run
    root = ElementTree.fromstring(timeline_svg(found, energy, work))
    drawn = root.iter("{http://www.w3.org/2000/svg}rect")
    hinted = [node for node in drawn if node.find("{http://www.w3.org/2000/svg}title") is not None]
    bars = [node for node in hinted if node.get("fill") == "#0072B2"]  # the colour of computing
    widths = [float(bar.get("width", "0")) for bar in bars]
    busy = [layer.busy for layer in found.layers]
    assert len(bars) == len(busy)
    largest = busy.index(max(busy))
    for width, cycles in zip(widths, busy, strict=True):
        expected = widths[largest] * cycles / busy[largest]
        assert width == pytest.approx(max(expected, 0.3), abs=0.02)


def test_names_of_layers_are_text_and_not_markup(run: Run, tmp_path: Path) -> None:
    from dataclasses import replace

    found, energy, work = run
    hostile = "<script>alert(1)</script>"
    layers = (replace(found.layers[0], name=hostile), *found.layers[1:])
    text = timeline_svg(replace(found, layers=layers), energy, work)
    assert "<script>" not in text
    path = write_timeline(replace(found, layers=layers), energy, work, tmp_path / "a.html")
    assert hostile not in path.read_text(encoding="utf-8")


def test_a_figure_is_whole_or_not_there(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.svg"
    path.write_text("before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write_timeline(*run, path)
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir() if "svg" in one.name] == ["a.svg"]
    with pytest.raises(OptionError, match="no directory"):
        write_timeline(*run, tmp_path / "none" / "a.svg")


def test_json_has_no_nan_and_adds_up(run: Run) -> None:
    body = simulation_dict(*run)
    text = json.dumps(body, allow_nan=False)
    assert json.loads(text) == body
    total = body["total"]
    assert total["energy_per_inference_J"] == total["energy_J"] / 2
    assert total["latency_per_inference_s"] == total["latency_s"] / 2
    assert sum(total["energy_parts_J"].values()) == pytest.approx(total["energy_J"])


def test_tables_agree_with_json(run: Run) -> None:
    body = simulation_dict(*run)
    layers, traffic, time, total = simulation_tables(*run)
    assert [row["cycles"] for row in layers.rows[:-1]] == [x["cycles"] for x in body["layers"]]
    assert layers.rows[-1]["cycles"] == body["total"]["cycles"]
    scale = {"MB": 1e6, "kB": 1e3, "B": 1.0}
    units = {column.key: scale.get(column.unit, 0.0) for column in traffic.columns}
    for level in ("buffer", "DRAM"):
        said = float(traffic.rows[-1][level] or 0) * units[level]
        assert said == pytest.approx(body["total"]["bytes"][level])
    assert sum(row["share"] for row in time.rows) == pytest.approx(100)  # type: ignore[misc]
    assert "Modelled by cycle, not measured on silicon." in total.assumptions


def test_narrow_tables_keep_every_cell() -> None:
    columns = tuple(Column(f"c{n}", f"column {n}", "J") for n in range(7))
    rows = tuple({column.key: 1.5 * n for column in columns} for n in range(3))
    table = Table("t", "a title", columns, rows, assumptions=("of all",))
    assert narrowed([table], 1000) == [table]
    parts = narrowed([table], 45)
    assert len(parts) > 1
    assert all(part.columns[0] == columns[0] for part in parts)
    assert [c for part in parts for c in part.columns[1:]] == list(columns[1:])
    assert [part.assumptions for part in parts] == [()] * (len(parts) - 1) + [("of all",)]
    for part in parts:
        for row, whole in zip(part.rows, rows, strict=True):
            assert row == {column.key: whole[column.key] for column in part.columns}
