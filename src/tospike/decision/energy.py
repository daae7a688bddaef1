"""One way to run the whole network (``Design``) and what it costs (``Pricer``)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from tospike.actions import ActionCounts
from tospike.actions import count as action_count
from tospike.activity import ActivityProfile
from tospike.decision.options import Options
from tospike.decision.record import EnergyPart
from tospike.equations import MODELS, EquationOptions, beyond, count, default_equation
from tospike.equations.borders import ann_to_snn, snn_to_ann
from tospike.equations.counting import NEURON_EQUATIONS
from tospike.errors import unknown_name
from tospike.implementation import Implementation, Mode
from tospike.network import Network
from tospike.pricing import Cost, price, priceable
from tospike.technology import Technology, load, names

#: bits of values that are not rectified in a quantised network (network input, GELU, ...)
WIDE_BITS = 8

_PART_OF_COMPONENT = {
    "alu": "compute",
    "register": "local memory",
    "pe_sram": "local memory",
    "sram": "distant memory",
    "dram": "off-chip memory",
    "noc": "communication",
    "static": "static",
    "core": "core",
}
_PART_OF_TERM = {
    "neuron": "neuron",
    "border": "border",
    "weights_off_chip": "weights off chip",
    "communication": "communication",
    "static": "static",
}


@dataclass(frozen=True, slots=True)
class Design:
    """One implementation of the whole network: modes, activity, widths.

    ``floating`` says that it computes in float32, which is priced with floating-point operations.
    ``skip_events``: population -> additions per inference by spikes on residual connections, which
    belong to no synaptic layer. ``wide``: layers whose input is not rectified and therefore keeps
    8 bits, however few the activations have elsewhere. ``ann_model``: the equation of its analog
    layers where that is not the reference model (""). ``snn_model``: of its spiking layers, where
    it is not that of the pricer. ``firing_steps``: steps in which a neuron compares its potential
    after it has integrated, which no equation counts (time to first spike).
    """

    name: str
    mode: str
    modes: Mapping[str, Mode]
    activity: ActivityProfile
    implementation: Implementation
    floating: bool = False
    skip_events: Mapping[str, float] = field(default_factory=dict)
    wide: frozenset[str] = frozenset()
    ann_model: str = ""
    snn_model: str = ""
    firing_steps: int = 0

    @property
    def spiking(self) -> tuple[str, ...]:
        """Layers whose synapses receive spikes."""
        return tuple(name for name, mode in self.modes.items() if mode == "snn")


@dataclass(frozen=True)
class Pricer:
    """Counts and prices designs of one network with one technology and one set of conventions."""

    network: Network
    technology: Technology
    float_technology: Technology
    snn_model: str
    options: EquationOptions
    sram_bytes: float | None = None
    static_power_w: float | None = None
    stream: bool = False

    def cost(self, design: Design, ann_model: str) -> Cost:
        """Cost of one inference; analog layers are counted with ``ann_model``."""
        counts = self._count(design, design.implementation, ann_model)
        narrow = design.implementation.activation_bits
        if design.wide and narrow < WIDE_BITS:
            wider = replace(design.implementation, activation_bits=WIDE_BITS)
            counts = counts.select(lambda entry: entry.layer not in design.wide) + self._count(
                design, wider, ann_model
            ).select(lambda entry: entry.layer in design.wide)
        if design.skip_events:
            counts = counts + skip_counts(design)
        if design.firing_steps:
            counts = counts + firing_counts(design, self.network)
        technology = self.float_technology if design.floating else self.technology
        cost = price(
            counts,
            technology,
            sram_bytes=self.sram_bytes,
            static_power_w=self.static_power_w,
        )
        return with_shared_drivers(cost, self.technology.name) if design.floating else cost

    def _count(
        self, design: Design, implementation: Implementation, ann_model: str
    ) -> ActionCounts:
        counts = count(
            self.network,
            design.activity,
            implementation,
            equation={
                "ann": design.ann_model or ann_model,
                "snn": design.snn_model or self.snn_model,
                "delta": "delta_liu",
            },
            modes=design.modes,
            options=self.options,
        )
        return self._step_by_step(counts, design, implementation) if self.stream else counts

    def _step_by_step(
        self, counts: ActionCounts, design: Design, implementation: Implementation
    ) -> ActionCounts:
        """Dense linear layers of a recurrent network fetch weights off chip in every step."""
        layers = self.network.synaptic_layers
        if "weights_off_chip" not in self.options.terms or all(
            layer.kind != "rnn_input" for layer in layers
        ):
            return counts
        dense = {
            layer.name: layer
            for layer in layers
            if layer.kind == "linear" and design.modes.get(layer.name) == "ann"
        }
        counts = counts.select(
            lambda entry: entry.part != "weights_off_chip" or entry.layer not in dense
        )
        for name, layer in dense.items():
            counts = counts + beyond.weights_off_chip(
                n_fetches=layer.n_synapses,
                weight_bytes=self.network.n_weights * implementation.weight_bits / 8,
                on_chip_bytes=self.options.on_chip_bytes or 0.0,
                weight_bits=implementation.weight_bits,
                layer=name,
            )
        return counts

    def ann_models(self, activity: ActivityProfile) -> tuple[str, ...]:
        """Keys of the ANN models that this technology can price.

        Without those that only stand beside the SNN of their own paper (``EquationModel.rival``),
        such as the MACs-only convention: an ANN that pays for no memory against an SNN that does.
        """
        found = []
        for key, model in MODELS.items():
            if model.mode != "ann" or not model.rival:
                continue
            counts = count(
                self.network, activity, Implementation("ann"), equation=key, options=self.options
            )
            if priceable(counts, self.technology, static_power_w=self.static_power_w):
                found.append(key)
        return tuple(found)

    def check(self, activity: ActivityProfile, ann_model: str) -> None:
        """Raise :class:`TechnologyError` if something that a verdict needs has no price.

        Analog layers in integers and in float32, and, where the network has more than one layer,
        spiking layers and both borders: before anything is run.
        """
        whole = Implementation("ann")
        analog = count(self.network, activity, whole, equation=ann_model, options=self.options)
        wide = replace(whole, weight_bits=32, activation_bits=32, state_bits=32)
        floating = count(self.network, activity, wide, equation=ann_model, options=self.options)
        layers = [layer for layer in self.network.synaptic_layers if layer.n_synapses]
        if len(layers) > 1:
            analog = analog + self._as_snn(as_spikes(activity))
            analog = analog + ann_to_snn(n_values=1, n_timesteps=1) + snn_to_ann(n_values=1)
        for counts, table in ((analog, self.technology), (floating, self.float_technology)):
            price(counts, table, sram_bytes=self.sram_bytes, static_power_w=self.static_power_w)

    def prices_neuron(self, neuron: str, activity: ActivityProfile) -> bool:
        """True if the technology prices spiking layers of this neuron model."""
        key = default_equation("snn", Implementation("snn", neuron=neuron))
        counts = replace(self, snn_model=key)._as_snn(as_spikes(activity))
        return priceable(counts, self.technology, static_power_w=self.static_power_w)

    def _as_snn(self, activity: ActivityProfile) -> ActionCounts:
        return count(
            self.network,
            activity,
            Implementation("snn"),
            equation=self.snn_model,
            options=self.options,
        )


def as_spikes(activity: ActivityProfile) -> ActivityProfile:
    """``activity`` with a spike signal, that never spikes, in every layer."""
    layers = {
        name: replace(activity[name], signal="spike", spikes_per_synapse=0.0) for name in activity
    }
    return replace(activity, layers=layers)


def skip_counts(design: Design) -> ActionCounts:
    """Spikes on identity connections: one read, addition and write of a state each."""
    bits = design.implementation.state_bits
    entries = [
        action_count(name, component, action, "state", events, bits=bits, part="neuron")
        for name, events in design.skip_events.items()
        for component, action in (("sram", "read"), ("sram", "write"), ("alu", "ac"))
    ]
    return ActionCounts(
        tuple(entries),
        model="residual connections",
        assumptions=(
            "spikes on residual connections read, add to and write a state, without a weight",
        ),
        sources=("tospike",),
    )


def firing_counts(design: Design, network: Network) -> ActionCounts:
    """Neurons that integrate first and fire afterwards: a read and a comparison in every step.

    Whether they have fired already is not known without looking, so all steps are charged.
    """
    bits = design.implementation.state_bits
    entries = [
        action_count(
            name,
            component,
            action,
            "state",
            network[name].n_neurons * design.firing_steps,
            bits=bits,
            part="neuron",
        )
        for name in design.spiking
        for component, action in (("sram", "read"), ("alu", "compare"))
    ]
    return ActionCounts(
        tuple(entries),
        model="firing windows",
        assumptions=(
            "first spikes: every neuron reads and compares its potential in each step of the "
            "window in which it may fire",
        ),
        sources=("tospike",),
    )


def rate_over(network: Network, activity: ActivityProfile, layers: Iterable[str]) -> float | None:
    """Spikes per synapse over some layers together: operations / N_syn; None without synapses."""
    chosen = [name for name in layers if network[name].n_synapses]
    synapses = sum(network[name].n_synapses for name in chosen)
    if not synapses:
        return None
    return math.fsum(activity[name].synaptic_operations for name in chosen) / synapses


def make_pricer(
    network: Network, technology: str | Technology, reference_model: str, options: Options
) -> Pricer:
    """Look every name up. Raises :class:`UnknownNameError` with the nearest spelling."""
    table = technology if isinstance(technology, Technology) else load(technology)
    rivals = tuple(key for key, model in MODELS.items() if model.mode == "ann" and model.rival)
    if reference_model not in rivals:
        raise unknown_name("reference ANN model", reference_model, rivals)
    if options.neuron not in NEURON_EQUATIONS:
        raise unknown_name("neuron model", options.neuron, tuple(NEURON_EQUATIONS))
    floating = f"{table.name}_fp"
    return Pricer(
        network,
        table,
        load(floating) if floating in names() else table,
        default_equation("snn", Implementation("snn", neuron=options.neuron)),
        options.equations,
        options.sram_bytes,
        options.static_power_w,
        options.stream,
    )


def with_shared_drivers(cost: Cost, technology: str) -> Cost:
    """``cost`` of the floating-point twin with the constants of ``technology`` named alike.

    Both tables hold the same memories; in a joint draw they must rise and fall together.
    """
    prefix, shared = f"{cost.technology}:", f"{technology}:"
    arithmetic = ("fp_", "int_")

    def name_of(driver: str) -> str:
        tail = driver.removeprefix(prefix)
        if not driver.startswith(prefix) or tail.startswith(arithmetic):
            return driver
        return shared + tail

    parts = tuple(
        replace(part, drivers=tuple(name_of(driver) for driver in part.drivers))
        for part in cost.parts
    )
    drivers = {name_of(driver): ends for driver, ends in cost.drivers.items()}
    return replace(cost, parts=parts, drivers=drivers)


def energy_of(cost: Cost) -> float:
    """Nominal energy in joule as a float."""
    return float(np.sum(cost.energy))


def energy_parts(cost: Cost) -> tuple[EnergyPart, ...]:
    """Energy by component for people, in joule; the terms beyond the synapse by their name."""
    found: dict[str, float] = {}
    for part in cost.parts:
        name = _PART_OF_TERM.get(part.part) or _PART_OF_COMPONENT.get(
            part.component, part.component
        )
        found[name] = found.get(name, 0.0) + float(np.sum(part.energy))
    return tuple(EnergyPart(name, energy) for name, energy in found.items() if energy > 0)


def energy_by_layer(cost: Cost) -> dict[str, float]:
    """Energy of every layer in joule, without borders and static power."""
    found: dict[str, float] = {}
    for part in cost.parts:
        if part.part not in ("border", "static"):
            found[part.layer] = found.get(part.layer, 0.0) + float(np.sum(part.energy))
    return found
