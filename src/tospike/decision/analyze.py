"""``analyze``: load, measure and decide in one call; what the command line runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tospike.activity import ActivityProfile
from tospike.activity.data import Data
from tospike.decision.decide import decide
from tospike.decision.evidence import Progress, silent
from tospike.decision.options import (
    ASSUMED_ORIGIN,
    ASSUMED_ZERO_FRACTION,
    REFERENCE_MODEL,
    TECHNOLOGY,
    TIMESTEPS,
    Options,
)
from tospike.decision.published import ALL
from tospike.decision.record import Decision
from tospike.decision.samples import as_data
from tospike.errors import DataError
from tospike.network import Network
from tospike.technology import Technology

if TYPE_CHECKING:
    import torch

_DEFAULT = Options()


def analyze(
    model: torch.nn.Module | str | Path,
    data: Any = None,
    *,
    labels: Any = None,
    calibration: Any = None,
    technology: str | Technology = TECHNOLOGY,
    timesteps: Sequence[int] = TIMESTEPS,
    reference_model: str = REFERENCE_MODEL,
    accuracy_floor: float | None = None,
    hybrids: int = 3,
    samples: int = 4096,
    seed: int = 0,
    models: str | Sequence[str] | None = ALL,
    sequence: bool = False,
    options: Options = _DEFAULT,
    progress: Progress | None = None,
) -> Decision:
    """From a trained network and data to a :class:`Decision`.

    Parameters
    ----------
    model : a ``torch.nn.Module``, the path of an .onnx file, or the name of a zoo topology. A
        topology has no weights: its activity is assumed (58 % zeros) and the result has the
        break-even rates only.
    data : samples in any form that ``tospike.decision.samples.as_data`` takes.
    sequence : consecutive samples are consecutive time steps of one stream, which is answered step
        by step: weights off chip are fetched in every step. For an .onnx file
        over (batch, time, features), frames (T, features) are taken as one recording.

    The other arguments are those of :func:`tospike.decision.decide`. Raises what ``ts.load``,
    ``ts.measure`` and ``ts.decide`` raise.
    """
    if isinstance(model, str | Path) and not str(model).lower().endswith(".onnx"):
        network, activity, held = *_topology(str(model), data), None
    else:
        network, activity, held = _measured(
            model, data, labels, options, sequence=sequence, progress=progress or silent
        )
    if sequence:
        options = replace(options, stream=True)
    return decide(
        network,
        activity,
        model=model if held is not None else None,
        data=held,
        calibration=calibration,
        technology=technology,
        timesteps=timesteps,
        reference_model=reference_model,
        accuracy_floor=accuracy_floor,
        hybrids=hybrids,
        samples=samples,
        seed=seed,
        models=models,
        options=options,
        progress=progress,
    )


def _topology(name: str, data: Any) -> tuple[Network, ActivityProfile]:
    """A zoo topology with assumed activity; data cannot be run through it."""
    from tospike.network.importers import load

    network = load(name)
    if data is not None:
        raise DataError(
            f"run the data through {name!r}",
            received="a topology without weights",
            allowed="a torch module or an .onnx file together with data",
            fix="leave the data out, or give the trained network",
        )
    activity = ActivityProfile.assumed(
        network, zero_fraction=ASSUMED_ZERO_FRACTION, origin=ASSUMED_ORIGIN
    )
    return network, activity


def _measured(
    model: torch.nn.Module | str | Path,
    data: Any,
    labels: Any,
    options: Options,
    *,
    sequence: bool,
    progress: Progress,
) -> tuple[Network, ActivityProfile, Data]:
    """Load and measure a network that can run."""
    from tospike.activity.measure import measure

    if data is None:
        raise DataError(
            "analyze the network",
            received="no data",
            allowed="samples as an array, a path or batches",
            fix="give some of the data that the network will see",
        )
    held = as_data(data, labels)
    if sequence:
        held = _one_recording(model, held)
    progress("loading the network", 0, 2)
    network = _load(model, held)
    progress("measuring the activity", 1, 2)
    activity = measure(model, held.x, thresholds=options.delta_thresholds, sequence=sequence)
    activity = replace(activity, origin=held.origin, notes=(*activity.notes, *held.notes))
    progress("measured", 2, 2)
    return network, activity, held


def _one_recording(model: torch.nn.Module | str | Path, held: Data) -> Data:
    """Frames without a batch axis, for an ONNX file that wants one: one sample of many steps."""
    if not isinstance(model, str | Path) or held.y is not None:
        return held
    from tospike.network.importers.onnx_model import read_model
    from tospike.network.importers.onnx_shapes import input_layout

    layout = list(input_layout(read_model(model)).values())
    if len(layout) != 1 or layout[0][0] != held.x.ndim + 1:
        return held
    note = f"{len(held.x)} frames were taken as one recording"
    return replace(held, x=held.x[None], notes=(*held.notes, note))


def _load(model: torch.nn.Module | str | Path, held: Data) -> Network:
    """The network, with the sizes that it leaves open taken from one sample."""
    if isinstance(model, str | Path):
        from tospike.network.importers.onnx_graph import open_file
        from tospike.network.importers.onnx_model import read_model
        from tospike.network.importers.onnx_shapes import input_layout

        file = read_model(model)
        layout = list(input_layout(file).values())
        if len(layout) != 1:
            return open_file(file).network
        rank, axis = layout[0]
        sample = held.x.shape[1:]
        shape = (*sample[:axis], 1, *sample[axis:]) if axis is not None else (1, *sample)
        return open_file(file, sample if rank == len(sample) else shape).network
    import torch

    from tospike.network.importers import load

    return load(model, torch.from_numpy(held.x[:1].copy()))
