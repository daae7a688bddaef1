"""``load``: a torch module, an ONNX or NIR file, or a published topology -> ``Network``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tospike.errors import ModelError, OptionError
from tospike.network import Network


def load(
    model: Any,
    example_input: Any = None,
    *,
    batch_dim: int | None = 0,
    timesteps: int | None = None,
) -> Network:
    """Read a network: what is computed, layer by layer, per inference of one sample.

    Parameters
    ----------
    model : a ``torch.nn.Module`` (unedited), a path that ends in ``.onnx`` or ``.nir``, or the
        name of a network of the zoo ("vgg16"). NIR files need no example input.
    example_input : a tensor, a tuple or list of tensors (positional arguments) or a mapping
        (keyword arguments; for ONNX by input name). Its batch size changes no number. A module
        needs one; an ONNX file only where it has dynamic dimensions besides the batch, and
        arrays or full shapes with the batch as 1 will do.
    batch_dim : for a module: dimension of the example's tensors that counts samples; None if the
        example is one sample without a batch dimension.
    timesteps : for a spiking module that computes one time step per call: calls of one inference,
        as in ``measure``. The example is the input of one call; every figure is that of all calls.

    Raises
    ------
    ModelError : the model cannot be read or raises, or a parameter is NaN or infinite.
    UnsupportedOperatorError : operators with weights that cannot be counted, all at once.
    UnknownNameError : no network of that name in the zoo.
    OptionError : a ``batch_dim`` or ``timesteps`` that is no such number, or not for this model.
    """
    _check_timesteps(model, timesteps)
    if isinstance(model, str | Path):
        return _load_text(model, example_input)
    import torch

    if isinstance(model, torch.nn.Module):
        from tospike.network.importers.torch_populations import over_time
        from tospike.network.importers.torch_run import batch_dim_faults, uncompiled
        from tospike.network.importers.torch_trace import load_torch

        reasons = batch_dim_faults(batch_dim)
        if reasons:
            raise OptionError("load the network", reasons=reasons)
        network = load_torch(uncompiled(model), example_input, batch_dim=batch_dim)
        return over_time(network, timesteps or 1)
    raise ModelError(
        "load the network",
        received=f"an object of type {type(model).__module__}.{type(model).__qualname__}",
        allowed="a torch.nn.Module, a path that ends in .onnx, or the name of a zoo network",
        fix="give the module itself (not its class, its state_dict or its file)",
    )


def _check_timesteps(model: Any, timesteps: int | None) -> None:
    whole = isinstance(timesteps, int) and not isinstance(timesteps, bool)
    if timesteps is not None and not (whole and timesteps > 0):
        raise OptionError(
            "load the network",
            reasons=[f"timesteps is {timesteps!r}; a whole number of at least 1 is needed"],
        )
    if timesteps is not None and isinstance(model, str | Path):
        raise OptionError(
            f"load {str(model)!r} with timesteps",
            allowed="timesteps for a torch module that computes one time step per call",
            fix="leave timesteps out",
        )


def _load_text(model: str | Path, example_input: Any) -> Network:
    """A file, or a topology of the zoo."""
    if str(model).lower().endswith(".onnx"):
        from tospike.network.importers.onnx_graph import load_onnx

        return load_onnx(Path(model), example_input)
    if str(model).lower().endswith(".nir"):
        from tospike.network.importers.nir_graph import load_nir

        return load_nir(Path(model))
    # names of the zoo are plain words; anything with a suffix or a folder is meant as a path
    if isinstance(model, str) and not Path(model).suffix and "/" not in model:
        from tospike.network.zoo import load_zoo

        return load_zoo(model)
    raise ModelError(
        f"load the network {str(model)!r}",
        received=f"a path that ends in {Path(model).suffix!r}",
        allowed="a path that ends in .onnx or .nir, or the name of a zoo network",
        fix="export the model to ONNX, or give the torch module itself",
    )
