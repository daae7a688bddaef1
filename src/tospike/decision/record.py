"""``Decision``: the verdict and everything it rests on. Records only.

``Decision.as_dict()`` is the documented, versioned JSON (see docs/json.md). Energies are joules
per inference; accuracies are fractions in [0, 1] or None where there were no labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SCHEMA_VERSION = "1.3"
#: versions that ``reporting.read_report`` reads; fields that they lack take their defaults
READABLE_VERSIONS = ("1.0", "1.1", "1.2", SCHEMA_VERSION)


@dataclass(frozen=True, slots=True)
class EnergyPart:
    """Energy of one component of one implementation ("distant memory", "local memory", ...)."""

    part: str
    energy_J: float


@dataclass(frozen=True, slots=True)
class DeltaLayerResult:
    """One weight matrix of a delta network that was run on the data.

    ``threshold`` in the units of its input; ``temporal_sparsity`` Gamma, share of the inputs that
    did not differ from the last sent value by more than it; ``weight_bytes_per_step`` read,
    (1 - Gamma) of ``dense_weight_bytes_per_step``. ``mode`` "ann": dense, because sending changes
    would cost more there; then every weight is read.
    """

    layer: str
    mode: str  # delta | ann
    threshold: float
    temporal_sparsity: float
    weight_bytes_per_step: float
    dense_weight_bytes_per_step: float


@dataclass(frozen=True, slots=True)
class ImplementationResult:
    """One competing implementation of the whole network.

    ``evidence`` says how its activity and accuracy were obtained: "measured" (executed on the
    data), or "modelled" (activity assumed or taken from another run). Energies are always
    modelled: counts times the technology. ``energy_low_J`` and ``energy_high_J`` are the 5 % and
    95 % quantile over the ranges of the constants. ``agreement`` is the share of samples on which
    it gives the class that the float network gives; ``p_cheaper`` the share of the draws in which
    it costs less than the reference implementation. ``snr_db`` is the power of the float
    network's output over that of the difference from it. ``delta``: the matrices of a delta
    network that was run; ``weight_bytes_per_step`` their weight traffic together, and that of the
    dense network. ``calibration`` of an SNN or hybrid: rule of the thresholds and what was
    corrected on the calibration samples, "mse, weights, T=4".
    """

    name: str
    mode: str  # ann | qnn | snn | hybrid | delta
    energy_model: str  # key of the equation, "ann_eyeriss_v1"
    energy_J: float
    energy_low_J: float
    energy_high_J: float
    accuracy: float | None = None
    timesteps: int | None = None
    spikes_per_synapse: float | None = None
    activation_bits: int | None = None
    evidence: str = "measured"
    parts: tuple[EnergyPart, ...] = ()
    partition: dict[str, str] = field(default_factory=dict)
    on_pareto_front: bool = False
    reference: bool = False  # the baseline that the verdict compares with
    notes: tuple[str, ...] = ()
    agreement: float | None = None
    meets_floor: bool | None = None  # None: neither accuracy nor agreement is known
    p_cheaper: float | None = None
    technology: str = ""  # where it differs from the decision's (float32 is priced apart)
    snr_db: float | None = None  # None: not measured, or no difference (null in JSON for both)
    delta: tuple[DeltaLayerResult, ...] = ()
    weight_bytes_per_step: float | None = None
    dense_weight_bytes_per_step: float | None = None
    calibration: str = ""


@dataclass(frozen=True, slots=True)
class LayerResult:
    """One synaptic layer: what it is, its activity, its break-even.

    ``break_even_spikes_per_synapse`` is against the reference ANN model of the decision;
    ``break_even_by_model`` against every ANN model. ``spikes_per_synapse`` is what the SNN of the
    verdict showed (None where the layer receives analog values or no SNN was run).
    ``distance`` = spikes_per_synapse / break-even: below 1 spiking wins in this layer.
    """

    name: str
    kind: str
    n_synapses: int
    n_neurons: int
    n_weights: int
    zero_fraction: float | None
    synaptic_operations: float | None
    break_even_spikes_per_synapse: float
    break_even_by_model: dict[str, float]
    spikes_per_synapse: float | None = None
    distance: float | None = None
    mode: str = "ann"
    eligible: bool = False
    why_not: str = ""
    energy_ann_J: float | None = None
    energy_snn_J: float | None = None
    temporal_sparsity: dict[str, float] = field(default_factory=dict)
    energy_delta_J: float | None = None  # of the delta network of the verdict
    why_no_delta: str = ""  # of a network that was run as a delta network: why this layer was not
    input_shape: tuple[int, ...] = ()  # of one call, without the batch; shown in reports
    output_shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """A constant whose range could reverse the verdict.

    ``p_snn_wins_low``/``high``: P(the decision's ``challenger`` costs less than the reference)
    with this constant held at its low/high end. The challenger is an SNN, a hybrid or a delta
    network.
    ``flip_at``: factor on its nominal value at which the verdict flips, None if never inside the
    range.
    """

    constant: str
    low: float
    high: float
    p_snn_wins_low: float
    p_snn_wins_high: float
    flip_at: float | None
    reverses: bool


@dataclass(frozen=True, slots=True)
class PublishedVerdict:
    """What one published model would say of this network, by energy alone.

    ``energy_ann_J`` and ``energy_snn_J``: the quantised baseline and the SNN of the verdict,
    counted with ``ann_model`` and ``snn_model`` and priced with ``technology``, that of the paper,
    in words of ``bits`` (weight, activation, state). ``ratio`` = energy_ann_J / energy_snn_J:
    above 1 the SNN needs less; ``ratio_low`` and ``ratio_high`` are its 5 % and 95 % quantile over
    the ranges of the constants, ``p_snn_cheaper`` the share of these draws in which the SNN costs
    less. ``verdict``: "spike" or "do not spike" where the nominal energies and 95 % of the draws
    say so, "too close" else, "not applied" where ``why_not`` says why.
    ``break_even_spikes_per_synapse`` of all spiking layers together, ``distance`` =
    spikes_per_synapse / break-even. ``leaves_out``: what the paper does not count.
    """

    key: str
    title: str
    paper: str
    locator: str
    ann_model: str
    snn_model: str
    technology: str
    verdict: str = "not applied"
    why_not: str = ""
    energy_ann_J: float | None = None
    energy_snn_J: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    p_snn_cheaper: float | None = None
    break_even_spikes_per_synapse: float | None = None
    spikes_per_synapse: float | None = None
    distance: float | None = None
    leaves_out: str = ""
    bits: dict[str, int] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    out_of_range: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()  # keys of the bibliography


@dataclass(frozen=True, slots=True)
class PublishedSummary:
    """All published models together. ``ann``, ``snn``: names of what they compare.

    ``mean_p_snn_cheaper`` gives every applied model the same weight, ``mean_p_by_paper`` every
    paper (the mean of the means of its models); ``share_spike`` is the share of the applied
    models whose verdict is "spike". The models share equations and constants and are not
    independent. ``snn_meets_floor`` is None where its accuracy is not known.
    """

    ann: str
    snn: str
    snn_meets_floor: bool | None
    mean_p_snn_cheaper: float | None
    mean_p_by_paper: float | None
    lowest_p_snn_cheaper: float | None
    highest_p_snn_cheaper: float | None
    share_spike: float | None
    n_spike: int
    n_do_not_spike: int
    n_too_close: int
    n_not_applied: int
    definition: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that ``ts.decide`` found; input of ``ts.report``."""

    verdict: str
    winner: str  # name of the winning implementation
    p_snn_wins: float | None
    p_snn_wins_by_model: dict[str, float]
    implementations: tuple[ImplementationResult, ...]
    layers: tuple[LayerResult, ...]
    partition: dict[str, str]
    network: dict[str, Any]  # name, importer, n_synapses, n_neurons, n_weights, sha256
    data: dict[str, Any]  # origin, n_samples, labelled
    technology: dict[str, Any]  # name, title, node_nm
    reference_model: str
    sensitivities: tuple[Sensitivity, ...] = ()
    assumptions: tuple[str, ...] = ()
    out_of_range: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    sources: tuple[dict[str, Any], ...] = ()  # key, text, verified
    accuracy_floor: float | None = None
    agreement_floor: float | None = None  # used in place of the accuracy where there are no labels
    break_even_spikes_per_synapse: float | None = None  # of all layers that can spike, together
    break_even_by_model: dict[str, float] = field(default_factory=dict)
    spikes_per_synapse: float | None = None  # what the SNN of the verdict shows in those layers
    distance: float | None = None  # spikes_per_synapse / break-even
    challenger: str = ""  # the SNN, hybrid or delta network that the sensitivities are about
    published: tuple[PublishedVerdict, ...] = ()  # what each published model would say
    published_summary: PublishedSummary | None = None
    p_snn_wins_published: float | None = None  # mean over the models; 0 if the floor is missed
    snr_floor_db: float | None = None  # used where the output is no class score
    why_no_delta: str = ""  # why no delta network was run, of a network that could be one

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON: no NumPy types, NaN and infinities become None."""
        from dataclasses import asdict

        body = plain(asdict(self))
        assert isinstance(body, dict)
        return {"schema_version": SCHEMA_VERSION, **body}


def plain(value: Any) -> Any:
    """``value`` with NumPy scalars and arrays, tuples and non-finite numbers made plain."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
