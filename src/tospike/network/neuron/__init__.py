"""Neuron models: what they compute, what they store, and one step of each, as in the papers."""

from __future__ import annotations

import numpy as np

from tospike.errors import unknown_name
from tospike.network.neuron import (
    alif,
    alpha,
    cuba_li,
    cuba_lif,
    integrate_and_fire,
    integrator,
    leaky_integrator,
    lif,
    lif_input_decay,
    threshold,
)
from tospike.network.neuron.record import Floats, NeuronModel, Neurons, Reset, Values

__all__ = ["NEURONS", "NeuronModel", "Neurons", "Reset", "at_rest", "neuron_model"]

#: name -> :class:`NeuronModel`. A new model is one file in this package and one line here.
NEURONS: dict[str, NeuronModel] = {
    model.name: model
    for model in (
        integrate_and_fire.MODEL,
        lif.MODEL,
        lif_input_decay.MODEL,
        cuba_lif.MODEL,
        leaky_integrator.MODEL,
        cuba_li.MODEL,
        integrator.MODEL,
        alif.MODEL,
        alpha.MODEL,
        threshold.MODEL,
    )
}


def neuron_model(name: str) -> NeuronModel:
    """The model of that name; :class:`UnknownNameError` where there is none."""
    try:
        return NEURONS[name]
    except KeyError:
        raise unknown_name("neuron model", name, tuple(NEURONS)) from None


def at_rest(model: NeuronModel, parameters: Values, shape: tuple[int, ...]) -> dict[str, Floats]:
    """All states before the first input, each (\\*shape): v at ``v_rest``, all others at 0."""
    state = {name: np.zeros(shape) for name in model.states}
    if "v" in state and "v_rest" in parameters:
        state["v"] = state["v"] + np.asarray(parameters["v_rest"], np.float64)
    return state
