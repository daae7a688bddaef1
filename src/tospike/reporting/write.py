"""``report``: check what was asked, build the page, write the file in one step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tospike.decision.record import Decision
from tospike.errors import OptionError, TospikeError
from tospike.reporting.page import Part, default_title, page
from tospike.reporting.section import Section
from tospike.reporting.wording import part_title

SUFFIXES = (".html", ".htm")

Content = Decision | Section


def report(
    decision: Content | Sequence[Content] | Mapping[str, Content],
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    extra_sections: Sequence[Section] = (),
    now: datetime | None = None,
) -> Path:
    """Write one self-contained HTML file that needs no network, and return its path.

    Parameters
    ----------
    decision : one :class:`~tospike.decision.record.Decision`; or several, in the order of the
        report, among which :class:`Section` may stand; or a mapping from part title to these.
    path : file to write, ending in .html or .htm. An existing file is replaced in one step, or
        left as it was if anything fails.
    title : title of the page; by default made from network and data.
    extra_sections : sections that follow the decisions, or stand in the part of one
        (``Section.belongs_to``).
    now : time in the provenance footer; by default the present, in UTC. A time without zone is
        taken as UTC.

    Raises
    ------
    OptionError
        Wrong suffix, a directory, no such directory, not a decision, a figure that cannot be
        drawn offline.
    TospikeError
        The file cannot be written.
    """
    target = Path(path)
    check_path(target)
    parts = _parts(decision)
    _check_sections(extra_sections, sum(isinstance(content, Decision) for _, content in parts))
    moment = datetime.now(UTC) if now is None else now
    moment = moment.astimezone(UTC) if moment.tzinfo else moment
    text = page(parts, extra_sections, title or default_title(parts), moment)
    write_atomically(target, text.encode("utf-8"))
    return target


def _parts(decision: Content | Sequence[Content] | Mapping[str, Content]) -> list[Part]:
    if isinstance(decision, Decision | Section):
        named: list[tuple[str | None, object]] = [(None, decision)]
    elif isinstance(decision, Mapping):
        named = list(decision.items())
    elif isinstance(decision, Sequence) and not isinstance(decision, str | bytes):
        named = [(None, item) for item in decision]
    else:
        named = [(None, decision)]
    parts: list[Part] = []
    reasons = []
    for i, (name, item) in enumerate(named):
        if isinstance(item, Decision):
            parts.append((name or part_title(item), item))
        elif isinstance(item, Section):
            parts.append((name or item.title, item))
        else:
            reasons.append(f"item {i} is of type {type(item).__name__}")
    if reasons or not parts:
        raise OptionError(
            "write a report",
            received="" if reasons else "no decision",
            allowed="a Decision, a sequence of Decision and Section, or a mapping from title",
            fix="pass what tospike.decide returned",
            reasons=reasons,
        )
    return parts


def _check_sections(sections: Sequence[Section], n_decisions: int) -> None:
    reasons = []
    for i, section in enumerate(sections):
        if not isinstance(section, Section):
            reasons.append(f"extra section {i} is of type {type(section).__name__}")
        elif section.belongs_to is not None and not 0 <= section.belongs_to < n_decisions:
            reasons.append(
                f"extra section {i} belongs to decision {section.belongs_to}, "
                f"of {n_decisions} (counted from 0)"
            )
    if reasons:
        raise OptionError(
            "write a report",
            allowed="Section records whose belongs_to is None or the index of a decision",
            reasons=reasons,
        )


def check_path(target: Path) -> None:
    reasons = []
    if target.suffix.lower() not in SUFFIXES:
        reasons.append(f"the name ends in {target.suffix!r}, not in {' or '.join(SUFFIXES)}")
    if target.is_dir():
        reasons.append("it is a directory")
    if not target.parent.is_dir():
        reasons.append(f"there is no directory {str(target.parent)!r}")
    if reasons:
        raise OptionError(
            "write the report",
            received=repr(str(target)),
            allowed="a file name that ends in .html, in a directory that exists",
            fix="give a path such as 'report.html'",
            reasons=reasons,
        )


def write_atomically(target: Path, data: bytes) -> None:
    """Write ``data`` beside ``target`` and move it there: no reader sees half a file."""
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        # mkstemp makes files that only the owner may read; a report gets the usual rights.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, target)
    except OSError as error:
        raise TospikeError(
            "write the report",
            received=error.strerror or str(error),
            where=str(target),
            allowed="a file in a directory where you may write, on a disk with room",
            fix="choose another path, or change the rights of the directory",
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
