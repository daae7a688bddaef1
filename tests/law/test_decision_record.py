"""The JSON of a decision satisfies the shipped schema, which is that of the records."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from tospike.decision.record import (
    Decision,
    EnergyPart,
    ImplementationResult,
    LayerResult,
    Sensitivity,
    plain,
)
from tospike.decision.schema import PATH, text


def example() -> Decision:
    """A decision with every kind of field filled, NumPy scalars and infinities among them."""
    return Decision(
        verdict="Do not spike: it is an example.",
        winner="QNN, 4 bit",
        p_snn_wins=np.float64(0.25),
        p_snn_wins_by_model={"ann_naive": np.float32(1.0)},
        implementations=(
            ImplementationResult(
                name="QNN, 4 bit",
                mode="qnn",
                energy_model="ann_naive",
                energy_J=np.float64(1e-9),
                energy_low_J=5e-10,
                energy_high_J=2e-9,
                accuracy=0.9,
                activation_bits=np.int64(4),
                parts=(EnergyPart("compute", 1e-9),),
                partition={"a": "ann"},
                reference=True,
            ),
        ),
        layers=(
            LayerResult(
                name="a",
                kind="conv",
                n_synapses=10,
                n_neurons=2,
                n_weights=5,
                zero_fraction=math.nan,
                synaptic_operations=4.5,
                break_even_spikes_per_synapse=math.inf,
                break_even_by_model={"ann_naive": math.inf},
                temporal_sparsity={"0.1": 0.5},
                input_shape=(1, 8, 8),
                output_shape=(2,),
            ),
        ),
        partition={"a": "ann"},
        network={
            "name": "n",
            "importer": "torch",
            "sha256": "",
            "n_synapses": 10,
            "n_neurons": 2,
            "n_weights": 5,
        },
        data={"origin": "array", "n_samples": 7, "labelled": True},
        technology={"name": "t", "title": "T", "node_nm": None},
        reference_model="ann_naive",
        sensitivities=(Sensitivity("sram", 0.5, 2.0, 0.1, 0.9, None, True),),
        sources=({"key": "horowitz_2014", "text": "M. Horowitz", "verified": True},),
    )


def validate(body: object) -> None:
    import jsonschema

    jsonschema.Draft202012Validator(json.loads(PATH.read_text())).validate(body)


def test_a_decision_satisfies_the_schema_after_a_round_trip() -> None:
    body = json.loads(json.dumps(example().as_dict(), allow_nan=False))
    validate(body)
    assert body["schema_version"] == "1.3"
    assert body["layers"][0]["break_even_spikes_per_synapse"] is None
    assert body["layers"][0]["zero_fraction"] is None


@pytest.mark.parametrize(
    "fault",
    [
        {"implementations": [{"name": "x"}]},
        {"p_snn_wins": "likely"},
        {"unknown": 1},
        {"schema_version": "0.9"},
    ],
)
def test_the_schema_refuses_faults(fault: dict) -> None:
    import jsonschema

    with pytest.raises(jsonschema.ValidationError):
        validate({**example().as_dict(), **fault})


def test_the_schema_refuses_a_missing_field() -> None:
    import jsonschema

    body = example().as_dict()
    del body["verdict"]
    with pytest.raises(jsonschema.ValidationError, match="verdict"):
        validate(body)


def test_the_shipped_schema_is_that_of_the_records() -> None:
    """Mend with ``python -m tospike.decision.schema``."""
    assert PATH.read_text() == text()


def test_the_fields_that_users_were_promised() -> None:
    """The minimum of the JSON output; a name may be added, none may go."""
    body = example().as_dict()
    assert {
        "schema_version", "verdict", "p_snn_wins", "implementations", "layers", "partition",
        "sources",
    } <= set(body)  # fmt: skip
    assert {
        "name", "mode", "accuracy", "energy_J", "energy_low_J", "energy_high_J", "timesteps",
        "spikes_per_synapse",
    } <= set(body["implementations"][0])  # fmt: skip
    assert {
        "name", "kind", "n_synapses", "n_neurons", "n_weights", "zero_fraction",
        "synaptic_operations", "break_even_spikes_per_synapse",
    } <= set(body["layers"][0])  # fmt: skip


def test_plain_has_no_numpy_and_no_nan() -> None:
    value = plain({1: np.array([1.0, np.nan]), "b": (np.bool_(True), np.int8(3))})
    assert value == {"1": [1.0, None], "b": [True, 3]}
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert plain(replace(example(), p_snn_wins=math.nan).p_snn_wins) is None
