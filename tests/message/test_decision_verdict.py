"""The verdict's sentence: its first words and its numbers, whole texts."""

from __future__ import annotations

import pytest

from tospike.decision.record import ImplementationResult
from tospike.decision.verdict import (
    FIRST_SENTENCE,
    Facts,
    assumed_sentence,
    distance_text,
    ratio_text,
    sentence,
)


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


REFERENCE = item("QNN, 4 bit", "qnn", 400, 0.912, reference=True, activation_bits=4)
SNN = item("SNN, T=16", "snn", 1500, 0.908, p_cheaper=0.004, timesteps=16)
HYBRID = item(
    "hybrid 1, T=8, 2 spiking", "hybrid", 320, 0.905, p_cheaper=0.81, timesteps=8,
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


def first_of(text: str) -> str:
    """The first sentence: what a reader takes away."""
    return text.split(". ")[0] + "."


def test_do_not_spike() -> None:
    assert sentence(facts()) == (
        "Do not spike: the cheapest SNN that keeps the accuracy (T=16) needs 3.75 times the energy "
        "of a 4-bit quantised network. "
        "Per inference “QNN, 4 bit” needs 400 nJ at 91.2 % accuracy, “SNN, T=16” 1.5 µJ (90.8 % "
        "accuracy, -0.4 points), 3.75 times the reference; P(SNN cheaper) < 1 %. "
        "Against Eyeriss v1 at 4 bit the spiking layers draw level at 0.31 spikes per synapse and "
        "show 1.9: 6.1 times too many."
    )


def test_no_snn_keeps_the_floor() -> None:
    assert first_of(sentence(facts(snn_meets=False))) == (
        "Do not spike: no SNN keeps an accuracy of 90.2 % (best: 90.8 % at T=16)."
    )


def test_a_saving_that_most_draws_deny_is_no_saving() -> None:
    cheap = item("SNN, T=4", "snn", 390, 0.911, p_cheaper=0.42, timesteps=4)
    assert first_of(sentence(facts(snn=cheap))) == (
        "Do not spike: the cheapest SNN that keeps the accuracy (T=4) saves energy at nominal "
        "prices, but not at most of the likely ones."
    )


def test_a_float_reference_is_said() -> None:
    floating = item("ANN, float32", "ann", 4000, 0.912)
    text = sentence(facts(winner=SNN, reference=floating))
    assert text.startswith(
        "Spike: the SNN at T=16 needs 2.67 times less energy than the float32 network. "
    )
    assert "No quantised network keeps an accuracy of 90.2 %: the reference computes in" in text


def test_spike() -> None:
    snn = item("SNN, T=4", "snn", 200, 0.91, p_cheaper=0.997, timesteps=4)
    assert sentence(facts(winner=snn, snn=snn, spikes=0.1)) == (
        "Spike: the SNN at T=4 needs 2 times less energy than a 4-bit quantised network. "
        "Per inference “QNN, 4 bit” needs 400 nJ at 91.2 % accuracy, “SNN, T=4” 200 nJ (91.0 % "
        "accuracy, -0.2 points), 2 times less than the reference; P(SNN cheaper) > 99 %. "
        "Against Eyeriss v1 at 4 bit the spiking layers draw level at 0.31 spikes per synapse and "
        "show 0.1: 3.1 times fewer than needed."
    )


def test_first_spikes_are_said() -> None:
    snn = item("SNN, TTFS, T=8", "snn", 200, 0.91, p_cheaper=0.997, timesteps=8)
    assert first_of(sentence(facts(winner=snn, snn=snn))) == (
        "Spike: the first-spike SNN at T=8 needs 2 times less energy than a 4-bit quantised "
        "network."
    )
    dear = item("SNN, TTFS, T=8", "snn", 800, 0.91, timesteps=8)
    assert first_of(sentence(facts(snn=dear))) == (
        "Do not spike: the cheapest SNN that keeps the accuracy (first spikes, T=8) needs 2 times "
        "the energy of a 4-bit quantised network."
    )


def test_spike_in_part() -> None:
    text = sentence(facts(winner=HYBRID, hybrid=HYBRID, break_even=None))
    assert text == (
        "Spike in part (hybrid): with 2 spiking layers at T=8 the network needs 1.25 times less "
        "energy than a 4-bit quantised network. "
        "Per inference “QNN, 4 bit” needs 400 nJ at 91.2 % accuracy, “hybrid 1, T=8, 2 spiking” "
        "320 nJ (90.5 % accuracy, -0.7 points), 1.25 times less than the reference; "
        "P(hybrid cheaper) = 81 %."
    )


def test_a_losing_hybrid_is_compared_with_what_it_shares() -> None:
    baseline = item("QNN, 8 bit", "qnn", 500, 0.912, activation_bits=8)
    loser = item("hybrid 1", "hybrid", 450, 0.905, partition={"a": "snn"}, p_cheaper=0.24)
    text = sentence(facts(hybrid=loser, baseline=baseline))
    assert (
        "The best hybrid needs 450 nJ at 90.5 % accuracy, 1.12 times the reference "
        "(P(hybrid cheaper) = 24 %) and 0.9 times “QNN, 8 bit”, whose analog layers it shares."
    ) in text


def test_delta() -> None:
    delta = item("delta, Θ=1/64", "delta", 100, None, p_cheaper=1.0)
    why = "2 GRU layers, which have no spiking form here"
    eight = item("QNN, 8 bit", "qnn", 400, 0.912, activation_bits=8)
    text = sentence(facts(winner=delta, reference=eight, snn=None, why_no_snn=why, spikes=None))
    assert text == (
        "Use a delta network: Θ=1/64 needs 4 times less energy than an 8-bit quantised network. "
        "Per inference “QNN, 8 bit” needs 400 nJ at 91.2 % accuracy, “delta, Θ=1/64” 100 nJ, "
        "4 times less than the reference; P(delta network cheaper) > 99 %. "
        "Its accuracy was not measured, so try it before relying on this. "
        "No spiking network was run. Reason: 2 GRU layers, which have no spiking form here."
    )


def test_nothing_that_spikes_could_be_run() -> None:
    text = sentence(facts(snn=None, why_no_snn="no layer can", spikes=None))
    assert text == (
        "Do not spike: no spiking form of this network could be run. "
        "Per inference “QNN, 4 bit” needs 400 nJ at 91.2 % accuracy. "
        "No spiking network was run. Reason: no layer can."
    )


def test_without_labels_the_agreement_is_said() -> None:
    reference = item("QNN, 8 bit", "qnn", 400, None, agreement=0.995, activation_bits=8)
    close = item("SNN, T=16", "snn", 1500, None, agreement=0.97, timesteps=16)
    floor = "an agreement of 99.0 % with the float network"
    text = sentence(facts(reference=reference, winner=reference, snn=close, snn_meets=False,
                          floor=floor, kept="classes"))  # fmt: skip
    assert "at 99.5 % agreement with the float network" in text
    assert first_of(text) == (
        "Do not spike: no SNN keeps an agreement of 99.0 % with the float network "
        "(best: 97.0 % at T=16)."
    )


def test_an_unknown_accuracy_is_said() -> None:
    assert first_of(sentence(facts(floor_known=False))) == (
        "Do not spike: its effect on the output is unknown, and at T=16 it needs 3.75 times the "
        "energy of a 4-bit quantised network."
    )


LONG = item("QNN, 8 bit, matrix-vector engine", "qnn", 1.23456e-5, 0.912, activation_bits=8)
MANY = item("SNN, T=4096", "snn", 12345.6, 0.912, timesteps=4096, p_cheaper=0.0)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"snn_meets": False},
        {"snn_meets": False, "floor": "an agreement of 99.0 % with the float network"},
        {"floor_known": False},
        {"snn": None},
        {"snn": item("SNN, T=4", "snn", 1e-9, 0.9, timesteps=4)},
        {"winner": MANY},
        {"winner": HYBRID},
        {"winner": item("delta, Θ=1/64", "delta", 1e-9, None)},
    ],
)
def test_the_first_sentence_is_short_and_complete(changes) -> None:
    text = sentence(facts(**{"reference": LONG, "winner": LONG, "snn": MANY, **changes}))
    first = first_of(text)
    assert len(first) <= 160
    assert ";" not in first
    assert "nJ" not in first


def test_the_usual_first_sentences_fit_one_line() -> None:
    timed = item("SNN, TTFS, T=8", "snn", 1234, 0.908, timesteps=8)
    for changes in (
        {}, {"snn_meets": False}, {"snn": None}, {"winner": SNN}, {"winner": HYBRID},
        {"snn": timed}, {"winner": timed}, {"snn": timed, "snn_meets": False},
    ):  # fmt: skip
        assert len(first_of(sentence(facts(**changes)))) <= FIRST_SENTENCE


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
        "Undecided: spiking pays in 12 of 13 layers below 0.42 spikes per synapse and inference. "
        "These are the layers that can spike; the rival is Eyeriss v1. No spiking network was run. "
        "Reason: no weights."
    )
    assert assumed_sentence(None, 0, 3, "x", why="y").startswith("Do not spike: no layer")


def test_models_of_the_ann_that_say_otherwise() -> None:
    text = sentence(facts(p_by_model={"a": 0.1, "b": 0.5, "c": 0.2}))
    assert text.endswith(" The model of the ANN decides: under 1 of 3 the SNN needs less.")
    wins = facts(winner=SNN, p_by_model={"a": 0.1, "b": 0.5, "c": 0.2})
    assert sentence(wins).endswith("under 2 of 3 the SNN does not need less.")
    assert "decides" not in sentence(facts(p_by_model={"a": 0.1, "b": 0.49}))
    assert "decides" not in sentence(facts(p_by_model={"a": 0.9}, snn_meets=False))
    assert "decides" not in sentence(facts(p_by_model={"a": 0.9}, winner=HYBRID, hybrid=HYBRID))
