"""The arguments of ``decide``, checked all at once before any long work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tospike.activity import ActivityProfile
from tospike.activity.data import Data
from tospike.decision.energy import Pricer, make_pricer
from tospike.decision.evidence import Progress
from tospike.decision.options import Options, check_arguments
from tospike.decision.published import chosen_models
from tospike.decision.samples import as_data
from tospike.equations.published import PublishedModel
from tospike.errors import OptionError, StatisticError, TospikeError
from tospike.network import Network
from tospike.technology import Technology

Found = TypeVar("Found")


@dataclass(frozen=True)
class Request:
    """The checked arguments of one call."""

    network: Network
    activity: ActivityProfile
    pricer: Pricer
    timesteps: tuple[int, ...]
    reference_model: str
    accuracy_floor: float | None
    hybrids: int
    samples: int
    seed: int
    options: Options
    progress: Progress
    published: tuple[PublishedModel, ...] = ()


def checked(
    network: Network,
    activity: ActivityProfile,
    *,
    data: Any,
    labels: Any,
    technology: str | Technology,
    timesteps: tuple[int, ...],
    reference_model: str,
    accuracy_floor: float | None,
    hybrids: int,
    samples: int,
    seed: int,
    options: Options,
    progress: Progress,
    models: str | Sequence[str] | None = None,
) -> tuple[Request, Data | None]:
    """Everything that can be wrong with the arguments, found before the long work."""
    faults: list[TospikeError] = []
    published = _kept(faults, lambda: chosen_models(models)) or ()
    _kept(
        faults,
        lambda: check_arguments(
            timesteps=timesteps,
            accuracy_floor=accuracy_floor,
            hybrids=hybrids,
            samples=samples,
            options=options,
        ),
    )
    pricer = _kept(faults, lambda: make_pricer(network, technology, reference_model, options))
    _kept(faults, lambda: _check_activity(network, activity))
    _kept(faults, lambda: _check_not_spiking(activity))
    if pricer is not None and not faults:
        _kept(faults, lambda: pricer.check(activity, reference_model))
    found = _kept(faults, lambda: _read(data, labels, accuracy_floor))
    if len(faults) == 1:
        raise faults[0]
    if faults or pricer is None:
        raise OptionError(
            "decide with these arguments",
            fix="mend every fault that is listed",
            reasons=[text for fault in faults for text in _one_line_each(fault)],
        )
    request = Request(
        network, activity, pricer, tuple(sorted(set(timesteps))), reference_model,
        accuracy_floor, hybrids, samples, seed, options, progress, published,
    )  # fmt: skip
    return request, found


def _one_line_each(error: TospikeError) -> list[str]:
    head = f"cannot {error.asked}" + (f" (received {error.received})" if error.received else "")
    return list(error.reasons) or [head]


def _kept(faults: list[TospikeError], check: Callable[[], Found]) -> Found | None:
    """What ``check`` returns; its error is kept, so that all are said at once."""
    try:
        return check()
    except TospikeError as error:
        faults.append(error)
        return None


def _check_not_spiking(activity: ActivityProfile) -> None:
    """An SNN has no float network to be converted, run and weighed against."""
    firing = {k: a for k, a in activity.neurons.items() if a.spikes is not None}
    if not firing:
        return
    path, first = next(iter(firing.items()))
    raise OptionError(
        "decide whether this network should spike",
        received=f"a network that spikes already: {len(firing)} populations of neurons, such as "
        f"{path!r} ({first.model})",
        allowed="an analog network, whose spiking form is made and run",
        fix="price it as it is, and the ANN that does its task beside it: "
        f"count(network, activity, Implementation('snn', n_timesteps={first.n_timesteps:g}))",
    )


def _read(data: Any, labels: Any, accuracy_floor: float | None) -> Data | None:
    if data is None and labels is not None:
        raise OptionError(
            "use labels", received="labels without data", fix="give the data that they belong to"
        )
    found = None if data is None else as_data(data, labels)
    check_floor_needs_labels(accuracy_floor, found)
    return found


def check_floor_needs_labels(floor: float | None, data: Data | None) -> None:
    """An accuracy cannot be kept where none can be measured."""
    if floor is not None and (data is None or data.y is None):
        raise OptionError(
            f"keep an accuracy floor of {floor:g}",
            received="data without labels" if data is not None else "no data",
            fix="give labels, or leave the floor out: then the agreement with the float network "
            "takes its place",
        )


def _check_activity(network: Network, activity: ActivityProfile) -> None:
    missing = [layer.name for layer in network.synaptic_layers if layer.name not in activity]
    if missing:
        raise StatisticError(
            "decide with this activity",
            received="a profile without some layers of the network",
            fix="measure the activity of the same network",
            reasons=[f"no activity of layer {name!r}" for name in missing],
        )
