"""``RULES``: the known mistakes; one file and one line each."""

from __future__ import annotations

from tospike.checking.rules import (
    analog_first_layer,
    ann_sparsity,
    compute_only,
    constants,
    idle_steps,
    integer_spikes,
    own_ratio,
    per_step,
    precision,
    rate_twice,
    residual_sums,
    small_sram,
    static_power,
)
from tospike.checking.rules.rule import Rule

#: key -> rule, in the order in which they are printed
RULES: dict[str, Rule] = {
    rule.key: rule
    for rule in (
        compute_only.RULE,
        rate_twice.RULE,
        constants.RULE,
        per_step.RULE,
        residual_sums.RULE,
        ann_sparsity.RULE,
        precision.RULE,
        small_sram.RULE,
        analog_first_layer.RULE,
        integer_spikes.RULE,
        static_power.RULE,
        idle_steps.RULE,
        own_ratio.RULE,
    )
}

__all__ = ["RULES", "Rule"]
