"""``decide``: from a network, its activity and its data to a :class:`Decision`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tospike.activity import ActivityProfile
from tospike.decision.compete import compete
from tospike.decision.evidence import Progress, silent
from tospike.decision.options import REFERENCE_MODEL, TECHNOLOGY, TIMESTEPS, Options
from tospike.decision.published import ALL
from tospike.decision.record import Decision
from tospike.decision.request import checked
from tospike.decision.samples import Samples, split
from tospike.decision.weigh import weigh
from tospike.network import Network
from tospike.technology import Technology

if TYPE_CHECKING:
    from pathlib import Path

    import torch

_DEFAULT = Options()


def decide(
    network: Network,
    activity: ActivityProfile,
    *,
    model: torch.nn.Module | str | Path | None = None,
    data: Any = None,
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
    options: Options = _DEFAULT,
    progress: Progress | None = None,
) -> Decision:
    """Weigh ANN, quantised ANN, SNN, hybrid and delta network against each other (docs/verdict.md).

    Parameters
    ----------
    network, activity : of ``ts.load`` and ``ts.measure`` (or an assumed profile).
    model, data : the network itself (a module or an .onnx path) and samples to run it on.
        Without both, nothing is run: the result has the ANN and the break-even rates.
    labels : class numbers; without them the agreement with the float network stands in.
    calibration : samples for the conversion; None holds some of ``data`` out.
    technology, reference_model : what an action costs; the ANN energy model of the verdict.
    timesteps, hybrids : the T of the SNNs that are run; how many hybrids are run.
    accuracy_floor : in [0, 1]; None: ``options.accuracy_drop`` below the float network.
    models : published models to ask ("all", keys of ``PUBLISHED``, None); no part of the verdict.
    samples, seed : draws of the constants. progress : called with (what, steps done, of all).

    Raises :class:`OptionError`, :class:`DataError`, :class:`StatisticError` or
    :class:`UnknownNameError` before the long work starts. A network that cannot be converted is
    no error: the result is then the ANN's, and a warning says why.
    """
    request, data_read = checked(
        network,
        activity,
        data=data,
        labels=labels,
        technology=technology,
        timesteps=tuple(timesteps),
        reference_model=reference_model,
        accuracy_floor=accuracy_floor,
        hybrids=hybrids,
        samples=samples,
        seed=seed,
        models=models,
        options=options,
        progress=progress or silent,
    )
    held: Samples | None = None
    if model is not None and data_read is not None:
        held = split(
            data_read, calibration, calibration_samples=options.calibration_samples, seed=seed
        )
    return weigh(request, compete(request, model, held))
