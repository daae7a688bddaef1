"""Ottati et al. 2023, Table I, IV-A and V-A: the energies per neuron, and the figures of section I.

Which memory energy is the paper's own? Table I prints 10.00 pJ per read of 64 bit and, in the same
row, 2.50 pJ/B. The first is the datum (it is Horowitz's); the second is derived from it and does
not follow: 10 pJ / 8 B = 1.25 pJ/B. So "computed" rests on the datum, and the printed density is
the convention under which the printed energies follow. A convention changes how one counts; it
never replaces a number that the paper prints, which is why the density itself has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tospike.actions import ActionCounts
from tospike.constant import Constant
from tospike.equations import ottati_2023 as equations
from tospike.papers.claim import Claim, Convention, Recomputed
from tospike.papers.counted import counted
from tospike.papers.inputs import inputs_of
from tospike.pricing import price
from tospike.technology import load, memory_energy, sram_energy

#: 10 pJ per 64-bit read, and 2.50 pJ/B as printed
BY_ACCESS, BY_DENSITY = "ottati_2023_45nm_computed", "ottati_2023_45nm"
CONVENTION = "the printed density of 2.50 pJ/B"
_TEXT = (
    "With the 2.50 pJ/B that Table I prints beside the 10.00 pJ, the number follows; all energies "
    "of sections IV-A and V-A rest on that density."
)


def given() -> Mapping[str, Constant]:
    """The inputs of the paper."""
    return inputs_of("ottati_2023")


def n_reads() -> float:
    """N_rd = C_I H_K W_K of IV-A."""
    table = given()
    names = ("window_channels", "window_height", "window_width")
    product = 1.0
    for name in names:
        product *= table[name].value
    return product


def snn_window() -> ActionCounts:
    """IV-A: one window, one time step."""
    return equations.snn_conv(n_reads=n_reads())


def ann_window() -> ActionCounts:
    """IV-A: one window."""
    return equations.ann_conv(n_reads=n_reads())


def snn_neuron() -> ActionCounts:
    """V-A: one neuron with N inputs, one time step."""
    return equations.snn_recurrent(n_inputs=given()["recurrent_inputs"].value)


def ann_neuron() -> ActionCounts:
    """V-A: one neuron of a vanilla RNN, one time step; quantisation and activation neglected."""
    return equations.ann_recurrent(n_inputs=given()["recurrent_inputs"].value)


def nanojoule(counts: ActionCounts, technology: str) -> float:
    """Energy of the counts in nJ."""
    return float(price(counts, technology).energy) * 1e9


def read_byte(technology: str) -> float:
    """Energy of one 8-bit read of the scratchpad, in pJ."""
    found = memory_energy(load(technology), "sram", "read", 8)
    return found.energy * 1e12 if found else float("nan")


def _operations(counts: ActionCounts) -> str:
    """ "4608 weight reads, ..." of the counts."""
    totals: dict[str, float] = {}
    for entry in counts:
        word = f"{entry.datatype} " if entry.datatype != "none" else ""
        name = f"{word}{entry.action} ({entry.bits} bit)"
        totals[name] = totals.get(name, 0.0) + float(entry.count)
    return ", ".join(f"{count:g} {name}" for name, count in totals.items())


def energy(make: Callable[[], ActionCounts]) -> Callable[[Claim], Recomputed]:
    """Recomputation of one of the four energies."""

    def recompute(claim: Claim) -> Recomputed:
        counts = make()
        truly, printed = (nanojoule(counts, name) for name in (BY_ACCESS, BY_DENSITY))
        return Recomputed(
            computed=truly,
            arithmetic=(
                f"{_operations(counts)}; at {read_byte(BY_ACCESS):g} pJ per byte read or written "
                f"{truly:.3f} nJ, at {read_byte(BY_DENSITY):g} pJ/B {printed:.3f} nJ"
            ),
            why=(
                f"10 pJ per 64-bit access is {read_byte(BY_ACCESS):g} pJ per byte, with which the "
                f"same formula gives {truly:.2f} nJ."
            ),
            conventions=(Convention(CONVENTION, printed, _TEXT),),
            sources=("horowitz_2014",),
        )

    return recompute


def ratio(
    ann: Callable[[], ActionCounts], snn: Callable[[], ActionCounts]
) -> Callable[[Claim], Recomputed]:
    """Recomputation of E_ANN / E_SNN."""

    def recompute(claim: Claim) -> Recomputed:
        pairs = [
            (nanojoule(ann(), name), nanojoule(snn(), name)) for name in (BY_ACCESS, BY_DENSITY)
        ]
        truly, printed = (above / below for above, below in pairs)
        return Recomputed(
            computed=truly,
            arithmetic="; ".join(
                f"{above:.3f} nJ / {below:.3f} nJ = {above / below:.3f} at {read_byte(name):g} pJ/B"
                for (above, below), name in zip(pairs, (BY_ACCESS, BY_DENSITY), strict=True)
            ),
            why=(
                f"With 10 pJ per 64-bit access the ratio is {truly:.2f}: cheaper memory weighs the "
                "multiplications more. The conclusion (the ANN's window costs almost twice one "
                "time step of the SNN) stays."
            ),
            conventions=(Convention(CONVENTION, printed, _TEXT),),
            sources=("horowitz_2014",),
        )

    return recompute


def density(claim: Claim) -> Recomputed:
    """Table I: pJ per byte of the 64-bit read."""
    table = given()
    size = table["read_bits"].value / 8.0
    access = table["read_pj"].value
    truly = access / size
    curve = load("horowitz_2014_45nm")
    larger = table["next_cache_bytes"].value
    reads = {
        name: sram_energy(curve, table[name].value).energy * 1e12
        for name in ("cache_bytes", "next_cache_bytes")
    }
    return Recomputed(
        computed=truly,
        arithmetic=f"{access:g} pJ / ({table['read_bits'].value:g} bit / 8) = {truly:g} pJ/B",
        why=(
            f"The row's own energy and width give {truly:g} pJ/B, half of what is printed. 2.50 "
            f"would follow from a 32-bit word, or from the next larger cache of the source: "
            f"{larger / 1024:g} kB at {reads['next_cache_bytes']:g} pJ is "
            f"{reads['next_cache_bytes'] / size:g} pJ/B (8 kB: {reads['cache_bytes']:g} pJ). Both "
            "contradict the row's label, so neither counts as a convention. Every energy of "
            "sections IV-A and V-A inherits the factor of two on memory."
        ),
        sources=("horowitz_2014",),
    )


def reads(claim: Claim) -> Recomputed:
    """IV-A: N_rd, as the number of weight reads that the equation counts."""
    table = given()
    found = float(snn_window().total(action="read", datatype="weight"))
    shape = [table[f"window_{name}"].value for name in ("channels", "height", "width")]
    return Recomputed(
        computed=found,
        # the C_I H_I W_I additions of the text are the same number: H_I, W_I are the window's
        arithmetic=f"{' x '.join(f'{side:g}' for side in shape)} = {found:g} weight reads",
        why="The shape of the window gives another number of reads.",
    )


def training_energy(claim: Claim) -> Recomputed:
    """Section I: TPU days x 24 h x power, in MWh."""
    days, power = given()["training_tpu_days"].value, given()["tpu_watt"].value
    found = days * 24.0 * power / 1e6
    return Recomputed(
        computed=found,
        arithmetic=f"{days:g} d x 24 h/d x {power:g} W = {found:g} MWh",
        why=(
            f"{found:g} MWh rounds to {round(found)}, not to {claim.value:g}: a slip of the last "
            "digit, or rounding up. It changes nothing, since the number of days has one "
            "significant digit."
        ),
    )


def vit_g14() -> tuple[float, float]:
    """(MACs, parameters) of ViT-G/14 at 384 px: all blocks are alike, so two depths give 48."""
    one, two = counted("vit_g14_1_block"), counted("vit_g14_2_blocks")
    more = given()["vit_g_blocks"].value - 1.0
    return (
        one.macs + more * (two.macs - one.macs),
        one.parameters + more * (two.parameters - one.parameters),
    )


def vit_operations(claim: Claim) -> Recomputed:
    """Section I: GFLOP of one inference of ViT-G/14, 1 MAC = 2 FLOP."""
    pixels, blocks = given()["vit_g_image"].value, given()["vit_g_blocks"].value
    found = 2e-9 * vit_g14()[0]
    printed = claim.value or 1.0
    return Recomputed(
        computed=found,
        arithmetic=(
            f"{blocks:g} blocks of width 1664, MLP 8192, ({pixels:g}/14)^2 = "
            f"{(pixels // 14) ** 2:g} tokens: 2 x {found / 2:.1f} GMAC = {found:.0f} GFLOP"
        ),
        why=(
            f"One inference at {pixels:g} px takes {found / 1e3:.2f} TFLOP: the printed "
            f"{printed:g} has the digits of a TFLOP and the unit of a GFLOP, a factor of "
            f"{found / printed:.0f}."
        ),
        sources=("zhai_2022", "timm_models"),
    )


def vit_parameters(claim: Claim) -> Recomputed:
    """Section I: parameters of ViT-G/14 in G."""
    found = vit_g14()[1] / 1e9
    return Recomputed(
        computed=found,
        arithmetic=(
            f"{given()['vit_g_blocks'].value:g} blocks of width 1664, MLP 8192, patches and "
            f"positions: {found:.4f} G"
        ),
        why=(
            f"The layer table gives {found * 1e3:.0f} M = {found:.3f} G parameters: the printed "
            f"number is {(claim.value or 0.0) / found:.0f} times as large, a slip of two digits."
        ),
        sources=("zhai_2022", "timm_models"),
    )


def spikegpt(claim: Claim) -> Recomputed:
    """Section I: quoted from Zhu et al. 2023."""
    given()  # brings the reference along
    return Recomputed(
        is_input=True,
        why=(
            "Quoted from Zhu et al. 2023. A recomputation would take that network's layer table "
            "and the spike rates measured on its text, which the paper does not print."
        ),
        sources=("zhu_2023_spikegpt",),
    )
