"""Claims on Table I, Table III, eq. (13) and Figs. 5 to 7."""

from __future__ import annotations

from math import inf

from tospike.equations import dampfhoffer_2022 as equations
from tospike.papers.claim import Claim, Convention, Recomputed
from tospike.papers.dampfhoffer_2022_energy import (
    BITS,
    GAIN,
    GAMMA,
    T45,
    T65,
    OnChip,
    best,
    eyeriss,
    eyeriss_cost,
    eyeriss_v2,
    naive,
    rows,
    spike,
)
from tospike.papers.registry import Recompute
from tospike.pricing import price
from tospike.technology import alu_energy, load, memory_energy, sram_energy

_HOROWITZ, _EYERISS = "horowitz_2014_45nm", "eyeriss_2016_65nm"
_H = ("horowitz_2014",)
_CHEN = ("chen_2016_isca", "chen_2017_jssc")
_BRACKET = (
    "Eq. 13 as printed closes its bracket before E_MAC and the registers, so that the gating "
    "factor acts on the weight read and the distant accesses only."
)


def _alu(technology: str, action: str, bits: int) -> float:
    found = alu_energy(load(technology), action, bits)
    return found.energy if found else float("nan")


def _memory(technology: str, component: str, bits: int) -> float:
    found = memory_energy(load(technology), component, "read", bits)
    return found.energy if found else float("nan")


def _add_45(claim: Claim) -> Recomputed:
    add, multiply = _alu(_HOROWITZ, "ac", 8), _alu(_HOROWITZ, "mul", 8)
    computed = add / (add + multiply)
    return Recomputed(
        computed,
        f"{add * 1e12:g} pJ / ({multiply * 1e12:g} + {add * 1e12:g}) pJ = {computed:.4f}",
        why="8-bit add over 8-bit multiply and add.",
        sources=_H,
    )


def _read_45(claim: Claim) -> Recomputed:
    table = load(_HOROWITZ)
    word = sram_energy(table, 8192).energy
    byte = word * 8 / table.sram_curve_bits
    mac = _alu(_HOROWITZ, "ac", 8) + _alu(_HOROWITZ, "mul", 8)
    return Recomputed(
        byte / mac,
        f"{word * 1e12:g} pJ / 8 = {byte * 1e12:g} pJ per byte of a 64-bit read of 8 KiB; "
        f"/ {mac * 1e12:g} pJ = {byte / mac:.3f}",
        why="One byte of the 64-bit read of 8 KiB over one 8-bit MAC.",
        sources=_H,
    )


def _row_65(claim: Claim) -> Recomputed:
    """The row as the package holds it, against Chen 2016 (memories) and Horowitz 2014 (add)."""
    mac, chen = _alu(T65, "mac", 16), _alu(_EYERISS, "mac", 16)
    read, register = _memory(T65, "sram", 16) / mac, _memory(T65, "register", 16) / mac
    buffer, file = _memory(_EYERISS, "sram", 16) / chen, _memory(_EYERISS, "register", 16) / chen
    add = _alu(T65, "ac", 16) / mac
    adder, multiplier = _alu(_HOROWITZ, "ac", 16), _alu(_HOROWITZ, "mul", 16)
    derived = adder / (adder + multiplier)
    close = abs(read - buffer) < 1e-9 and abs(register - file) < 1e-9 and abs(derived - add) < 0.005
    return Recomputed(
        holds=close,
        arithmetic=f"ER/W {read:g} and register {register:g}: buffer {buffer:g} and RF {file:g} of "
        f"Chen 2016, Table IV. E_AC {add:g}, which Chen 2016 does not print: 16-bit add over MAC "
        f"of Horowitz 2014, {adder * 1e12:g} / ({multiplier * 1e12:g} + {adder * 1e12:g}) pJ = "
        f"{derived:.4f}, the multiply interpolated between 8 and 32 bit",
        why="The row differs from Chen 2016, Table IV, or from the adder of Horowitz 2014.",
        sources=("chen_2016_isca", "horowitz_2014"),
    )


def _worst(claim: Claim) -> Recomputed:
    computed = rows()["ann_naive"].spikes_per_synapse
    return Recomputed(
        computed,
        f"eq. 2 / eq. 4 = {naive(T45):.4g} / {spike(T45):.4g} MAC = {computed:.4f}",
        why="Eq. 2 over eq. 4 with the 45 nm column.",
        sources=_H,
    )


def _reuse(claim: Claim) -> Recomputed:
    computed = rows()["ann_reuse"].spikes_per_synapse
    return Recomputed(
        computed,
        f"eq. 11 with RF to infinity / eq. 4 = {computed * spike(T65):.4g} / {spike(T65):.4g} MAC "
        f"= {computed:.4f}",
        why="Eq. 11 over eq. 4 with the 65 nm column.",
        sources=_CHEN,
    )


def _best(claim: Claim) -> Recomputed:
    computed = rows()["ann_reuse_sparsity"].spikes_per_synapse
    return Recomputed(
        computed,
        f"eq. 12 with RF to infinity and gamma {GAMMA} / eq. 4 = {best(inf):.4g} / "
        f"{spike(T65):.4g} MAC = {computed:.4f}",
        why="Eq. 12 over eq. 4 with the 65 nm column.",
        sources=_CHEN,
    )


def _eyeriss_v1(network: OnChip) -> Recomputed:
    computed = eyeriss(network, "as_printed")
    whole, text = eyeriss(network), eyeriss(network, "pe_only")
    unit = spike(T65)
    return Recomputed(
        computed,
        f"eq. 13 as printed / eq. 4 = {computed * unit:.4g} / {unit:.4g} MAC = {computed:.4f}",
        conventions=(
            Convention(
                "gating over the whole bracket", whole,
                f"With the factor over all terms, as “the power consumption of PEs is only 55%” "
                f"suggests: {whole * unit:.4g} / {unit:.4g} = {whole:.4f}. This reading alone "
                "gives both 0.44 and 0.42.",
            ),
            Convention(
                "gating over the PE only", text,
                "With the factor over MAC, PE memory and registers, and distant accesses in full: "
                "0.45 for VGG16.",
            ),
        ),
        why=f"{_BRACKET} It gives {computed:.4f}.",
        sources=_CHEN,
    )  # fmt: skip


def _eyeriss_v1_vgg16(claim: Claim) -> Recomputed:
    return _eyeriss_v1("vgg16")


def _eyeriss_v1_alexnet(claim: Claim) -> Recomputed:
    return _eyeriss_v1("alexnet")


def _eyeriss_v2(claim: Claim) -> Recomputed:
    first, computed = eyeriss("alexnet"), eyeriss_v2("alexnet")
    rounded = round(first, 2) / GAIN
    return Recomputed(
        computed,
        f"{first:.4f} / {GAIN:g} = {computed:.4f}",
        conventions=(
            Convention(
                "rounding before the division", rounded,
                f"The printed value divides the rounded {round(first, 2):g}: {rounded:.4f}. Fig. 7 "
                "uses the unrounded one.",
            ),
            Convention(
                "eq. 13 as printed", eyeriss_v2("alexnet", "as_printed"),
                "With the bracket closed early.",
            ),
        ),
        why=f"The break-even of Eyeriss v1, {first:.4f}, over {GAIN:g} is {computed:.4f}: 0.36.",
        sources=("chen_2019_jetcas",),
    )  # fmt: skip


def _figure_5(claim: Claim) -> Recomputed:
    reuse = 10.0
    at, before = best(reuse) / spike(T65), best(reuse - 2) / spike(T65)
    return Recomputed(
        at,
        f"eq. 12 with RF {reuse:g}: {best(reuse):.4g} / {spike(T65):.4g} MAC = {at:.4f}, and it "
        f"falls with RF; at RF {reuse - 2:g} it is {before:.4f}",
        holds=at < (claim.value or 0.0),
        why="The target at RF = 10 is not below the printed bound.",
    )


def _figure_7(key: str, spikes: float) -> Recompute:
    def recompute(claim: Claim) -> Recomputed:
        target = rows()[key].spikes_per_synapse
        computed = target / spikes
        text = f"{target:.4f} / {spikes:g} = {computed:.3f}, from the unrounded target"
        tried: tuple[Convention, ...] = ()
        if key == "ann_eyeriss_v2_alexnet":
            other = eyeriss_v2("alexnet", "as_printed") / spikes
            text += f" with gating over the whole bracket of eq. 13 (as printed: {other:.2f})"
            tried = (Convention("eq. 13 as printed", other, "With the bracket closed early."),)
        return Recomputed(
            computed, text, conventions=tried, why="Target of Table III over spikes per synapse."
        )

    return recompute


def _above_half(claim: Claim) -> Recomputed:
    targets = {key: row.spikes_per_synapse for key, row in rows().items() if key != "ann_naive"}
    highest = max(targets.values())
    return Recomputed(
        highest,
        f"highest target of the ideal and Eyeriss models = {highest:.4f} (Eyeriss v1, VGG16); with "
        f"eq. 13 as printed {eyeriss('vgg16', 'as_printed'):.4f}",
        holds=highest < (claim.value or 0.0),
        why="A target lies above the printed bound.",
    )


def _share_base(claim: Claim) -> Recomputed:
    def share(technology: str) -> float:
        bits = BITS[technology]
        counts = equations.ann_naive(n_syn=1.0, weight_bits=bits, iact_bits=bits, psum_bits=bits)
        cost = price(counts, technology)
        return float(100 * cost.total(component="sram") / cost.energy)

    computed = share(T65)
    return Recomputed(
        computed,
        f"four accesses over eq. 2, 65 nm column: {computed:.2f} % (45 nm: {share(T45):.2f} %)",
        why="Distant accesses over eq. 2.",
    )


def _share_eyeriss(name: str, *components: str) -> Recompute:
    def share(convention: equations.Convention) -> float:
        cost = eyeriss_cost("alexnet", convention)
        return float(
            100 * sum(cost.total(component=component) for component in components) / cost.energy
        )

    def recompute(claim: Claim) -> Recomputed:
        computed, whole = share("as_printed"), share("whole_bracket")
        return Recomputed(
            computed,
            f"{name} over eq. 13 as printed, AlexNet = {computed:.2f} %",
            conventions=(
                Convention(
                    "gating over the whole bracket", whole,
                    f"With the factor over all terms the share is {whole:.3f} %.",
                ),
            ),
            why=f"{_BRACKET} It gives {computed:.2f} %.",
            sources=_CHEN,
        )  # fmt: skip

    return recompute


RECOMPUTE: dict[str, Recompute] = {
    "T1-AC45": _add_45,
    "T1-RW45": _read_45,
    "T1-65": _row_65,
    "T3-worst": _worst,
    "T3-reuse": _reuse,
    "T3-best": _best,
    "EV1-VGG": _eyeriss_v1_vgg16,
    "EV1-ALEX": _eyeriss_v1_alexnet,
    "EV2": _eyeriss_v2,
    "F5": _figure_5,
    "F6-base": _share_base,
    "F6-ev1dist": _share_eyeriss("distant accesses", "sram"),
    "F6-ev1loc": _share_eyeriss("PE SRAM and registers", "pe_sram", "register"),
    "F7-EV2-0.1": _figure_7("ann_eyeriss_v2_alexnet", 0.1),
    "F7-best-0.1": _figure_7("ann_reuse_sparsity", 0.1),
    "F7-EV2-0.05": _figure_7("ann_eyeriss_v2_alexnet", 0.05),
    "F7-best-0.05": _figure_7("ann_reuse_sparsity", 0.05),
    "F7-05": _above_half,
}
