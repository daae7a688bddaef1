"""``Layer``: WHAT is computed by one set of synapses. A frozen record; it does nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

#: kinds with synapses (a weight, or a product of two activations). All others carry no MACs.
SYNAPTIC_KINDS = frozenset(
    {
        "conv",  # any rank 1-3, any groups; transposed=True for transposed convolutions
        "linear",
        "matmul",  # product of two activations (attention), no weights
        "bilinear",
        "rnn_input",  # W_ih x: input synapses of an RNN/GRU/LSTM layer, used once per time step
        "rnn_hidden",  # W_hh h: recurrent synapses, used once per time step
        "embedding",  # table look-up: weights but no MACs
    }
)


class Reuse(NamedTuple):
    """Theoretical reuse factors: MACs per distinct word (Dampfhoffer 2022, III-A)."""

    iact: float
    weight: float
    psum: float


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, per inference of ONE sample (batch dimensions removed everywhere).

    Attributes
    ----------
    name : qualified name of the module that owns the weight ("features.0"); for weights not
        called "weight" the full parameter name ("gru.weight_ih_l0"); for products of two
        activations the module path and operation ("attn.matmul", "attn.matmul_1"); for ONNX the
        node name.
    kind : one of :data:`SYNAPTIC_KINDS`, or the lower-case operation for layers without synapses
        ("relu", "batch_norm", "max_pool", "add", ...).
    input_shape, output_shape : without the batch dimension; of one call.
    n_synapses : MACs per inference, over all calls; groups and depthwise counted truly, padded
        positions counted (the usual MAC count).
    n_synapses_exact : the same without the products with padding zeros (border-exact).
    n_neurons : outputs per inference (all calls).
    n_inputs : distinct input activations per inference (all calls).
    n_weights : number of weights of this layer (bias excluded, reuse by later calls not counted
        again). Of these, ``extra["tied_weights"]`` are stored with the layer
        ``extra["tied_to"]`` that ran before; :attr:`Network.n_weights` counts them once.
    n_biases : number of biases.
    calls : how often the layer runs in one inference (time steps, weight sharing).
    """

    name: str
    kind: str
    input_shape: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    transposed: bool = False
    n_synapses: int = 0
    n_synapses_exact: int = 0
    n_neurons: int = 0
    n_inputs: int = 0
    n_weights: int = 0
    n_biases: int = 0
    calls: int = 1
    weight_bits: int = 32
    activation_bits: int = 32
    state_bits: int = 32
    neuron: str | None = None
    extra: dict[str, str | int | float] = field(default_factory=dict)

    @property
    def synaptic(self) -> bool:
        """True if the layer has synapses (weights, or a product of two activations)."""
        return self.kind in SYNAPTIC_KINDS

    @property
    def reuse(self) -> Reuse:
        """Theoretical reuse factors at batch 1: every word fetched once from distant memory.

        RF_iact = N_syn / inputs, RF_weight = N_syn / weights (for a product of two activations
        the second operand plays the weight, see ``extra["second_operand"]``), RF_psum =
        N_syn / outputs. Dampfhoffer 2022, III-A: for a fully connected layer they are N_out, 1
        and N_in. Never below 1.
        """
        second = self.n_weights or int(self.extra.get("second_operand", 0))

        def factor(words: int) -> float:
            return max(1.0, self.n_synapses / words) if words else 1.0

        return Reuse(factor(self.n_inputs), factor(second), factor(self.n_neurons))

    @property
    def fan_out(self) -> float:
        """Mean synapses per input neuron (N_syn / inputs)."""
        return self.n_synapses / self.n_inputs if self.n_inputs else 0.0
