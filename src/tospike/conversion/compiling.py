"""``ts.compile``: a delta network, or a converted spiking network, as a program of fast kernels."""

from __future__ import annotations

from typing import Any

from torch import nn

from tospike.conversion.converted import Converted
from tospike.conversion.delta import compiled
from tospike.conversion.spiking_program import CompiledSnn
from tospike.errors import ConversionError
from tospike.kernels.delta.packed import Accumulation
from tospike.kernels.delta.record import Storage
from tospike.kernels.spiking.engine import Policy


def compile(
    module: nn.Module,
    *,
    streams: int = 1,
    storage: Storage = "float32",
    accumulation: Accumulation = "float",
    fraction_bits: int = 8,
    threads: int = 1,
    policy: Policy = "calibrated",
) -> Any:
    """Compile a recurrent network, or what ``ts.convert(..., to="snn")`` returned.

    Parameters
    ----------
    module : for a recurrent network see :func:`tospike.conversion.delta.compiled.compile`, which
        the next four are for; a :class:`~tospike.conversion.converted.Converted` SNN is compiled
        for the event-driven engine.
    threads : threads that share the work.
    policy : of the :class:`~tospike.kernels.spiking.engine.SpikingEngine`, SNN only.

    Returns
    -------
    :class:`~tospike.conversion.delta.compiled.Compiled` or
    :class:`~tospike.conversion.spiking_program.CompiledSnn`.

    Raises
    ------
    ConversionError
        The network is not known; all reasons are listed.
    """
    if not isinstance(module, Converted):
        return compiled.compile(
            module,
            streams=streams,
            storage=storage,
            accumulation=accumulation,
            fraction_bits=fraction_bits,
            threads=threads,
        )
    given = {
        "streams": streams != 1,
        "storage": storage != "float32",
        "accumulation": accumulation != "float",
        "fraction_bits": fraction_bits != 8,
    }
    wrong = [f"{name} is for recurrent networks" for name, used in given.items() if used]
    if module.settings.to != "snn":
        wrong.append(f"it was converted to {module.settings.to!r}, not to 'snn'")
    if wrong:
        raise ConversionError("compile a converted network", reasons=wrong)
    return CompiledSnn(module, threads=threads, policy=policy)
