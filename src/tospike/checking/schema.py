"""The form of a claim file, checked by pydantic: what a paper's table prints, as it prints it.

Quantities are text with units ("13.10 mJ", "4.6 pJ", "8 KiB"); counts take a decimal prefix
("1.82 GMAC", "3.88 GOp"). The printed digits matter: they say how exactly a number is known.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _no_control(text: str) -> str:
    """Escape sequences would reach the terminal of whoever checks a claim that he was sent."""
    if any(not letter.isprintable() and letter not in "\n\t\u00a0" for letter in text):
        raise ValueError("text has control characters")
    return text


Text = Annotated[str, Field(min_length=1), AfterValidator(_no_control)]
#: a count as text with prefix and unit, or as a bare number (then exact)
CountText = Text | int | float
Share = Annotated[float, Field(ge=0, le=1)]
#: upper bounds far above anything printed, so that no product leaves the range of floats
Rate = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Bits = Annotated[int, Field(ge=1, le=64)]
Whole = Annotated[int, Field(ge=1, le=10**9)]
Evidence = Literal["printed", "second_hand", "recalled", "constructed"]
Residual = Literal["none", "sew_add", "sew_and", "sew_iand", "ms"]
Per = Literal["inference", "step"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceModel(_Strict):
    """Where the numbers stand, and how they came here."""

    citation: Text
    locator: Text
    link: Annotated[str, AfterValidator(_no_control)] = ""
    evidence: Evidence


class LayerModel(_Strict):
    """One row of a table of layers; ``input`` is the spatial size ([32, 32])."""

    name: Text | None = None
    kind: Literal["conv", "linear"]
    in_channels: Whole | None = None
    out_channels: Whole | None = None
    kernel: Whole | list[Whole] | None = None
    stride: Whole | list[Whole] = 1
    padding: Annotated[int, Field(ge=0)] | list[Annotated[int, Field(ge=0)]] = 0
    groups: Whole = 1
    input: list[Whole] | None = None
    in_features: Whole | None = None
    out_features: Whole | None = None
    firing_rate: Rate | None = None
    after_addition: bool = False

    @model_validator(mode="after")
    def _complete(self) -> LayerModel:
        needed = {
            "conv": ("in_channels", "out_channels", "kernel", "input"),
            "linear": ("in_features", "out_features"),
        }[self.kind]
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ValueError(f"a {self.kind} layer needs {', '.join(missing)}")
        if self.kind == "conv":
            for name in ("kernel", "stride", "padding"):
                value = getattr(self, name)
                if isinstance(value, list) and len(value) != len(self.input or ()):
                    raise ValueError(
                        f"{name} has {len(value)} numbers, input {len(self.input or ())}"
                    )
            for name in ("in_channels", "out_channels"):
                if getattr(self, name) % self.groups:
                    raise ValueError(f"{name} is no multiple of groups = {self.groups}")
        return self


class TotalsModel(_Strict):
    """Totals, where the paper prints no more. MACs of one pass; 1 MAC = 2 FLOP."""

    macs: CountText | None = None
    first_layer_macs: CountText | None = None
    neurons: CountText | None = None
    parameters: CountText | None = None


class NetworkModel(_Strict):
    """One of ``zoo``, ``layers``, ``totals``; totals may stand beside a zoo name to overrule it."""

    zoo: Text | None = None
    layers: list[LayerModel] = []
    totals: TotalsModel | None = None
    residual: Residual | None = None
    residual_share: Share | None = None

    @model_validator(mode="after")
    def _one(self) -> NetworkModel:
        if self.zoo and self.layers:
            raise ValueError("give either zoo or layers, not both")
        if not (self.zoo or self.layers or self.totals):
            raise ValueError("give one of zoo, layers, totals")
        return self


class SnnModel(_Strict):
    """The spiking network. ``firing_rate``: spikes per neuron and (inner) time step, mean over
    the synapses; ``spikes_per_synapse``: per inference."""

    timesteps: Whole | None = None
    virtual_steps: Whole | None = None
    firing_rate: Rate | None = None
    spikes_per_synapse: Rate | None = None
    layer_firing_rates: dict[Text, Rate] = {}
    input: Literal["direct", "rate", "event"] | None = None
    neuron: Literal["if", "lif", "if_cont", "lif_cont"] | None = None
    reset: Literal["hard", "soft", "none"] | None = None
    weight_bits: Bits | None = None
    state_bits: Bits | None = None

    @model_validator(mode="after")
    def _one_activity(self) -> SnnModel:
        given = [
            name
            for name in ("firing_rate", "spikes_per_synapse", "layer_firing_rates")
            if getattr(self, name) not in (None, {})
        ]
        if "spikes_per_synapse" in given and "layer_firing_rates" in given:
            raise ValueError("give either spikes_per_synapse or layer_firing_rates, not both")
        if "firing_rate" in given and "layer_firing_rates" in given:
            raise ValueError("give either firing_rate or layer_firing_rates, not both")
        return self


class AnnModel(_Strict):
    """The network it is compared with."""

    weight_bits: Bits | None = None
    activation_bits: Bits | None = None
    zero_fraction: Annotated[float, Field(ge=0, lt=1)] | None = None
    zeros_used: bool | None = None
    activation: Literal["relu", "other"] | None = None
    macs: CountText | None = None


class AccountingModel(_Strict):
    """How the paper gets from counts to joules, as far as it says so."""

    formula: Text | None = None
    mac: Text | None = None
    ac: Text | None = None
    constants_source: Annotated[str, AfterValidator(_no_control)] = ""
    memory: Literal["none", "included"] | None = None
    memory_capacity: Text | None = None
    memory_access: Text | None = None
    memory_access_bits: Bits = 64
    memory_layout: Literal["single", "distributed"] | None = None
    first_layer: Literal["mac", "ac"] | None = None
    residual_operations: Literal["mac", "ac"] | None = None
    static: Literal["ignored", "included"] | None = None
    static_power: Text | None = None
    inference_time: Text | None = None


class ClaimedModel(_Strict):
    """The printed results. ``ratio`` is ANN energy / SNN energy."""

    ann_operations: CountText | None = None
    snn_operations: CountText | None = None
    ann_energy: Text | None = None
    snn_energy: Text | None = None
    ratio: Text | int | float | None = None
    ann_per: Per | None = None
    snn_per: Per | None = None


class ClaimModel(_Strict):
    """A whole claim file."""

    title: Text
    source: SourceModel
    network: NetworkModel
    snn: SnnModel = SnnModel()
    ann: AnnModel = AnnModel()
    accounting: AccountingModel = AccountingModel()
    claimed: ClaimedModel
    chip: Text | None = None
    notes: list[Text] = []
