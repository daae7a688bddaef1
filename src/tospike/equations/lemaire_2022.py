"""Lemaire et al. 2022: every memory access, operation and address of one layer, one by one.

What
    Formal (FNN) and spiking (SNN) convolutions and fully connected layers on an accelerator that
    keeps inputs, weights, potentials and outputs in memories of their own, without reuse. The
    energy of an access depends on the capacity of the memory, so every entry states it.

Equations (numbers of the article; theta = spikes per inference)
    ann_conv   1.1 MAC N_syn; 1.2 ACC N_out; 3 RdIn N_syn; 6.1 RdW N_syn, RdB N_out;
               11 WrOut N_out; addressing ACC: N_in + N_out + C_out H_k W_k
    ann_fc     2.1 MAC N_syn; 2.2 ACC N_out; 4 RdIn N_in; 6.2 RdW N_syn, RdB N_out;
               12 WrOut N_out; addressing ACC: N_in N_out
    snn_conv   1.3 MAC T N_out (leak only); 1.4 ACC theta_in C_out ceil(H_k/S) ceil(W_k/S) +
               T N_out + theta_out; 5 RdIn theta_in; 7 RdW theta_in C_out H_k W_k, RdB T N_out;
               9, 14 RdPot = WrPot = theta_in C_out H_k W_k + T N_out; 13 WrOut theta_out;
               16.2 addressing MAC 2 theta_in; 16.3 addressing ACC theta_in H_k W_k
    snn_fc     2.3 MAC T N_out (leak only); 2.4 ACC theta_in N_out + T N_out + theta_out;
               5 RdIn theta_in; 8 RdW theta_in N_out, RdB T N_out; 10, 15 RdPot = WrPot =
               theta_in N_out + T N_out; 13 WrOut theta_out; 17.2 addressing ACC theta_in N_out

Legend
    n_syn                 MACs of the layer; for a convolution C_in C_out H_out W_out H_k W_k
    n_inputs, n_outputs   N_in, N_out: values of the input and of the output
    spikes_in, spikes_out theta_in, theta_out: events per inference, over all T steps
    fan_out               synapses of one input: C_out H_k W_k, or N_out
    fan_out_computed      C_out ceil(H_k/S) ceil(W_k/S): synapses that a stride leaves
    kernel_size           H_k W_k
    memories              capacity in byte of each memory (None: the technology's reference)
    convention            see below

Conventions
    "authors_code"  (default) the corrections of the authors' laboratory, as above: eq. 2.4 of the
                    article counts N_in times too many accumulations and omits the reset; eq. 16.3
                    has a factor C_out too many. Its own eq. 17.2 multiplies the spike rate where
                    the number of spikes is meant; here it is the number of spikes.
    "as_printed"    eq. 2.4 theta_in N_in N_out + T N_out, eq. 16.3 theta_in C_out H_k W_k.
    "spikingjelly"  as SpikingJelly 2.0 programs it: eq. 16.3 as printed, eq. 2.4 corrected, the
                    accumulations of the bias only with a bias, FNN addressing of fully connected
                    layers N_in + N_out.

Range of validity
    32-bit integers at 45 nm; 8 KiB to 1 MiB of SRAM per memory (outside, the pricing says so). No
    reuse, no zero skipping in the FNN, no static power, no transport of spikes. A spike at a
    border is charged the whole kernel. The article itself was not at hand: the equations are
    those documented in two public implementations of it.

Reference
    E. Lemaire et al., ICONIP 2022, arXiv:2210.13107; Qualia SNN plugin, EnergyEstimationMetric;
    SpikingJelly 2.0, op_counter.analytical_energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from numpy.typing import ArrayLike

from tospike.actions import ActionCounts, Array, Entry, count
from tospike.equations.checks import array, one_of, times
from tospike.equations.dampfhoffer_2022 import mac_bits

SOURCES = ("lemaire_2022", "qualia_snn")
Convention = Literal["authors_code", "as_printed", "spikingjelly"]
CONVENTIONS: tuple[Convention, ...] = ("authors_code", "as_printed", "spikingjelly")

#: messages that an input or output queue of an SNN layer holds, as in the article's experiments
FIFO_WORDS = 1000
_INDEX_BITS = 32
_ANN = "Lemaire: FNN without data reuse; every operand is read from an SRAM of its own size"
_SNN = (
    "Lemaire: every spike reads its weights and reads and writes the potentials of its whole "
    "kernel; every potential is read and written once more in every time step"
)


@dataclass(frozen=True, slots=True)
class Memories:
    """Capacities in byte; None leaves the technology's reference capacity."""

    inputs: float | None = None
    weights: float | None = None
    biases: float | None = None
    potentials: float | None = None
    outputs: float | None = None


_NO_SIZES = Memories()


def ann_conv(
    *,
    n_syn: ArrayLike,
    n_inputs: ArrayLike,
    n_outputs: ArrayLike,
    addressed_weights: ArrayLike,
    bias: bool = True,
    weight_bits: int = 32,
    iact_bits: int = 32,
    memories: Memories = _NO_SIZES,
    convention: Convention = "authors_code",
    layer: str = "synapses",
) -> ActionCounts:
    """Eqs. 1.1, 1.2, 3, 6.1, 11; ``addressed_weights`` is C_out H_k W_k."""
    one_of("convention", convention, CONVENTIONS)
    addresses = array(n_inputs) + array(n_outputs) + array(addressed_weights)
    bits = (weight_bits, iact_bits)
    return _fnn(n_syn, n_syn, n_outputs, addresses, bias, bits, memories, convention, layer)


def ann_fc(
    *,
    n_syn: ArrayLike,
    n_inputs: ArrayLike,
    n_outputs: ArrayLike,
    bias: bool = True,
    weight_bits: int = 32,
    iact_bits: int = 32,
    memories: Memories = _NO_SIZES,
    convention: Convention = "authors_code",
    layer: str = "synapses",
) -> ActionCounts:
    """Eqs. 2.1, 2.2, 4, 6.2, 12."""
    one_of("convention", convention, CONVENTIONS)
    both = array(n_inputs) + array(n_outputs)
    addresses = both if convention == "spikingjelly" else array(n_syn)
    bits = (weight_bits, iact_bits)
    return _fnn(n_syn, n_inputs, n_outputs, addresses, bias, bits, memories, convention, layer)


def _fnn(
    n_syn: ArrayLike,
    reads: ArrayLike,
    n_outputs: ArrayLike,
    addresses: Array,
    bias: bool,
    bits: tuple[int, int],
    memories: Memories,
    convention: Convention,
    layer: str,
) -> ActionCounts:
    weight_bits, iact_bits = bits
    width = mac_bits(weight_bits, iact_bits)
    outputs = array(n_outputs)
    biased = bias or convention != "spikingjelly"
    entries = [
        _access(layer, "read", "iact", reads, iact_bits, memories.inputs),
        _access(layer, "read", "weight", n_syn, weight_bits, memories.weights),
        _access(layer, "write", "oact", outputs, iact_bits, memories.outputs, part="neuron"),
        count(layer, "alu", "mac", "none", array(n_syn), bits=width),
        count(layer, "alu", "ac", "bias", outputs * biased, bits=width, part="neuron"),
        count(layer, "alu", "ac", "index", addresses, bits=_INDEX_BITS),
    ]
    if bias:
        entries.append(
            _access(layer, "read", "bias", outputs, weight_bits, memories.biases, part="neuron")
        )
    return _counts("ann_lemaire", entries, _ANN, convention)


def snn_conv(
    *,
    spikes_in: ArrayLike,
    spikes_out: ArrayLike,
    fan_out: ArrayLike,
    fan_out_computed: ArrayLike,
    kernel_size: ArrayLike,
    n_outputs: ArrayLike,
    n_timesteps: ArrayLike,
    bias: bool = True,
    leak: bool = False,
    weight_bits: int = 32,
    state_bits: int = 32,
    message_bits: int = 32,
    memories: Memories = _NO_SIZES,
    convention: Convention = "authors_code",
    layer: str = "synapses",
) -> ActionCounts:
    """Eqs. 1.3, 1.4, 5, 7, 9, 13, 14, 16.2, 16.3."""
    one_of("convention", convention, CONVENTIONS)
    addressed = kernel_size if convention == "authors_code" else fan_out
    events = _Events(
        received=array(spikes_in),
        sent=array(spikes_out),
        accesses=times(spikes_in, fan_out),
        additions=times(spikes_in, fan_out_computed),
        resets=array(spikes_out),
        multiplied=times(spikes_in, 2.0),
        addressed=times(spikes_in, addressed),
    )
    bits = (weight_bits, state_bits, message_bits)
    updates = times(n_outputs, n_timesteps)
    return _snn(events, updates, bias, leak, bits, memories, convention, layer)


def snn_fc(
    *,
    spikes_in: ArrayLike,
    spikes_out: ArrayLike,
    n_inputs: ArrayLike,
    n_outputs: ArrayLike,
    n_timesteps: ArrayLike,
    fan_out: ArrayLike | None = None,
    bias: bool = True,
    leak: bool = False,
    weight_bits: int = 32,
    state_bits: int = 32,
    message_bits: int = 32,
    memories: Memories = _NO_SIZES,
    convention: Convention = "authors_code",
    layer: str = "synapses",
) -> ActionCounts:
    """Eqs. 2.3, 2.4, 5, 8, 10, 13, 15, 17.2. ``fan_out`` None: N_out, all neurons."""
    one_of("convention", convention, CONVENTIONS)
    reached = times(spikes_in, n_outputs if fan_out is None else fan_out)
    printed = convention == "as_printed"
    events = _Events(
        received=array(spikes_in),
        sent=array(spikes_out),
        accesses=reached,
        additions=times(reached, n_inputs) if printed else reached,
        resets=times(spikes_out, 0.0 if printed else 1.0),
        multiplied=times(spikes_in, 0.0),
        addressed=reached,
    )
    bits = (weight_bits, state_bits, message_bits)
    updates = times(n_outputs, n_timesteps)
    return _snn(events, updates, bias, leak, bits, memories, convention, layer)


@dataclass(frozen=True, slots=True)
class _Events:
    """What the spikes of one inference do: messages, accesses, additions, address operations."""

    received: Array
    sent: Array
    accesses: Array
    additions: Array
    resets: Array
    multiplied: Array
    addressed: Array


def _snn(
    events: _Events,
    updates: Array,
    bias: bool,
    leak: bool,
    bits: tuple[int, int, int],
    memories: Memories,
    convention: Convention,
    layer: str,
) -> ActionCounts:
    weight_bits, state_bits, message_bits = bits
    width = max(weight_bits, state_bits)
    biased = bias or convention != "spikingjelly"
    potentials, own = memories.potentials, "neuron"
    entries = [
        _access(layer, "read", "spike", events.received, message_bits, memories.inputs),
        _access(layer, "read", "weight", events.accesses, weight_bits, memories.weights),
        _access(layer, "read", "state", events.accesses, state_bits, potentials),
        _access(layer, "write", "state", events.accesses, state_bits, potentials),
        count(layer, "alu", "ac", "none", events.additions, bits=width),
        count(layer, "alu", "mac", "index", events.multiplied, bits=_INDEX_BITS),
        count(layer, "alu", "ac", "index", events.addressed, bits=_INDEX_BITS),
        _access(layer, "read", "state", updates, state_bits, potentials, part=own),
        _access(layer, "write", "state", updates, state_bits, potentials, part=own),
        count(layer, "alu", "ac", "bias", updates * biased, bits=width, part=own),
        _access(layer, "write", "spike", events.sent, message_bits, memories.outputs, part=own),
        count(layer, "alu", "ac", "state", events.resets, bits=width, part=own),
    ]
    if bias:
        entries.append(
            _access(layer, "read", "bias", updates, weight_bits, memories.biases, part=own)
        )
    if leak:
        entries.append(count(layer, "alu", "mac", "state", updates, bits=width, part=own))
    return _counts("snn_lemaire", entries, _SNN, convention)


def _access(
    layer: str,
    action: str,
    datatype: str,
    number: ArrayLike,
    bits: int,
    capacity: float | None,
    *,
    part: str = "synapse",
) -> Entry:
    found = array(number)
    return count(
        layer, "sram", action, datatype, found, bits=bits, capacity_bytes=capacity, part=part
    )


def _counts(
    model: str, entries: list[Entry], assumption: str, convention: Convention
) -> ActionCounts:
    said = (assumption, f"Lemaire: equations by the convention {convention!r}")
    return ActionCounts(tuple(entries), model=model, assumptions=said, sources=SOURCES)
