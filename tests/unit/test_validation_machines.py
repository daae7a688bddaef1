"""The sentences of docs/results/machines.md follow from its numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

VALIDATION = Path(__file__).resolve().parents[2] / "validation"


@pytest.fixture(scope="module")
def page() -> Iterator[ModuleType]:
    """validation/machines.py, imported like the script imports its neighbours."""
    sys.path.insert(0, str(VALIDATION))
    try:
        import machines

        yield machines
    finally:
        sys.path.remove(str(VALIDATION))


def rows(page: ModuleType, snn: float, ann: float) -> list[object]:
    """Three dense machines with and without zeros, and one spiking machine."""

    def row(machine: str, what: str, joule: float, seconds: float, dram: float) -> object:
        return page.Row(
            network="net", machine=machine, what=what, seconds=seconds, ops=1.0, joule=joule,
            dram=dram, common=2 * joule, operations=1.0, macs=2.0, evidence="measured",
            remark="7 cores are used, with all weights resident; more" if dram == 0 else "",
        )  # fmt: skip

    found = []
    for machine in ("eyeriss_v1", "nullhop", "eyeriss_v2"):
        found.append(row(machine, "dense: no zeros", 8e-6, 4e-3, 1000.0))
        found.append(row(machine, "ANN, one image", ann, 2e-3, 750.0))
    return [*found, row("event_core", "SNN, T = 8", snn, 1e-3, 0.0)]


@pytest.mark.parametrize(
    ("snn", "ann", "winner", "times", "share"),
    [(2e-6, 4e-6, "SNN", "2.00", "0.50 of the energy"),
     (6e-6, 4e-6, "ANN", "1.50", "1.50 times the energy")],
)  # fmt: skip
def test_the_comparison_in_words(
    page: ModuleType, snn: float, ann: float, winner: str, times: str, share: str
) -> None:
    text = "\n".join(page.in_words(rows(page, snn, ann)))
    assert "nullhop: the network's own zeros make it 2.00 times faster and 2.00 times" in text
    assert "save 25 % of the DRAM traffic" in text
    assert f"the {winner} is {times} times cheaper" in text
    assert "event_core: 7 cores are used, with all weights resident." in text
    assert f"takes {share} of the cheapest ANN" in text
    assert "and 0.5 times its time" in text


def test_the_tables_choose_their_units(page: ModuleType) -> None:
    small = page.compare.table(rows(page, 2e-6, 4e-6), "k", "t")
    large = page.compare.table(rows(page, 2e-2, 4e-6), "k", "t")
    units = [{c.key: c.unit for c in table.columns}["energy"] for table in (small, large)]
    assert units == ["µJ", "mJ"]
    assert small.rows[-1]["energy"] == pytest.approx(2)
    assert large.rows[-1]["energy"] == pytest.approx(20)
    assert small.rows[0]["dram"] == 1.0
    assert small.rows[0]["evidence"] == "simulated; activity measured"
