"""``check``: one claim through every rule and every published model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tospike.checking.facts import facts_of
from tospike.checking.load import read_claim
from tospike.checking.recompute import assumptions, own_formula, recompute
from tospike.checking.record import Claim, Report
from tospike.checking.rules import RULES


def check(claim: Claim | str | Path) -> Report:
    """Recompute a claim and look for the known mistakes.

    Parameters
    ----------
    claim : a :class:`Claim`, or the path of a YAML file.

    Every rule gives one outcome: a finding, "not checked: needs X", or passed. Raises
    :class:`DataError` with every fault of a file.
    """
    read = claim if isinstance(claim, Claim) else read_claim(claim)
    facts = facts_of(read)
    facts = replace(facts, models=recompute(facts))
    outcomes = tuple(replace(rule.check(facts), rule=rule.key) for rule in RULES.values())
    return Report(
        claim=read,
        outcomes=outcomes,
        models=facts.models,
        own=own_formula(facts),
        assumptions=assumptions(facts),
    )
