"""Which layers could receive spikes, read off the network alone (no weights are run).

Used where a network cannot be executed (a topology without weights, an unsupported operator).
Where it can, ``tospike.conversion`` decides with the operations themselves in hand.
"""

from __future__ import annotations

from tospike.network import INPUT, Layer, Network

#: synapses that an event-driven layer can hold
_SPIKING_KINDS = frozenset({"conv", "linear"})
#: activations whose outputs are rates: zero or positive
_RECTIFIERS = frozenset({"relu", "relu6", "relu_"})
#: operations through which spikes pass, by the start of their name
_TRANSPARENT = (
    "max_pool",
    "avg_pool",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "average_pool",
    "global_average_pool",
    "mean",
    "flatten",
    "reshape",
    "view",
    "unsafe_view",
    "_unsafe_view",
    "cat",
    "concat",
    "add",
    "dropout",
    "squeeze",
    "unsqueeze",
    "identity",
    "permute",
    "transpose",
    "clone",
    "contiguous",
)

_OTHER_KINDS = {
    "matmul": "it multiplies two activations",
    "bilinear": "it multiplies two activations",
    "rnn_input": "it belongs to a recurrent layer with continuous states",
    "rnn_hidden": "it belongs to a recurrent layer with continuous states",
    "embedding": "it is a table look-up without synaptic operations",
}


def structural_eligibility(network: Network) -> dict[str, str]:
    """Synaptic layer -> "" if its synapses could receive spikes, else the reason.

    A layer can if it is a convolution or linear and every path to it comes from a rectifier
    through pooling, reshaping, concatenation, dropout or addition of rectified values.
    """
    incoming: dict[str, list[str]] = {}
    for edge in network.edges:
        incoming.setdefault(edge.target, []).append(edge.source)
    memo: dict[str, str] = {INPUT: "its input is the analog input of the network"}

    def reason_of(name: str) -> str:
        stack = [name]
        while stack:
            current = stack[-1]
            if current in memo:
                stack.pop()
                continue
            layer = network.by_name[current]
            settled = _settled(layer)
            if settled is not None:
                memo[current] = settled
                stack.pop()
                continue
            waiting = [source for source in incoming.get(current, ()) if source not in memo]
            if waiting:
                stack.extend(waiting)
                continue
            reasons = [memo[source] for source in incoming.get(current, ())]
            memo[current] = next((reason for reason in reasons if reason), "")
            stack.pop()
        return memo[name]

    found = {}
    for layer in network.synaptic_layers:
        if layer.kind not in _SPIKING_KINDS:
            found[layer.name] = _OTHER_KINDS.get(layer.kind, f"its kind is {layer.kind}")
            continue
        sources = incoming.get(layer.name, [])
        reasons = [reason_of(source) for source in sources] or ["nothing is known of its input"]
        found[layer.name] = next((reason for reason in reasons if reason), "")
    return found


def _settled(layer: Layer) -> str | None:
    """The verdict on the output of one layer if it does not depend on what feeds it."""
    if layer.kind in _RECTIFIERS:
        return ""
    if layer.synaptic:
        return f"its input comes from {layer.name!r} without a rectifier"
    if layer.kind.startswith(_TRANSPARENT):
        return None
    return f"its input comes from {layer.name!r} ({layer.kind}), which is not a rectifier"
