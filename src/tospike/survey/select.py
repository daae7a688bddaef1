"""Filter and sort chips with conditions of the form ``field operator value``. No code is run."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

from tospike.errors import OptionError, unknown_name
from tospike.survey.fields import Field, View, find, number_of
from tospike.survey.record import Accelerator
from tospike.survey.schema import ComputeText, EvidenceText, KindText, PlatformText

_NUMERIC: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
#: fields that hold one of a few words
_CHOICES: dict[str, tuple[str, ...]] = {
    "kind": get_args(KindText),
    "platform": get_args(PlatformText),
    "compute": get_args(ComputeText),
    "evidence": get_args(EvidenceText),
}
_FORM = re.compile(r"\s*(\w+)\s*(<=|>=|==|!=|<|>|~|=)\s*(.+?)\s*")
_JOIN = re.compile(r"\s+and\s+")


@dataclass(frozen=True, slots=True)
class Condition:
    """``field operator value``; the value is a number in the field's inner unit, or a text.

    Texts are compared without regard to case; ``~`` asks whether the field contains the text.
    ``a|b`` means one of the two. A chip without the field never meets a condition, not even
    ``!=``.
    """

    field: Field
    operator: str
    value: float | str

    def holds(self, chip: Accelerator, view: View) -> bool:
        held = self.field.read(chip, view)
        if held is None or held == "":
            return False
        if isinstance(self.value, float) and isinstance(held, float):
            return _NUMERIC[self.operator](held, self.value)
        left = str(held).casefold()
        choices = alternatives(str(self.value).casefold())
        if self.operator == "~":
            return any(choice in left for choice in choices)
        return (left in choices) == (self.operator == "==")


def alternatives(text: str) -> tuple[str, ...]:
    """The parts of ``"rnn|delta"``."""
    return tuple(part.strip() for part in text.split("|") if part.strip())


def conditions(text: str, view: View) -> tuple[Condition, ...]:
    """Conditions of ``"process_nm<=28 and kind==snn"``.

    Raises :class:`OptionError` for another form, an operator that the field does not know, or a
    value that is none; :class:`UnknownNameError` for an unknown field.
    """
    return tuple(_condition(part, view) for part in _JOIN.split(text.strip()))


def _condition(text: str, view: View) -> Condition:
    form = _FORM.fullmatch(text)
    if form is None:
        raise OptionError(
            f"read the condition {text!r}",
            where="--where",
            allowed="FIELD OPERATOR VALUE with <, <=, >, >=, ==, != or ~, joined by 'and'",
            fix="write, for example, 'process_nm<=28 and kind==snn'",
        )
    key, sign, value = form[1], "==" if form[2] == "=" else form[2], form[3].strip("'\"")
    return condition(key, sign, value, view, "--where")


def condition(key: str, sign: str, value: str, view: View, where: str) -> Condition:
    """One condition from its parts; errors as in :func:`conditions`."""
    item = find(key, view, where)
    allowed = ("==", "!=", "~") if not item.dimension else tuple(_NUMERIC)
    if sign not in allowed:
        raise OptionError(
            f"compare {key} with {sign!r}",
            received=f"{key} holds {'numbers' if item.dimension else 'texts'}",
            where=where,
            allowed=", ".join(allowed),
            fix="choose one of the allowed operators",
        )
    if item.dimension:
        return Condition(item, sign, number_of(value, item, where))
    if not alternatives(value):
        raise OptionError(f"compare {key} with {value!r}", where=where, allowed="a text")
    for choice in alternatives(value) if key in _CHOICES and sign != "~" else ():
        if choice.casefold() not in _CHOICES[key]:
            raise unknown_name(key, choice, _CHOICES[key], where=where)
    return Condition(item, sign, value)


def keep(
    chips: Sequence[Accelerator], asked: Sequence[Condition], view: View
) -> tuple[Accelerator, ...]:
    """The chips that meet every condition, in their order."""
    return tuple(chip for chip in chips if all(one.holds(chip, view) for one in asked))


def order(
    chips: Sequence[Accelerator], item: Field, view: View, *, descending: bool = False
) -> tuple[Accelerator, ...]:
    """The chips by one field; those without it last, equal ones in their order."""
    held = [(chip, item.read(chip, view)) for chip in chips]
    known = [(chip, value) for chip, value in held if value is not None and value != ""]
    unknown = [chip for chip, value in held if value is None or value == ""]

    def rank(pair: tuple[Accelerator, float | str]) -> tuple[float, str]:
        value = pair[1]
        return (value, "") if isinstance(value, float) else (0.0, str(value).casefold())

    known.sort(key=rank, reverse=descending)
    return (*(chip for chip, _ in known), *unknown)
