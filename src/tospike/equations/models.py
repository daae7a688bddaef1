"""The registry ``MODELS``: every bound equation, one ``bind_<author>_<year>`` module per paper.

To add a model: write its paper file, bind it in a module of its own, add that module's ``BOUND``
to :data:`_TABLE`.
"""

from __future__ import annotations

from tospike.equations import (
    bind_compute_only,
    bind_dampfhoffer_2022,
    bind_davidson_furber_2021,
    bind_lemaire_2022,
    bind_liu_delbruck_2019,
    bind_ottati_2023,
    bind_shen_2024,
    bind_yan_2026,
)
from tospike.equations.binding import (
    eyeriss_reuse,
    second_bits,
    sent_share,
    spikes,
    weight_reuse,
    with_bias,
    zero_share,
)
from tospike.equations.record import EquationMode, EquationModel

__all__ = [
    "MODELS",
    "eyeriss_reuse",
    "second_bits",
    "sent_share",
    "spikes",
    "weight_reuse",
    "with_bias",
    "zero_share",
]

_TABLE: tuple[EquationModel, ...] = (
    *bind_dampfhoffer_2022.BOUND,
    *bind_ottati_2023.BOUND,
    *bind_liu_delbruck_2019.BOUND,
    *bind_compute_only.BOUND,
    *bind_lemaire_2022.BOUND,
    *bind_davidson_furber_2021.BOUND,
    *bind_yan_2026.BOUND,
    *bind_shen_2024.BOUND,
)
_MODES: tuple[EquationMode, ...] = ("ann", "snn", "delta")

#: key -> :class:`EquationModel`, the ANNs first
MODELS: dict[str, EquationModel] = {
    model.key: model for mode in _MODES for model in _TABLE if model.mode == mode
}
