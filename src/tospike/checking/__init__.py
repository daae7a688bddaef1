"""``tospike check``: a published claim recomputed, with the known mistakes looked for.

>>> from tospike.checking import check
>>> from tospike.checking.examples import example_path
>>> check(example_path("clean")).findings
()
"""

from __future__ import annotations

from tospike.checking.check import check
from tospike.checking.load import parse_claim, read_claim
from tospike.checking.record import Claim, ModelResult, Outcome, Own, Report
from tospike.checking.rules import RULES, Rule

__all__ = [
    "RULES",
    "Claim",
    "ModelResult",
    "Outcome",
    "Own",
    "Report",
    "Rule",
    "check",
    "parse_claim",
    "read_claim",
]
