"""What the importer knows about ATen operations without synapses."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from tospike.network.importers.neurons import declared_signal
from tospike.network.importers.neurons_record import find

#: ATen name -> kind, for operations that are kept as one layer
KINDS = {
    "_prelu_kernel": "prelu",
    "_adaptive_avg_pool2d": "avg_pool",
    "_adaptive_avg_pool3d": "avg_pool",
    "_batch_norm_with_update": "batch_norm",
    "_log_softmax": "log_softmax",
    "_native_batch_norm_legit": "batch_norm",
    "_native_batch_norm_legit_no_training": "batch_norm",
    "_softmax": "softmax",
    "adaptive_avg_pool1d": "avg_pool",
    "adaptive_avg_pool2d": "avg_pool",
    "adaptive_avg_pool3d": "avg_pool",
    "adaptive_max_pool1d": "max_pool",
    "adaptive_max_pool2d": "max_pool",
    "adaptive_max_pool3d": "max_pool",
    "avg_pool1d": "avg_pool",
    "avg_pool2d": "avg_pool",
    "avg_pool3d": "avg_pool",
    "batch_norm": "batch_norm",
    "clamp_min": "clamp",
    "cudnn_batch_norm": "batch_norm",
    "group_norm": "group_norm",
    "instance_norm": "instance_norm",
    "layer_norm": "layer_norm",
    "log_softmax": "log_softmax",
    "max_pool1d": "max_pool",
    "max_pool1d_with_indices": "max_pool",
    "max_pool2d": "max_pool",
    "max_pool2d_with_indices": "max_pool",
    "max_pool3d": "max_pool",
    "max_pool3d_with_indices": "max_pool",
    "native_batch_norm": "batch_norm",
    "native_group_norm": "group_norm",
    "native_layer_norm": "layer_norm",
    "relu6": "relu6",
    "rms_norm": "rms_norm",
    "selu": "selu",
    "softmax": "softmax",
    "concat": "cat",
    "concatenate": "cat",
    "stack": "cat",
}

#: composite operations that are kept whole (all others are taken apart)
WHOLE = frozenset(
    {
        "adaptive_avg_pool1d",
        "adaptive_avg_pool2d",
        "adaptive_avg_pool3d",
        "adaptive_max_pool1d",
        "avg_pool1d",
        "batch_norm",
        "concat",
        "concatenate",
        "contiguous",
        "dropout",
        "dropout_",
        "expand_as",
        "feature_dropout",
        "flatten",
        "group_norm",
        "instance_norm",
        "layer_norm",
        "log_softmax",
        "max_pool1d",
        "max_pool1d_with_indices",
        "max_pool2d",
        "max_pool3d",
        "movedim",
        "relu6",
        "relu6_",
        "reshape",
        "reshape_as",
        "rms_norm",
        "selu",
        "selu_",
        "silu",
        "softmax",
        "split_with_sizes",
        "to",
        "type_as",
        "unflatten",
        "view_as",
    }
)

#: operations that only move values: skipped through, the provenance passes on
MOVES = frozenset(
    {
        "_reshape_alias",
        "_reshape_copy",
        "_to_copy",
        "_unsafe_view",
        "alias",
        "clone",
        "constant_pad_nd",
        "contiguous",
        "copy",
        "detach",
        "dropout",
        "dropout_",
        "expand_as",
        "feature_dropout",
        "fill",
        "flatten",
        "flip",
        "gather",
        "index",
        "index_put",
        "index_put_",
        "index_select",
        "lift_fresh",
        "movedim",
        "pixel_shuffle",
        "pixel_unshuffle",
        "reflection_pad1d",
        "reflection_pad2d",
        "reflection_pad3d",
        "repeat",
        "replication_pad1d",
        "replication_pad2d",
        "replication_pad3d",
        "reshape",
        "reshape_as",
        "roll",
        "slice_scatter",
        "select_scatter",
        "channel_shuffle",
        "to",
        "type_as",
        "unflatten",
        "unfold",
        "view_as",
        "zeros_like",
        "ones_like",
        "empty_like",
        "new_zeros",
        "new_empty",
        "new_ones",
        "new_full",
        "full_like",
    }
)

#: operations that take large parameters and have no synapses
WEIGHTED_WITHOUT_SYNAPSES = frozenset(
    {
        "cat",
        "stack",
        "concat",
        "concatenate",
        "sum",
        "mean",
        "amax",
        "amin",
        "max",
        "min",
        "cumsum",
        "copy_",
        "linalg_vector_norm",
        "norm",
        "prelu",
        "_prelu_kernel",
        "where",
        "masked_fill",
        "topk",
        "sort",
        "scatter",
        "scatter_add",
        "index_add",
        "argmax",
        "native_layer_norm",
        "layer_norm",
        "batch_norm",
        "native_batch_norm",
        "group_norm",
        "rms_norm",
        "bucketize",
        "grid_sampler",
        "grid_sampler_2d",
        "grid_sampler_3d",
        "index_copy",
        "linalg_cross",
        "masked_scatter",
        "scatter_reduce",
        "searchsorted",
        "take",
        "upsample_bilinear2d",
        "upsample_nearest2d",
        "upsample_bicubic2d",
    }
)


def base_name(func: Any) -> str:
    """ATen name without name space and overload: "relu_" of aten.relu_.default."""
    name: str = func._schema.name
    return name.split("::")[-1]


@cache
def must_decompose(func: Any) -> bool:
    """True for composite operations that may hide synapses."""
    name = base_name(func)
    whole = name in WHOLE or name.startswith(("upsample_", "_upsample_"))
    return not whole and bool(func._can_decompose())


@cache
def moves_only(func: Any) -> bool:
    """True if the operation only moves values (views, copies, reshapes)."""
    return bool(func.is_view) or base_name(func) in MOVES


@cache
def kind_of(func: Any) -> str:
    """Layer kind of an operation without synapses: "relu" of aten.relu_.default."""
    name = base_name(func)
    bare = name.rstrip("_")
    if bare.startswith(("upsample_", "_upsample_")):
        return "upsample"
    return KINDS.get(name, KINDS.get(bare, bare))


@cache
def may_hide_synapses(func: Any) -> bool:
    """True for operations of which nothing is known; with a large parameter they are refused."""
    name = base_name(func)
    known = (
        moves_only(func)
        or torch.Tag.pointwise in func.tags
        or name in WEIGHTED_WITHOUT_SYNAPSES
        or name in KINDS
    )
    return not known


#: kinds through which a spike signal stays a spike signal
KEEPS_SPIKES = frozenset({"max_pool", "cat", "copy"})

#: reductions that may take the time axis away
REDUCES = frozenset({"sum", "mean", "amax", "max", "median"})

#: fresh tensors of the shape of another one: they hold no signal yet
EMPTY = frozenset(
    {
        "empty_like",
        "full_like",
        "new_empty",
        "new_full",
        "new_ones",
        "new_zeros",
        "ones_like",
        "zeros_like",
    }
)

#: class that produces a tensor -> signal of its (first) output. Extend it with your own neurons:
#: ``SPIKING_MODULES["my_package.neurons.IF"] = "spike"``. Subclasses count as their base class,
#: and modules below the named one count as it (packages move their classes into sub-modules).
#: Neurons with graded or signed events are "analog": their synapses multiply. The neurons of the
#: frameworks are in :mod:`tospike.network.importers.neurons`, with their models; a line here is
#: read first.
SPIKING_MODULES = {
    "norse.torch.module.encode.ConstantCurrentLIFEncoder": "spike",
    "norse.torch.module.encode.PoissonEncoder": "spike",
    "norse.torch.module.encode.PoissonEncoderStep": "spike",
    "norse.torch.module.encode.SpikeLatencyEncoder": "spike",
    "norse.torch.module.encode.SpikeLatencyLIFEncoder": "spike",
    "spikingjelly.activation_based.encoding.LatencyEncoder": "spike",
    "spikingjelly.activation_based.encoding.PoissonEncoder": "spike",
    "spikingjelly.clock_driven.neuron.BaseNode": "spike",
}


def signal_of_module(module: torch.nn.Module) -> str | None:
    """Declared signal of the output of a module's class, or None for a class that declares none."""
    entry = find(SPIKING_MODULES, type(module))
    return entry[1] if entry is not None else declared_signal(type(module))


def keeps_spikes(func: Any, kind: str) -> bool:
    """True if 0 and 1 stay 0 and 1: the operation chooses among values and makes no new ones."""
    return kind in KEEPS_SPIKES or base_name(func).startswith("upsample_nearest")
