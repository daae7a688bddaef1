"""``Facts``: what follows from a claim before any rule looks at it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tospike.checking.quantity import Printed
from tospike.checking.record import Claim, ModelResult
from tospike.checking.shapes import Shape, shape_of
from tospike.technology import alu_energy, load

#: the convention "4.6 pJ per MAC, 0.9 pJ per AC": 32-bit floating point of Horowitz 2014, 45 nm
FLOAT = "horowitz_2014_45nm_fp"
INTEGER = "horowitz_2014_45nm"
#: slack of a formula that is recognised in a printed number, beside the printed digits:
#: networks of one name differ by that much (biases, norms, the last layer)
SLACK = 0.005


def operation_energy(technology: str, action: str, bits: int) -> float:
    """Energy of one operation in joule."""
    found = alu_energy(load(technology), action, bits)
    if found is None:  # pragma: no cover - both tables price both operations
        raise ValueError(f"{technology} prices no {action}")
    return found.energy


@dataclass(frozen=True)
class Facts:
    """A claim with its shape, activity and constants. Energies in joule, counts per inference.

    Attributes
    ----------
    steps : inner steps of one inference, T x D; None if T is unknown.
    spikes : spikes per synapse and inference of the layers that receive spikes; None: unknown.
    spiking_macs : synapses of the layers that receive spikes: all, without an analog first layer.
    expected_operations : spikes x spiking_macs.
    mac, ac : energies of one operation: as stated, else 4.6 and 0.9 pJ.
    stated : True if the claim states them.
    models : the claim under the published models.
    """

    claim: Claim
    shape: Shape
    steps: int | None
    spikes: float | None
    spiking_macs: float | None
    mac: float
    ac: float
    stated: bool
    models: tuple[ModelResult, ...] = ()

    @property
    def expected_operations(self) -> float | None:
        """Synaptic operations per inference that follow from rates, T and shapes."""
        if self.spikes is None or self.spiking_macs is None:
            return None
        return self.spikes * self.spiking_macs

    @property
    def operations(self) -> float | None:
        """Printed operations of the SNN, else the expected ones."""
        printed = self.claim.snn_operations
        return printed.value if printed else self.expected_operations

    @property
    def rate(self) -> float | None:
        """Spikes per neuron and inner step."""
        if self.claim.form.snn.firing_rate is not None:
            return self.claim.form.snn.firing_rate
        if self.spikes is not None and self.steps:
            return self.spikes / self.steps
        return None

    @property
    def direct(self) -> bool:
        """True if the first layer reads analog values."""
        return self.claim.form.snn.input == "direct"

    @property
    def ann_macs(self) -> float | None:
        """MACs of the ANN: its own, where the claim gives them, else the network's."""
        for found in (self.claim.ann_macs, self.claim.ann_operations):
            if found is not None:
                return found.value
        return self.shape.macs

    @property
    def claimed_ratio(self) -> float | None:
        """ANN energy / SNN energy as claimed: the printed ratio, or that of the energies."""
        if self.claim.ratio is not None:
            return self.claim.ratio.value
        if self.claim.ann_energy is not None and self.claim.snn_energy is not None:
            return self.claim.ann_energy.value / self.claim.snn_energy.value
        return None


def facts_of(claim: Claim) -> Facts:
    """Everything but the models, which :func:`tospike.checking.recompute.recompute` adds."""
    form = claim.form
    shape = shape_of(claim)
    inner = form.snn.timesteps * (form.snn.virtual_steps or 1) if form.snn.timesteps else None
    spiking = shape.macs
    if spiking is not None and form.snn.input == "direct":
        spiking = spiking - (shape.first_macs or 0.0)
    return Facts(
        claim=claim,
        shape=shape,
        steps=inner,
        spikes=_spikes(claim, shape, inner),
        spiking_macs=spiking,
        mac=claim.mac.value if claim.mac else operation_energy(FLOAT, "mac", 32),
        ac=claim.ac.value if claim.ac else operation_energy(FLOAT, "ac", 32),
        stated=claim.mac is not None and claim.ac is not None,
    )


def layer_spikes(claim: Claim, shape: Shape, inner: int | None) -> dict[str, float]:
    """Spikes per synapse of every layer whose rate is given by name, or in the table."""
    if inner is None or shape.network is None:
        return {}
    rates = dict(claim.form.snn.layer_firing_rates)
    rows = claim.form.network.layers
    for layer, row in zip(shape.network.layers, rows, strict=False):
        if row.firing_rate is not None:
            rates.setdefault(layer.name, row.firing_rate)
    return {name: rate * inner for name, rate in rates.items()}


def _spikes(claim: Claim, shape: Shape, inner: int | None) -> float | None:
    """Mean over the synapses of the layers that receive spikes."""
    snn = claim.form.snn
    if snn.spikes_per_synapse is not None:
        return snn.spikes_per_synapse
    by_layer = layer_spikes(claim, shape, inner)
    if by_layer and shape.network is not None:
        overall = snn.firing_rate * inner if snn.firing_rate is not None and inner else None
        skip = set(shape.first) if snn.input == "direct" else set()
        layers = [layer for layer in shape.network.synaptic_layers if layer.name not in skip]
        found = [(by_layer.get(layer.name, overall), layer.n_synapses) for layer in layers]
        if any(value is None for value, _ in found):
            return None
        total = sum(n for _, n in found)
        return sum((value or 0.0) * n for value, n in found) / total if total else None
    if snn.firing_rate is not None and inner is not None:
        return snn.firing_rate * inner
    if snn.firing_rate is None and claim.snn_operations is not None:
        return _implied(claim, shape)
    return None


def _implied(claim: Claim, shape: Shape) -> float | None:
    """Spikes per synapse that the printed operations imply."""
    operations = claim.snn_operations
    macs = shape.macs
    if operations is None or macs is None:
        return None
    if claim.form.snn.input == "direct":
        macs -= shape.first_macs or 0.0
    return operations.value / macs if macs else None


def near(printed: Printed, value: float | None, *inputs: Printed | None) -> bool:
    """True if ``value``, computed from ``inputs``, is the printed number within its digits.

    The tolerance is half of the last digit of the printed number, what the digits of the inputs
    allow, and :data:`SLACK`.
    """
    if value is None or not (math.isfinite(value) and value > 0):
        return False
    loose = SLACK + sum(item.relative for item in inputs if item is not None)
    return abs(printed.value - value) <= printed.half + loose * value
