"""The verdict's sentence: its first words and its numbers, whole texts."""

from __future__ import annotations

import pytest

from tospike.decision.record import ImplementationResult
from tospike.decision.verdict import Facts, assumed_sentence, distance_text, ratio_text, sentence


def item(name: str, mode: str, nano: float, accuracy: float | None, **more) -> ImplementationResult:
    return ImplementationResult(
        name=name,
        mode=mode,
        energy_model="ann_eyeriss_v1",
        energy_J=nano * 1e-9,
        energy_low_J=nano * 0.7e-9,
        energy_high_J=nano * 1.5e-9,
        accuracy=accuracy,
        **more,
    )


REFERENCE = item("QNN, 4 bit", "qnn", 400, 0.912, reference=True)
SNN = item("SNN, T=16", "snn", 1500, 0.908, p_cheaper=0.004)
HYBRID = item(
    "hybrid 1, T=8, 2 spiking", "hybrid", 320, 0.905, p_cheaper=0.81,
    partition={"a": "ann", "b": "snn", "c": "snn"},
)  # fmt: skip


def facts(**changes) -> Facts:
    values = {
        "winner": REFERENCE,
        "reference": REFERENCE,
        "snn": SNN,
        "snn_meets": True,
        "hybrid": None,
        "floor": "an accuracy of 90.2 %",
        "break_even": 0.31,
        "spikes": 1.9,
        "against": "Eyeriss v1 at 4 bit",
    }
    return Facts(**{**values, **changes})


def test_do_not_spike() -> None:
    assert sentence(facts()) == (
        "Do not spike: QNN, 4 bit needs 400 nJ per inference at 91.2 % accuracy; the cheapest SNN "
        "that keeps an accuracy of 90.2 %, SNN, T=16, needs 1.5 µJ per inference (90.8 % "
        "accuracy, -0.4 points), 3.75 times the reference; P(SNN cheaper) < 1 %. Against Eyeriss "
        "v1 at 4 bit the spiking layers draw level at 0.31 spikes per synapse and show 1.9: 6.1 "
        "times too many."
    )


def test_no_snn_keeps_the_floor() -> None:
    text = sentence(facts(snn_meets=False))
    assert "no SNN keeps an accuracy of 90.2 %: the closest, SNN, T=16, needs" in text


def test_a_float_reference_is_said() -> None:
    floating = item("ANN, float32", "ann", 4000, 0.912)
    text = sentence(facts(winner=SNN, reference=floating))
    assert "No quantised network keeps an accuracy of 90.2 %: the reference computes in" in text


def test_spike() -> None:
    snn = item("SNN, T=4", "snn", 200, 0.91, p_cheaper=0.997)
    text = sentence(facts(winner=snn, snn=snn, spikes=0.1))
    assert text.startswith(
        "Spike: SNN, T=4 needs 200 nJ per inference (91.0 % accuracy, -0.2 points), 2 times less "
        "than the reference (QNN, 4 bit, 400 nJ); P(cheaper) > 99 %."
    )
    assert text.endswith("and show 0.1: 3.1 times fewer than needed.")


def test_spike_in_part() -> None:
    text = sentence(facts(winner=HYBRID, hybrid=HYBRID))
    assert text.startswith(
        "Spike in part (hybrid): hybrid 1, T=8, 2 spiking needs 320 nJ per inference"
    )
    assert "P(cheaper) = 81 %" in text
    assert text.count("320 nJ") == 1


def test_a_losing_hybrid_is_compared_with_what_it_shares() -> None:
    baseline = item("QNN, 8 bit", "qnn", 500, 0.912)
    loser = item("hybrid 1", "hybrid", 450, 0.905, partition={"a": "snn"}, p_cheaper=0.24)
    text = sentence(facts(hybrid=loser, baseline=baseline))
    assert (
        "The best hybrid needs 450 nJ per inference at 90.5 % accuracy, 1.12 times the reference "
        "(P(cheaper) = 24 %) and 0.9 times QNN, 8 bit, whose analog layers it shares."
    ) in text


def test_delta() -> None:
    delta = item("delta, Θ=1/64", "delta", 100, None, p_cheaper=1.0)
    text = sentence(facts(winner=delta, snn=None, why_no_snn="no layer can", spikes=None))
    assert text == (
        "Use a delta network: delta, Θ=1/64 needs 100 nJ per inference, 4 times less than the "
        "reference (QNN, 4 bit, 400 nJ); P(cheaper) > 99 %; its accuracy was not measured, so try "
        "it before relying on this. No spiking network was run: no layer can."
    )


def test_without_labels_the_agreement_is_said() -> None:
    reference = item("QNN, 8 bit", "qnn", 400, None, agreement=0.995)
    assert "at 99.5 % agreement with the float network" in sentence(facts(reference=reference))


def test_an_unknown_accuracy_is_said() -> None:
    text = sentence(facts(floor_known=False))
    assert "could not be measured (the output is no class score); SNN, T=16 would need" in text


@pytest.mark.parametrize(
    ("even", "spikes", "text"),
    [
        (None, 1.0, ""),
        (0.3, None, ""),
        (0.0, 1.0, "cannot draw level at any rate"),
        (0.3, 0.0, "and show none."),
        (0.3, 0.3, "and show 0.3: 1 times too many."),
    ],
)
def test_distance(even, spikes, text: str) -> None:
    assert text in distance_text(even, spikes, "an ANN")


def test_ratio() -> None:
    assert ratio_text(2.0, 2.0) == "as much as the reference"
    assert ratio_text(1.0, 4.0) == "4 times less than the reference"


def test_assumed() -> None:
    assert assumed_sentence(0.42, 12, 13, "Eyeriss v1", why="no weights") == (
        "Undecided (no weights): spiking pays in the 12 of 13 layers that can spike if the SNN "
        "needs fewer than 0.42 spikes per synapse and inference there (against Eyeriss v1)."
    )
    assert assumed_sentence(None, 0, 3, "x", why="y").startswith("Do not spike: no layer")
