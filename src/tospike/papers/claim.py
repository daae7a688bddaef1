"""``Claim`` (what a paper prints), ``Recomputed`` (what follows), ``Finding`` (the verdict)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["reproduces", "convention", "does_not_reproduce", "input"]

VERDICTS: tuple[Verdict, ...] = ("reproduces", "convention", "does_not_reproduce", "input")


@dataclass(frozen=True, slots=True)
class Claim:
    """One printed statement of a paper, as package data (``data/claims.yaml``).

    Attributes
    ----------
    id, paper : key of the claim; key of the bibliography.
    where : locator inside of the paper.
    statement : what is claimed.
    value, unit : printed number; None where the claim is a statement without one number.
    tolerance : half of the last printed digit, or what the wording ("about") allows; None where
        there is no number.
    inputs : on what the number rests, and where those inputs come from.
    """

    id: str
    paper: str
    where: str
    statement: str
    value: float | None
    unit: str
    tolerance: float | None
    inputs: str


@dataclass(frozen=True, slots=True)
class Convention:
    """Another way of counting, with its name and the number that follows from it.

    ``name`` is short ("groups counted as dense"), ``text`` says what differs and why one may
    think that the authors counted so. ``holds`` decides claims without a number; False also keeps
    a number that agrees by chance from deciding: one fitted to another printed number, or one
    that contradicts the sentence in which the claim stands.
    """

    name: str
    value: float | None
    text: str
    holds: bool | None = None


@dataclass(frozen=True, slots=True)
class Recomputed:
    """What follows from the claim's own inputs. Made by one function per claim; no verdict yet.

    Attributes
    ----------
    computed : the number, in the unit of the claim; None for statements and inputs.
    arithmetic : the calculation with numbers, one line: "1.23 pJ / 8 B = ...".
    holds : for statements without a number: whether they hold; None for numbers and inputs.
    conventions : other ways of counting that were tried, most plausible first.
    why : why the printed value does not follow, in words. Needed where it does not.
    is_input : True: the claim is a measured or quoted input that nothing here can derive; ``why``
        then says what it would take.
    sources : keys of the bibliography the recomputation rests on, besides the paper itself.
    """

    computed: float | None = None
    arithmetic: str = ""
    holds: bool | None = None
    conventions: tuple[Convention, ...] = ()
    why: str = ""
    is_input: bool = False
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim with its recomputation and the verdict that :func:`judge` derives from both.

    ``computed`` is the number that the verdict rests on: under the paper's stated method, or, for
    the verdict "convention", under the convention named in ``convention``. ``as_stated`` is always
    the number under the stated method.
    """

    claim: Claim
    verdict: Verdict
    computed: float | None
    as_stated: float | None
    explanation: str
    convention: str
    recomputed: Recomputed

    @property
    def deviation(self) -> float | None:
        """(computed - printed) / printed; None without two numbers or if printed is 0."""
        if self.computed is None or not self.claim.value:
            return None
        return self.computed / self.claim.value - 1.0
