"""``PUBLISHED``: what each published model compares, ANN beside SNN, priced as its paper prices.

One entry says: this paper would count the ANN with one equation and the SNN with another, and
price both with this technology. ``tospike analyze --models all`` runs one network through all.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A pair of equations of :data:`~tospike.equations.MODELS` with the paper's own prices.

    Attributes
    ----------
    key, title : short name; words for a figure ("Dampfhoffer 2022, ideal reuse").
    paper, locator : key of the bibliography; place in the paper.
    ann, snn : keys of the equations.
    technology : name of the energy reference table that the paper prices with.
    leaves_out : what this comparison does not count, in words ("every memory access").
    """

    key: str
    title: str
    paper: str
    locator: str
    ann: str
    snn: str
    technology: str
    leaves_out: str = ""


_D, _T45 = "dampfhoffer_2022", "dampfhoffer_2022_45nm_8b"
_T65 = "dampfhoffer_2022_65nm_16b"
_STATIC = "static power and communication"

_TABLE = (
    PublishedModel(
        "compute_only", "MACs and ACs only", "horowitz_2014", "0.9/4.6 pJ convention",
        "ann_compute_only", "snn_compute_only", "horowitz_2014_45nm_fp", "every memory access",
    ),
    PublishedModel(
        "dampfhoffer_naive", "Dampfhoffer 2022, naive ANN", _D, "eqs. 2, 4",
        "ann_naive", "snn_if_inst", _T45, f"data reuse, zeros of the ANN, {_STATIC}",
    ),
    PublishedModel(
        "dampfhoffer_lif", "Dampfhoffer 2022, naive ANN, LIF", _D, "eqs. 2, 7",
        "ann_naive", "snn_lif_inst", _T45, f"data reuse, zeros of the ANN, {_STATIC}",
    ),
    PublishedModel(
        "dampfhoffer_reuse", "Dampfhoffer 2022, ideal reuse", _D, "eqs. 11, 4",
        "ann_reuse", "snn_if_inst", _T65, f"zeros of the ANN, {_STATIC}",
    ),
    PublishedModel(
        "dampfhoffer_best", "Dampfhoffer 2022, ideal reuse and sparsity", _D, "eqs. 12, 4",
        "ann_reuse_sparsity", "snn_if_inst", _T65, _STATIC,
    ),
    PublishedModel(
        "dampfhoffer_eyeriss_v1", "Dampfhoffer 2022, Eyeriss v1", _D, "eqs. 13, 4",
        "ann_eyeriss_v1", "snn_if_inst", _T65, _STATIC,
    ),
    PublishedModel(
        "dampfhoffer_eyeriss_v2", "Dampfhoffer 2022, Eyeriss v2", _D, "III-B2",
        "ann_eyeriss_v2", "snn_if_inst", _T65, _STATIC,
    ),
    PublishedModel(
        "ottati", "Ottati 2023", "ottati_2023", "IV-A",
        "ann_ottati", "snn_ottati", "ottati_2023_45nm", f"data reuse, {_STATIC}",
    ),
    PublishedModel(
        "liu_delbruck", "Liu & Delbruck 2019, NullHop", "liu_delbruck_2019", "VI",
        "ann_nullhop", "snn_if_inst", "horowitz_2014_45nm", _STATIC,
    ),
    PublishedModel(
        "lemaire", "Lemaire 2022", "lemaire_2022", "eqs. 1-17",
        "ann_lemaire", "snn_lemaire", "lemaire_2022_45nm",
        f"data reuse, zeros of the ANN, {_STATIC}",
    ),
    PublishedModel(
        "davidson_furber", "Davidson & Furber 2021", "davidson_furber_2021", "12E/7E",
        "ann_davidson_furber", "snn_davidson_furber", "davidson_furber_2021_22nm",
        f"updates per time step, data reuse, zeros of the ANN, {_STATIC}",
    ),
    PublishedModel(
        "yan", "Yan 2026, capacity-matched QNN", "yan_2026", "energy model, typical neuromorphic",
        "ann_yan", "snn_yan", "yan_2026_22nm", "control and static power",
    ),
    PublishedModel(
        "shen", "Shen 2024, bit budget", "shen_2024", "S-ACE, NS-ACE",
        "ann_shen", "snn_shen", "shen_2024_bit_budget", "memory, data movement and static power",
    ),
)  # fmt: skip

#: key -> :class:`PublishedModel`
PUBLISHED: dict[str, PublishedModel] = {model.key: model for model in _TABLE}
