"""The equation of a neuron model: only models that are neurons have one."""

from __future__ import annotations

import pytest

from tospike.equations import MODELS, default_equation
from tospike.equations.counting import NEURON_EQUATIONS
from tospike.errors import UnknownNameError
from tospike.implementation import Implementation


def test_each_neuron_has_an_equation_of_its_own_for_spiking_layers() -> None:
    # the four circuits of Dampfhoffer et al. 2022, section II-C
    assert list(NEURON_EQUATIONS) == ["if_inst", "lif_inst", "if_cont", "lif_cont"]
    for neuron, key in NEURON_EQUATIONS.items():
        assert default_equation("snn", Implementation("snn", neuron=neuron)) == key
        assert MODELS[key].mode == "snn"
        assert MODELS[key].paper == "dampfhoffer_2022"
    assert len(set(NEURON_EQUATIONS.values())) == len(NEURON_EQUATIONS)


@pytest.mark.parametrize("name", ["", "izhikevich", "ottati", "compute_only", "lemaire", "shen"])
def test_other_spiking_equations_are_no_neurons(name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        default_equation("snn", Implementation("snn", neuron=name))
    assert f"find the neuron model {name!r}" in str(caught.value)
    assert "allowed: if_cont, if_inst, lif_cont, lif_inst" in str(caught.value)


def test_the_neuron_is_of_no_consequence_without_spikes() -> None:
    for mode, key in (("ann", "ann_eyeriss_v1"), ("qnn", "ann_eyeriss_v1"), ("delta", "delta_liu")):
        assert default_equation(mode, Implementation(mode, neuron="none")) == key  # type: ignore[arg-type]  # names of modes
