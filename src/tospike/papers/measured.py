"""What was measured here for the figures: sparsity and spikes per layer, as package data.

``data/measured_sparsity.json`` belongs to Liu & Delbruck 2019, Fig. 4 (zeros in feature maps,
with and without quantisation), ``data/measured_spikes.json`` to Dampfhoffer et al. 2022, Fig. 8
(spikes per layer of converted networks). One command measures both and writes the files
(``validation/measure_papers.py``); the figures only read them.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tospike.errors import DataError

_DATA = Path(__file__).parent / "data"
#: Fig. 4 of Liu & Delbruck 2019
SPARSITY_PATH = _DATA / "measured_sparsity.json"
#: Fig. 8 of Dampfhoffer 2022
SPIKES_PATH = _DATA / "measured_spikes.json"

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Change = Annotated[float, Field(ge=-1.0, le=1.0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SparseNetwork(_Strict):
    """Zeros of one network at one precision.

    Attributes
    ----------
    name, precision : "VGG-16 trunk", "float32" or "w8a8" (bits of weights and activations).
    training : how the precision came in: "as trained", "post-training", "dual-copy rounding ...".
    layers : the layers whose feature maps are meant, first to last.
    zero_fraction : share of exact zeros in the feature map after ReLU and rounding, before
        pooling: what Fig. 4 shows.
    zero_fraction_std : its standard deviation, over seeds if several networks were trained, else
        over samples; None where there is only one.
    n_samples, seeds : images measured per network; networks trained.
    accuracy, accuracy_std : share of test images classified rightly; None without a classifier.
    note : what the numbers rest on.
    relu_zero_fraction : zeros of the same maps before rounding; the difference is small positive
        values that rounding sets to 0. Empty if not measured.
    input_zero_fraction : zeros at the input of each layer, after pooling, as ``ts.measure``
        counts them. Empty if not measured.
    mean_std : standard deviation of :attr:`mean`, over the same as ``zero_fraction_std``.
    rise, rise_std : mean less that of the float32 network with the same seed or sample.
    relative_error : of the last feature map, ||difference|| / ||float32||.
    """

    name: Text
    precision: Text
    training: str = ""
    layers: tuple[Text, ...] = Field(min_length=1)
    zero_fraction: tuple[Share, ...]
    zero_fraction_std: tuple[NotNegative | None, ...]
    n_samples: int = Field(ge=1)
    seeds: int = Field(default=1, ge=1)
    accuracy: Share | None = None
    accuracy_std: NotNegative | None = None
    note: str = ""
    relu_zero_fraction: tuple[Share, ...] = ()
    input_zero_fraction: tuple[Share, ...] = ()
    mean_std: NotNegative | None = None
    rise: Change = 0.0
    rise_std: NotNegative | None = None
    relative_error: NotNegative | None = None

    @model_validator(mode="after")
    def _consistent(self) -> SparseNetwork:
        where = f"{self.name}, {self.precision}"
        _equal_lengths(
            where,
            self.layers,
            {
                "zero_fraction": self.zero_fraction,
                "zero_fraction_std": self.zero_fraction_std,
                "relu_zero_fraction": self.relu_zero_fraction or self.layers,
                "input_zero_fraction": self.input_zero_fraction or self.layers,
            },
        )
        rectified = self.relu_zero_fraction or (0.0,) * len(self.layers)
        # rounding never makes a zero into something else
        fewer = [
            layer
            for layer, after, before in zip(self.layers, self.zero_fraction, rectified, strict=True)
            if after < before - 1e-9
        ]
        if fewer:
            raise ValueError(f"{where}: fewer zeros after rounding than before: {', '.join(fewer)}")
        return self

    @property
    def mean(self) -> float:
        """Plain mean of the zero fraction over the layers."""
        return sum(self.zero_fraction) / len(self.zero_fraction)


class SpikingNetwork(_Strict):
    """Spikes of one converted network at one number of time steps.

    ``layers`` are those whose inputs are spikes. Both counts are taken at their inputs, summed
    over the time steps, mean per inference; ``spikes_per_neuron`` is empty if not measured.
    ``agreement`` is the share of arg-max equal to the float network's, ``relative_error`` that of
    the output, ||difference|| / ||float network||.
    """

    name: Text
    timesteps: int = Field(ge=1)
    layers: tuple[Text, ...] = Field(min_length=1)
    spikes_per_synapse: tuple[NotNegative, ...]
    spikes_per_neuron: tuple[NotNegative, ...] = ()
    n_samples: int = Field(ge=1)
    accuracy: Share | None = None
    note: str = ""
    float_accuracy: Share | None = None
    agreement: Share | None = None
    relative_error: NotNegative | None = None

    @model_validator(mode="after")
    def _consistent(self) -> SpikingNetwork:
        _equal_lengths(
            f"{self.name}, T = {self.timesteps}",
            self.layers,
            {
                "spikes_per_synapse": self.spikes_per_synapse,
                "spikes_per_neuron": self.spikes_per_neuron or self.layers,
            },
        )
        return self


class _Measurement(_Strict):
    """Where the numbers come from."""

    figure: str
    command: Text
    date: str
    machine: Text

    @field_validator("date")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        if datetime.date.fromisoformat(value).isoformat() != value:
            raise ValueError(f"{value!r} is not a day YYYY-MM-DD")
        return value


class Sparsity(_Measurement):
    """The file behind Fig. 4 of Liu & Delbruck 2019."""

    figure: Literal["liu_delbruck_2019_fig4"]
    networks: tuple[SparseNetwork, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_once(self) -> Sparsity:
        _once([f"{n.name}, {n.precision}, {n.training}" for n in self.networks])
        return self


class Spikes(_Measurement):
    """The file behind Fig. 8 of Dampfhoffer 2022."""

    figure: Literal["dampfhoffer_2022_fig8"]
    networks: tuple[SpikingNetwork, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_once(self) -> Spikes:
        _once([f"{n.name}, T = {n.timesteps}" for n in self.networks])
        return self


File = TypeVar("File", bound=_Measurement)


def read_sparsity(path: Path = SPARSITY_PATH) -> Sparsity:
    """Zeros per layer. Raises :class:`DataError` if not measured, or malformed."""
    return _read(path, Sparsity)


def read_spikes(path: Path = SPIKES_PATH) -> Spikes:
    """Spikes per synapse and layer. Raises :class:`DataError` if not measured, or malformed."""
    return _read(path, Spikes)


def _equal_lengths(where: str, layers: Sequence[str], columns: dict[str, Sequence[object]]) -> None:
    wrong = [f"{key} has {len(v)}" for key, v in columns.items() if len(v) != len(layers)]
    if wrong:
        raise ValueError(f"{where}: {len(layers)} layers, but {', '.join(wrong)} values")


def _once(keys: Sequence[str]) -> None:
    twice = dict.fromkeys(key for key in keys if keys.count(key) > 1)
    if twice:
        raise ValueError(f"twice: {'; '.join(twice)}")


def _read(path: Path, model: type[File]) -> File:
    try:
        return model.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise _error(path, "nothing: not measured yet") from error
    except ValidationError as error:
        reasons = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise _error(path, "a file with other contents", reasons) from error
    except (OSError, ValueError) as error:
        raise _error(path, "a file that cannot be read", [str(error)]) from error


def _error(path: Path, received: str, reasons: list[str] | None = None) -> DataError:
    return DataError(
        f"read the measurements {path.name}",
        received=received,
        fix="measure again: make validate",
        reasons=reasons or (),
    )
