"""``neurons_of``: the spiking neurons of a torch module, by the class that computes them.

Frameworks are known by the names of their classes and never imported. To have neurons of your own
recognised, add one line: ``NEURON_CLASSES["my_package.MyLIF"] = NEURON_CLASSES["snntorch.Leaky"]``
reads them like snnTorch's, ``NeuronClass(read, time)`` in their own way. Subclasses count as their
base class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from tospike.errors import ModelError
from tospike.network.importers import (
    neurons_norse,
    neurons_sinabs,
    neurons_snntorch,
    neurons_spikingjelly,
)
from tospike.network.importers.neurons_record import NeuronClass, Reading, find, values
from tospike.network.neuron.record import Neurons

#: class (full name; sub-modules of its package may be left out) -> how it is described
NEURON_CLASSES: dict[str, NeuronClass] = {
    **neurons_spikingjelly.CLASSES,
    **neurons_snntorch.CLASSES,
    **neurons_sinabs.CLASSES,
    **neurons_norse.CLASSES,
}

#: class -> function that puts the state of an instance back to that before the first step
RESETS: dict[str, Callable[[Any], None]] = {
    **neurons_spikingjelly.RESETS,
    **neurons_snntorch.RESETS,
    **neurons_sinabs.RESETS,
}

#: containers without neurons of their own whose call takes and returns the state
STATE_CONTAINERS = dict.fromkeys(neurons_norse.STATE_CONTAINERS, True)

FRAMEWORKS = {
    "spikingjelly": "SpikingJelly",
    "snntorch": "snnTorch",
    "sinabs": "sinabs",
    "norse": "Norse",
}


@dataclass(frozen=True, slots=True)
class Population:
    """Neurons of one module, and how its calls are read."""

    neurons: Neurons
    kind: NeuronClass

    @property
    def framework(self) -> str:
        """The package of the class: "SpikingJelly", ..., or its import name."""
        package = self.neurons.cls.partition(".")[0]
        return FRAMEWORKS.get(package, package)


def neurons_of(module: torch.nn.Module) -> tuple[Neurons, ...]:
    """The populations of a module, in the order of ``named_modules``.

    ``n_neurons`` is 0: it follows from the data, see ``ActivityProfile.neurons``. Models that are
    no key of ``NEURONS`` name a family that is counted and not simulated.

    Raises :class:`ModelError` for an instance of a known class that lacks its attributes.
    """
    return tuple(population.neurons for population in populations_of(module).values())


def populations_of(root: torch.nn.Module) -> dict[str, Population]:
    """path of the module -> :class:`Population`; a shared module has its first path."""
    found = {}
    for path, module in root.named_modules():
        entry = find(NEURON_CLASSES, type(module))
        if entry is not None:
            found[path] = Population(_described(path, module, entry[1]), entry[1])
    return found


def _described(path: str, module: torch.nn.Module, kind: NeuronClass) -> Neurons:
    cls = f"{type(module).__module__}.{type(module).__qualname__}"
    try:
        reading: Reading = kind.read(module)
        parameters = {name: values(value) for name, value in reading.parameters.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"read the neurons {path!r}",
            received=f"{type(error).__name__}: {error}",
            where=cls,
            allowed="an instance with the attributes of its framework's class",
            fix="give the class a line of its own in NEURON_CLASSES",
        ) from error
    return Neurons(path, reading.model, cls, reading.signal, reading.reset, parameters)


def declared_signal(cls: type) -> str | None:
    """Signal of a class of neurons, for instances of which nothing else is known."""
    entry = find(NEURON_CLASSES, cls)
    return entry[1].signal if entry is not None else None


def n_steps(kind: NeuronClass, module: Any, shape: tuple[int, ...]) -> int:
    """Time steps in one call that takes or gives a tensor of ``shape``."""
    time = kind.time
    if time == "step_mode":
        time = "first" if module.step_mode == "m" else "call"
    if time == "call" or not shape:
        return 1
    if time == "rows":
        steps, samples = int(module.num_timesteps), int(module.batch_size)
        return steps if steps > 0 else max(1, shape[0] // max(samples, 1))
    return shape[0] if time == "first" else shape[1] if len(shape) > 1 else 1


def reset_states(root: torch.nn.Module) -> bool:
    """Put the neurons to their state before the first step; True if there are any."""
    found = False
    for module in root.modules():
        entry = find(RESETS, type(module))
        if entry is not None:
            entry[1](module)
            found = True
    return found


def takes_state(root: torch.nn.Module) -> bool:
    """True for a module whose call is known as (input, state) -> (output, state)."""
    entry = find(NEURON_CLASSES, type(root))
    if entry is not None:
        return entry[1].state_argument
    return find(STATE_CONTAINERS, type(root)) is not None


def neuron_notes(populations: Mapping[str, Population]) -> tuple[str, ...]:
    """What was found, one line per kind: "3 x lif (snnTorch Leaky), soft reset one step late"."""
    kinds: Counter[tuple[str, str, str, str, str]] = Counter()
    for population in populations.values():
        neurons, reset = population.neurons, population.neurons.reset
        words = {"hard": f"hard reset to {reset.value:g}", "soft": "soft reset", "none": ""}
        said = words[reset.kind]
        if said and reset.delay:
            said += " one step late"
        if population.kind.recurrent:
            said = ", ".join(filter(None, ("recurrent", said)))
        name = neurons.cls.rpartition(".")[2]
        kinds[neurons.model, population.framework, name, said, neurons.signal] += 1
    notes = []
    for (model, framework, name, said, signal), n in sorted(kinds.items()):
        graded = "" if signal == "spike" else "graded output"
        more = "".join(f", {text}" for text in (said, graded) if text)
        notes.append(f"neurons: {n} x {model} ({framework} {name}){more}")
    return tuple(notes)
