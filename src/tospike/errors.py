"""Named errors. Each says what was asked, what was received, where, what is allowed, and the fix.

An error collects *all* reasons found, so that a user mends a file once and not once per fault.
The command line prints ``str(error)`` and exits with status 2 for every subclass of
:class:`TospikeError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class TospikeError(Exception):
    """Base of every error that a user can cause and mend.

    Parameters
    ----------
    asked : what the program was asked to do ("load the network 'net.onnx'").
    received : what it met instead, in the user's terms.
    where : place: file, layer, key, index.
    allowed : what would have been accepted.
    fix : the usual mend, an instruction.
    reasons : every single reason, one line each, when there are several.
    """

    def __init__(
        self,
        asked: str,
        *,
        received: str = "",
        where: str = "",
        allowed: str = "",
        fix: str = "",
        reasons: Iterable[str] = (),
    ) -> None:
        self.asked = asked
        self.received = received
        self.where = where
        self.allowed = allowed
        self.fix = fix
        self.reasons = tuple(reasons)
        super().__init__(self._text())

    def _text(self) -> str:
        lines = [f"cannot {self.asked}"]
        for label, value in (
            ("received", self.received),
            ("where", self.where),
            ("allowed", self.allowed),
            ("fix", self.fix),
        ):
            if value:
                lines.append(f"  {label}: {value}")
        if self.reasons:
            lines.append("  reasons:")
            lines.extend(f"    - {reason}" for reason in self.reasons)
        return "\n".join(lines)


class UnknownNameError(TospikeError):
    """A name that is in no table (technology, equation, layer, zoo network, statistic)."""


class ModelError(TospikeError):
    """A model that cannot be read or run: missing, corrupt, raising, NaN weights."""


class UnsupportedOperatorError(ModelError):
    """Operators with weights that tospike cannot count; all are listed with their number."""


class DataError(TospikeError):
    """Data that cannot be read or used: missing, empty, truncated, wrong shape, NaN."""


class StatisticError(TospikeError):
    """A statistic that cannot be computed. Never replaced by 0."""


class ConversionError(TospikeError):
    """A network that cannot be converted to the asked implementation."""


class ConstantError(TospikeError):
    """A constant without unit, source or locator, or with an impossible range."""


class TechnologyError(TospikeError):
    """A technology file that is malformed, or an action that a technology cannot price."""


class RangeError(TospikeError):
    """An argument outside of the range in which an equation holds and that cannot be flagged."""


class OptionError(TospikeError):
    """A command-line option or keyword with a value that is not allowed."""


def unknown_name(
    kind: str, name: str, allowed: Sequence[str], *, where: str = ""
) -> UnknownNameError:
    """The error for a name that is in no table, with the nearest spelling as the fix."""
    near = get_close_matches(name, allowed, n=1, cutoff=0.5)
    return UnknownNameError(
        f"find the {kind} {name!r}",
        received=repr(name),
        where=where,
        allowed=", ".join(sorted(allowed)),
        fix=f"did you mean {near[0]!r}?" if near else "choose one of the allowed names",
    )
