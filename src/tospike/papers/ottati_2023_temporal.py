"""Ottati et al. 2023, V-B and Table III: accelerators on audio.

The table does not say how it defines the energy of an inference. Power x latency gives three of
its six numbers to the last digit, so it is taken as the stated method for all six.
"""

from __future__ import annotations

from collections.abc import Callable

from tospike.papers.claim import Claim, Convention, Recomputed
from tospike.papers.inputs import inputs_of
from tospike.papers.ottati_2023_data import TemporalAccelerator, temporal


def energy(work: str) -> Callable[[Claim], Recomputed]:
    """Energy per inference in nJ: power x latency; power x frame period as the convention."""

    def recompute(claim: Claim) -> Recomputed:
        row = temporal(work)
        found = row.energy_by_latency
        conventions: tuple[Convention, ...] = ()
        if row.energy_by_frame is not None:
            conventions = (
                Convention(
                    f"power x frame period of {row.frame_period_ms:g} ms",
                    row.energy_by_frame,
                    f"{row.power_uw:g} uW x {row.frame_period_ms:g} ms = "
                    f"{row.energy_by_frame:.4g} nJ; {row.frame_period_from}.",
                ),
            )
        if found is None:
            return Recomputed(
                holds=False,
                arithmetic=f"{row.power_uw:g} uW x no latency",
                why=(
                    "Power x latency, which gives the numbers of Kim'22, Giraldo'22 and Shan'23, "
                    "cannot be formed: the table prints no latency."
                ),
                conventions=conventions,
                sources=(row.source,),
            )
        return Recomputed(
            computed=found,
            arithmetic=f"{row.power_uw:g} uW x {row.latency_ms:g} ms = {found:.5g} nJ",
            why=_why(row, found),
            conventions=conventions,
            sources=(row.source,),
        )

    return recompute


def _why(row: TemporalAccelerator, found: float) -> str:
    time_ms = row.energy_nj / row.power_uw
    cycles = time_ms * row.clock_mhz * 1e3
    text = (
        f"Power x latency gives {found:.4g} nJ, {found / row.energy_nj:.1f} times the printed "
        f"{row.energy_nj:g} nJ. The printed energy is used up in {time_ms:.3g} ms"
    )
    if row.energy_by_frame is not None:
        return f"{text}."
    return (
        f"{text} ({cycles:.0f} cycles), which is neither the printed latency nor a usual frame "
        "period; no definition was found that gives it. With power x latency the SNN chip has the "
        "highest energy of the keyword spotters, not the second lowest."
    )


def parameter_ratio(claim: Claim) -> Recomputed:
    """V-B: parameters of Frenkel'22 over those of Shan'23."""
    above, below = temporal("Frenkel'22"), temporal("Shan'23")
    found = above.parameters_k / below.parameters_k
    return Recomputed(
        computed=found,
        arithmetic=f"{above.parameters_k:g} k / {below.parameters_k:g} k = {found:.2f}",
        why="The two numbers of Table III give another ratio.",
        sources=(above.source, below.source),
    )


def yang_area(claim: Claim) -> Recomputed:
    """Table III: area of Yang'19 in mm2; and its kind."""
    table, row = inputs_of("ottati_2023"), temporal("Yang'19")
    width, height = table["yang_die_width"].value, table["yang_die_height"].value
    return Recomputed(
        computed=width * height,
        arithmetic=f"{width:g} mm x {height:g} mm = {width * height:.2f} mm2 (core area)",
        why=(
            f"The chip's abstract gives a core of {width:g} x {height:g} mm = "
            f"{width * height:.2f} mm2; 1.6 is close to one side (the root of the area is "
            f"{(width * height) ** 0.5:.2f} mm). The same abstract calls the network a 'binarized "
            f"multilayer perceptron': an {row.kind_in_source}, listed as {row.kind}. Without it "
            "the voice activity detectors of the table hold no SNN at all."
        ),
        sources=(row.source,),
    )


def keyword_spotting(claim: Claim) -> Recomputed:
    """Section V: quoted from Pedroni et al. 2018."""
    inputs_of("ottati_2023")  # brings the reference along
    return Recomputed(
        is_input=True,
        why=(
            "Measured by Pedroni et al. 2018. A recomputation would take their networks, their "
            "encodings and the spike counts on their recordings; none of them is printed."
        ),
        sources=("pedroni_2018",),
    )
