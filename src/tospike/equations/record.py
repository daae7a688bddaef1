"""Records of the registry: ``EquationModel`` and ``EquationOptions``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

from tospike.actions import ActionCounts
from tospike.activity import LayerActivity
from tospike.equations.beyond import TERMS
from tospike.equations.dampfhoffer_2022 import EYERISS_V2_GAIN, REUSE_VGG16
from tospike.equations.lemaire_2022 import CONVENTIONS, FIFO_WORDS, Convention
from tospike.errors import OptionError
from tospike.implementation import Implementation
from tospike.network import Layer

EquationMode = Literal["ann", "snn", "delta"]


@dataclass(frozen=True, slots=True)
class EquationOptions:
    """Conventions and optional terms, by name. The defaults count truly.

    Attributes
    ----------
    gamma : "synaptic_operations": zero fraction per MAC, exact at borders and strides
        (1 - synaptic operations / N_syn); "zero_fraction": share of zero input values, as the
        papers use it.
    eyeriss_convention : "whole_bracket" or "as_printed" (Dampfhoffer 2022, eq. 13).
    eyeriss_reuse : mean reuse factor of input activations and partial sums on Eyeriss (VGG16:
        25, AlexNet: 80); a layer never exceeds its own theoretical reuse.
    eyeriss_weight_fetch : True: weights are fetched from distant memory N_syn / RF_weight times;
        False: neglected, as in the paper.
    eyeriss_v2_gain : 1.15 (AlexNet) or 1.06 (MobileNet).
    ottati_sparsity : "synapses" or "all_terms", see ``ottati_2023``.
    lemaire_convention : "authors_code", "as_printed" or "spikingjelly", see ``lemaire_2022``.
    lemaire_fifo_words : messages that a spike queue of Lemaire 2022 holds.
    yan_hops : mean hops of one activation per synapse in Yan 2026 (VGG16 0.64, transformer 4.75).
    bias : "when_present": a layer with biases adds them in every step of an SNN; "always":
        also layers without (batch normalisation folded later); "never", as in the papers.
    terms : names out of ``tospike.equations.beyond.TERMS``.
    on_chip_bytes : memory for weights, in byte (term "weights_off_chip").
    inference_seconds, duty_cycle : for the term "static".
    hops_per_event : for the term "communication".
    """

    gamma: Literal["synaptic_operations", "zero_fraction"] = "synaptic_operations"
    eyeriss_convention: Literal["whole_bracket", "as_printed"] = "whole_bracket"
    eyeriss_reuse: float = REUSE_VGG16.value
    eyeriss_weight_fetch: bool = True
    eyeriss_v2_gain: float = EYERISS_V2_GAIN.value
    ottati_sparsity: Literal["synapses", "all_terms"] = "synapses"
    bias: Literal["when_present", "always", "never"] = "when_present"
    terms: tuple[str, ...] = ()
    on_chip_bytes: float | None = None
    inference_seconds: float | None = None
    duty_cycle: float = 1.0
    hops_per_event: float | None = None
    lemaire_convention: Convention = "authors_code"
    lemaire_fifo_words: int = FIFO_WORDS
    yan_hops: float = 1.0

    def __post_init__(self) -> None:
        reasons = [
            f"there is no term {term!r}; there are {', '.join(TERMS)}"
            for term in self.terms
            if term not in TERMS
        ]
        needs = {
            "weights_off_chip": ("on_chip_bytes", self.on_chip_bytes),
            "static": ("inference_seconds", self.inference_seconds),
            "communication": ("hops_per_event", self.hops_per_event),
        }
        for term, (name, value) in needs.items():
            if term not in self.terms:
                continue
            if value is None:
                reasons.append(f"the term {term!r} needs {name}")
            elif not (math.isfinite(value) and value >= 0):
                reasons.append(f"{name} is {value!r}; it must be a finite number >= 0")
        choices = (
            ("gamma", self.gamma, ("synaptic_operations", "zero_fraction")),
            ("eyeriss_convention", self.eyeriss_convention, ("whole_bracket", "as_printed")),
            ("ottati_sparsity", self.ottati_sparsity, ("synapses", "all_terms")),
            ("lemaire_convention", self.lemaire_convention, CONVENTIONS),
            ("bias", self.bias, ("when_present", "always", "never")),
        )
        for name, choice, allowed in choices:
            if choice not in allowed:
                reasons.append(f"{name} is {choice!r}; it must be one of {', '.join(allowed)}")
        if not (math.isfinite(self.yan_hops) and self.yan_hops >= 0):
            reasons.append(f"yan_hops is {self.yan_hops!r}; it must be a finite number >= 0")
        if self.lemaire_fifo_words < 1:
            reasons.append(f"lemaire_fifo_words is {self.lemaire_fifo_words!r}; at least 1")
        if reasons:
            raise OptionError(
                "use these equation options",
                allowed="the values described in EquationOptions",
                fix="correct the listed options",
                reasons=reasons,
            )


class CountLayer(Protocol):
    """``count_layer(layer, activity, implementation)`` of an :class:`EquationModel`."""

    def __call__(
        self,
        layer: Layer,
        activity: LayerActivity,
        implementation: Implementation,
        options: EquationOptions = ...,
        /,
    ) -> ActionCounts: ...


@dataclass(frozen=True, slots=True)
class EquationModel:
    """One equation that counts one layer.

    ``mode`` says what it counts ("ann" models serve "qnn" too), ``technology`` is the table the
    paper itself prices it with, ``count_layer`` the counting function; ``event_driven`` is True
    where zero spikes mean zero synaptic energy; ``rival`` is False where the equation can only be
    set beside the other one of its own paper (operations alone, bits, memories of other sizes).
    """

    key: str
    mode: EquationMode
    title: str
    paper: str
    locator: str
    technology: str
    count_layer: CountLayer
    event_driven: bool = False
    rival: bool = True
