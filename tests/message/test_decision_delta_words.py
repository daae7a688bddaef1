"""The sentences of a verdict about delta networks, on figures made up for them."""

from __future__ import annotations

import math

from tospike.decision.record import ImplementationResult
from tospike.decision.verdict import FIRST_SENTENCE, Facts, sentence


def item(name: str, mode: str, nanojoule: float, **fields: object) -> ImplementationResult:
    joule = 1e-9 * nanojoule
    return ImplementationResult(name, mode, "ann_liu", joule, joule, joule, **fields)


def facts(winner: ImplementationResult, **fields: object) -> Facts:
    reference = item("QNN, 16 bit", "qnn", 400, snr_db=44.1, activation_bits=16)
    values = {
        "winner": winner, "reference": reference, "snn": None, "snn_meets": False,
        "hybrid": None, "floor": "an SNR of 20 dB", "break_even": None, "spikes": None,
        **fields,
    }  # fmt: skip
    return Facts(**values)


RUN = {"weight_bytes_per_step": 500e3, "dense_weight_bytes_per_step": 2e6, "activation_bits": 16}


def test_a_winner_says_what_it_reads_and_keeps() -> None:
    won = item("delta, Θ=1/16, 16 bit", "delta", 100, snr_db=24.03, p_cheaper=1.0, **RUN)
    assert sentence(facts(won)) == (
        "Use a delta network: Θ=1/16 (16 bit) needs 4 times less energy than a 16-bit quantised "
        "network. Per inference “QNN, 16 bit” needs 400 nJ at 44.1 dB SNR against the float "
        "network, “delta, Θ=1/16, 16 bit” 100 nJ (24.0 dB SNR against the float network), 4 times "
        "less than the reference; P(delta network cheaper) > 99 %. It reads 500 kB of weights per "
        "time step in place of 2 MB, 4 times less."
    )


def test_the_first_sentence_stands_alone_and_is_short() -> None:
    engine = item("QNN, 16 bit, matrix-vector engine", "qnn", 282, snr_db=44.1, activation_bits=16)
    won = item("delta, Θ per layer, 16 bit", "delta", 100, snr_db=math.inf, **RUN)
    text = sentence(facts(won, reference=engine))
    first = text.split(". ")[0]
    assert first == (
        "Use a delta network: thresholds per layer (16 bit) need 2.82 times less energy than a "
        "16-bit quantised network on a matrix-vector engine"
    )
    assert len(first) <= FIRST_SENTENCE
    assert "inf dB" not in text
    assert "not measured" not in text


def test_one_that_was_only_modelled_says_so() -> None:
    won = item("delta, Θ=1/64", "delta", 100, evidence="modelled", activation_bits=8)
    text = sentence(facts(won))
    assert "Its accuracy was not measured, so try it before relying on this." in text
    assert "weights per time step" not in text


def test_a_delta_network_that_loses_is_named() -> None:
    reference = item("QNN, 8 bit", "qnn", 90, accuracy=0.93, activation_bits=8)
    lost = item("delta, Θ=1/64", "delta", 100, accuracy=0.92, p_cheaper=0.2, **RUN)
    text = sentence(facts(reference, reference=reference, delta=lost, why_no_snn="no layer can"))
    assert text.startswith("Do not spike: no spiking form of this network could be run. ")
    assert (
        "The best delta network (“delta, Θ=1/64”) needs 100 nJ at 92.0 % accuracy, 1.11 times "
        "the reference (P(delta network cheaper) = 20 %)."
    ) in text
