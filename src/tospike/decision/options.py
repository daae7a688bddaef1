"""What ``decide`` may be told beyond its main arguments. A record with checked values."""

from __future__ import annotations

from dataclasses import dataclass, field

from tospike.equations import EquationOptions
from tospike.errors import OptionError

TIMESTEPS: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
MOST_TIMESTEPS = 4096
TECHNOLOGY = "horowitz_2014_45nm"
REFERENCE_MODEL = "ann_eyeriss_v1"

#: share of zero input activations in the convolutions of AlexNet and VGG16 (Dampfhoffer 2022,
#: III-A, quoting the Eyeriss measurements); assumed where nothing was measured
ASSUMED_ZERO_FRACTION = 0.58
ASSUMED_ORIGIN = (
    "zero fraction 0.58 assumed in every layer: the average of the convolutional layers of AlexNet "
    "and VGG16 (Dampfhoffer 2022, section III-A)"
)


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of ``decide`` that have a usual value.

    Attributes
    ----------
    weight_bits, state_bits : of the SNN and of the quantised networks (``state_bits`` also for
        partial sums).
    neuron : neuron model of the SNN, one of the "snn_" equations without that prefix.
    first_spikes : run the SNN in time-to-first-spike coding as well; counted with "if_cont".
    baseline_bits : activation bits of the usual quantised baseline, beside the matched ones.
    calibration_samples : held out of the data where no calibration data are given (at most a
        quarter of them).
    accuracy_drop : the default accuracy floor is this far below the float network.
    agreement_floor : where there are no labels, the least share of samples on which an
        implementation must give the class of the float network.
    hybrid_timesteps : for how many T the partition is optimised (those nearest to the SNN of the
        verdict).
    delta_thresholds : Theta of the delta networks, relative to the scale of each signal where
        they are run (docs/verdict.md), in units of the activations where they are only modelled.
    delta_search : search one threshold per layer as well.
    snr_floor_db : where the output is no class score, the least signal-to-noise ratio against the
        float network's output; 20 dB is an error of one percent of the power.
    equations : conventions of the equations and the terms beyond the synapse (weights off chip,
        static power, communication), which are off unless named.
    stream : sequences are answered step by step, so that a dense linear layer in a recurrent
        network cannot keep a weight for several steps (term "weights_off_chip").
    sram_bytes : capacity of the distant memory in byte; None: the technology's reference.
    static_power_w : power for the term "static" in watt; None: the technology's leakage.
    """

    weight_bits: int = 8
    state_bits: int = 8
    baseline_bits: int = 8
    neuron: str = "if_inst"
    first_spikes: bool = True
    calibration_samples: int = 256
    accuracy_drop: float = 0.01
    agreement_floor: float = 0.99
    hybrid_timesteps: int = 3
    delta_thresholds: tuple[float, ...] = (1 / 64, 1 / 32, 1 / 16, 1 / 8)
    delta_search: bool = True
    snr_floor_db: float = 20.0
    equations: EquationOptions = field(default_factory=EquationOptions)
    stream: bool = False
    sram_bytes: float | None = None
    static_power_w: float | None = None

    def reasons(self) -> list[str]:
        """What is wrong with the values, one sentence each."""
        found = [
            f"{name} is {value!r}; an integer from {low} to {high} is needed"
            for name, value, low, high in (
                ("weight_bits", self.weight_bits, 2, 16),
                ("state_bits", self.state_bits, 1, 32),
                ("baseline_bits", self.baseline_bits, 1, 16),
            )
            if not low <= value <= high
        ]
        if self.calibration_samples < 1:
            found.append(f"calibration_samples is {self.calibration_samples}; 1 or more is needed")
        if not 0 <= self.accuracy_drop <= 1:
            found.append(f"accuracy_drop is {self.accuracy_drop}; 0 to 1 is needed")
        if not 0 <= self.agreement_floor <= 1:
            found.append(f"agreement_floor is {self.agreement_floor}; 0 to 1 is needed")
        if not -100 <= self.snr_floor_db <= 300:
            found.append(f"snr_floor_db is {self.snr_floor_db}; -100 to 300 is needed")
        if any(not 0 < theta < float("inf") for theta in self.delta_thresholds):
            found.append(
                f"delta_thresholds are {self.delta_thresholds}; numbers above 0 are needed"
            )
        return found


def check_arguments(
    *,
    timesteps: tuple[int, ...],
    accuracy_floor: float | None,
    hybrids: int,
    samples: int,
    options: Options,
    more: tuple[str, ...] = (),
) -> None:
    """Raise one :class:`OptionError` with everything that is wrong, before any long work."""
    reasons = [*more, *options.reasons()]
    if not timesteps:
        reasons.append("no timesteps given")
    reasons += [
        f"timesteps holds {step!r}; integers from 1 to {MOST_TIMESTEPS} are needed"
        for step in timesteps
        if isinstance(step, bool) or not isinstance(step, int) or not 1 <= step <= MOST_TIMESTEPS
    ]
    if accuracy_floor is not None and not 0 <= accuracy_floor <= 1:
        reasons.append(f"accuracy_floor is {accuracy_floor!r}; a fraction from 0 to 1 is needed")
    if hybrids < 0:
        reasons.append(f"hybrids is {hybrids}; 0 or more is needed")
    if samples < 1:
        reasons.append(f"samples is {samples}; 1 or more is needed")
    if reasons:
        raise OptionError(
            "decide with these arguments",
            fix="mend every value that is listed",
            reasons=reasons,
        )
