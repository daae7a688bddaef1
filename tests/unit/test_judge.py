"""The verdict on a claim follows from numbers: exact arithmetic on made-up claims."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tospike.errors import DataError, StatisticError, UnknownNameError
from tospike.papers import reproduce as module
from tospike.papers.claim import Claim, Convention, Recomputed
from tospike.papers.judge import agrees, judge
from tospike.papers.load import claims, read_claims

CLAIM = Claim("x-1", "ottati_2023", "Table I", "10 pJ / 8 B", 2.5, "pJ/B", 0.005, "10 pJ, 8 B")


def test_within_half_of_the_last_digit_reproduces() -> None:
    finding = judge(CLAIM, Recomputed(computed=2.5049, arithmetic="a"))
    assert (finding.verdict, finding.computed, finding.as_stated) == ("reproduces", 2.5049, 2.5049)
    assert finding.deviation == pytest.approx(0.0049 / 2.5)


def test_half_of_the_last_digit_itself_still_agrees() -> None:
    claim = replace(CLAIM, value=0.3, tolerance=0.1)
    assert agrees(claim, 0.1 + 0.3)  # 0.4 is not exact in binary
    assert not agrees(claim, 0.401)


def test_a_convention_is_named_and_its_number_is_the_computed_one() -> None:
    tried = (Convention("8 kB", 9.9, "no."), Convention("4 B per word", 2.5, "Divide by 4 B."))
    found = Recomputed(computed=1.25, why="10 / 8 = 1.25.", conventions=tried)
    finding = judge(CLAIM, found)
    assert finding.verdict == "convention"
    assert (finding.convention, finding.computed, finding.as_stated) == ("4 B per word", 2.5, 1.25)
    assert finding.explanation == "10 / 8 = 1.25. Divide by 4 B."


def test_without_a_convention_it_does_not_reproduce() -> None:
    finding = judge(CLAIM, Recomputed(computed=1.25, why="10 / 8 = 1.25."))
    assert (finding.verdict, finding.computed) == ("does_not_reproduce", 1.25)


def test_a_convention_never_hides_that_the_number_reproduces_as_stated() -> None:
    found = Recomputed(computed=2.5, conventions=(Convention("other", 2.5, "x"),))
    assert judge(CLAIM, found).verdict == "reproduces"


def test_statements_without_a_number_are_judged_by_their_truth() -> None:
    claim = replace(CLAIM, value=None, tolerance=None)
    assert judge(claim, Recomputed(holds=True)).verdict == "reproduces"
    assert judge(claim, Recomputed(holds=False, why="no")).verdict == "does_not_reproduce"
    tried = (Convention("other", None, "x", holds=True),)
    found = Recomputed(holds=False, why="no", conventions=tried)
    assert judge(claim, found).verdict == "convention"


@pytest.mark.parametrize(
    "found",
    [
        Recomputed(),
        Recomputed(computed=1.0),
        Recomputed(holds=False),
        Recomputed(is_input=True),
    ],
    ids=["nothing", "failure without reason", "untrue without reason", "input without reason"],
)
def test_a_recomputation_that_says_nothing_is_an_error(found: Recomputed) -> None:
    with pytest.raises(StatisticError, match="x-1"):
        judge(CLAIM, found)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_no_number_never_agrees(value: float | None) -> None:
    assert not agrees(CLAIM, value)


def test_there_are_103_claims_of_three_papers() -> None:
    assert len(claims()) == 103
    assert {claim.paper for claim in claims()} == {
        "dampfhoffer_2022",
        "ottati_2023",
        "liu_delbruck_2019",
    }


def test_a_faulty_file_lists_every_fault(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    row = (
        "- {{id: {}, paper: {}, where: W, statement: S, value: {}, unit: x, tolerance: {}, "
        "inputs: I}}\n"
    )
    path.write_text(
        row.format("a", "ottati_2023", 1, -1)
        + row.format("a", "nobody_1900", 1, 1)
        + row.format("b", "ottati_2023", "null", 0.5)
    )
    with pytest.raises(DataError) as caught:
        read_claims(path)
    text = str(caught.value)
    for part in ("a: tolerance -1.0 is negative", "a: twice", "nobody_1900", "b: a tolerance"):
        assert part in text


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text("- {id: a, colour: red}\n")
    with pytest.raises(DataError, match="colour"):
        read_claims(path)


def test_unknown_paper_names_those_that_exist() -> None:
    with pytest.raises(UnknownNameError, match="dampfhoffer_2022, liu_delbruck_2019, ottati_2023"):
        module.reproduce("ottati_2032")


def test_a_claim_without_recomputation_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = module.PAPERS["ottati_2023"]
    monkeypatch.setitem(
        module.PAPERS, "ottati_2023", replace(paper, recompute={"ottati2023-none": lambda c: None})
    )
    with pytest.raises(StatisticError) as caught:
        module.reproduce("ottati_2023")
    assert "claim 'ottati2023-T1' has no recomputation" in str(caught.value)
    assert "recomputation 'ottati2023-none' has no claim" in str(caught.value)
