"""The whole page: head, contents, parts, bibliography, provenance, embedded data and scripts."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

from tospike.decision.record import Decision
from tospike.reporting import wording as say
from tospike.reporting.markup import (
    Cell,
    Column,
    Html,
    data_block,
    el,
    informative,
    join,
    span,
    table,
)
from tospike.reporting.parts import Numbering, decision_part, section_part
from tospike.reporting.section import Section
from tospike.reporting.tables import dot

Part = tuple[str, Decision | Section]

PLOTLY = "plotly-cartesian.min.js"


@cache
def asset(name: str) -> str:
    """Text of a file that the package carries."""
    return (files("tospike.reporting") / "assets" / name).read_text(encoding="utf-8")


def page(parts: Sequence[Part], extra: Sequence[Section], title: str, now: datetime) -> str:
    """One HTML document of these parts; ``extra`` sections without a decision come last."""
    numbering = Numbering()
    loose = [(s.title, s) for s in extra if s.belongs_to is None]
    everything: list[Part] = [*parts, *loose]
    idents = [f"part-{i}" for i in range(1, len(everything) + 1)]
    bodies, seen = [], 0
    for ident, (name, content) in zip(idents, everything, strict=True):
        if isinstance(content, Decision):
            mine = [section for section in extra if section.belongs_to == seen]
            bodies.append(decision_part(content, name, ident, mine, numbering))
            seen += 1
        else:
            bodies.append(section_part(content, name, ident, numbering))
    decisions = [content for _, content in everything if isinstance(content, Decision)]
    body = [
        _header(title if len(everything) > 1 else title.removesuffix(f" {parts[0][0]}"), now),
        _contents(everything, idents) if len(everything) > 1 else "",
        el("noscript", el("p", "Figures need JavaScript; the tables below hold their numbers.")),
        el("main", *bodies, _bibliography(decisions)),
        _footer(decisions, now),
        _embedded(decisions),
    ]
    scripts = [asset(PLOTLY), asset("report.js")] if numbering.figures else [asset("report.js")]
    return _document(title, join(body), scripts)


def _document(title: str, body: Html, scripts: Sequence[str]) -> str:
    # Only scripts with these hashes run, and nothing is ever fetched: a layer's name that got
    # past the escaping could do neither.
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
        f"form-action 'none'; base-uri 'none'; script-src {' '.join(map(_hash, scripts))}"
    )
    head = [
        el("meta", attrs={"charset": "utf-8"}),
        el("meta", attrs={"http-equiv": "Content-Security-Policy", "content": policy}),
        el("meta", attrs={"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        el("meta", attrs={"name": "color-scheme", "content": "light dark"}),
        el("meta", attrs={"name": "generator", "content": f"tospike {_version()}"}),
        el("title", title),
        el("style", Html(asset("report.css"))),
    ]
    code = [el("script", Html(script)) for script in scripts]
    root = el("html", el("head", *head), el("body", body, *code), attrs={"lang": "en"})
    return f"<!DOCTYPE html>\n{root}\n"


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _version() -> str:
    try:
        return version("tospike")
    except PackageNotFoundError:
        return "(not installed)"


def _header(title: str, now: datetime) -> Html:
    line = f"tospike {_version()} · {now:%Y-%m-%d %H:%M} UTC"
    return el("header", el("p", line, attrs={"class": "stamp"}), el("h1", title))


def _contents(parts: Sequence[Part], idents: Sequence[str]) -> Html:
    """All verdicts at one glance, each linked to its part."""
    columns = (
        Column("part"),
        Column("verdict or content"),
        Column("winner"),
        Column("energy", True),
        Column("× reference", True),
        Column("P(SNN wins)", True),
    )
    rows = []
    for ident, (name, content) in zip(idents, parts, strict=True):
        link = el("a", name, attrs={"href": f"#{ident}"})
        if not isinstance(content, Decision):
            first = content.text.strip().split("\n\n")[0]
            rows.append([Cell(link), Cell(first, kind="note"), *(Cell("") for _ in columns[2:])])
            continue
        best = say.winner(content)
        ratio = say.relative(best, say.reference(content))
        rows.append(
            [
                Cell(link),
                Cell(say.summary(content.verdict), kind="note"),
                Cell(join((dot(best.mode), best.name)) if best else say.DASH, kind="winner"),
                Cell(say.energy(best.energy_J) if best else say.DASH),
                Cell(say.times(ratio), ratio),
                Cell(say.probability(content.p_snn_wins), say.finite(content.p_snn_wins)),
            ]
        )
    return el(
        "nav",
        table("Parts of this report", *informative(columns, rows), sortable=False),
        attrs={"aria-label": "Contents"},
    )


_LINK = re.compile(r"(?:doi:(10\.[^\s\]<>\"]+)|arXiv:(\d{4}\.\d{4,5}))")


def linked(text: str) -> Html:
    """``text`` with doi: and arXiv: made links (followed only when clicked)."""
    pieces: list[object] = []
    end = 0
    for match in _LINK.finditer(text):
        doi, arxiv = match.groups()
        target = f"https://doi.org/{doi.rstrip('.,;')}" if doi else f"https://arxiv.org/abs/{arxiv}"
        pieces.append(text[end : match.start()])
        pieces.append(el("a", match.group(), attrs={"href": target, "rel": "noreferrer noopener"}))
        end = match.end()
    return join([*pieces, text[end:]])


def _bibliography(decisions: Sequence[Decision]) -> Html:
    """Every source once, those quoted second-hand marked."""
    sources: dict[str, dict[str, Any]] = {}
    for decision in decisions:
        for source in decision.sources:
            sources.setdefault(str(source.get("key", source.get("text", ""))), source)
    if not sources:
        return Html("")
    items = []
    second_hand = 0
    for key, source in sources.items():
        verified = bool(source.get("verified", True))
        second_hand += not verified
        text = str(source.get("text") or key).replace("[quoted second-hand]", "").strip()
        mark = "" if verified else span("mark second-hand", "quoted second-hand")
        items.append(el("li", join((span("key", key), linked(text), mark), " ")))
    note = (
        el("p", "A source marked “quoted second-hand” was not read itself; treat it with care.")
        if second_hand
        else ""
    )
    return el(
        "section",
        el("h2", "Bibliography"),
        note,
        el("ul", *items, attrs={"class": "bibliography"}),
        attrs={"id": "bibliography", "class": "part"},
    )


def _footer(decisions: Sequence[Decision], now: datetime) -> Html:
    lines = [f"Written by tospike {_version()} on {now:%Y-%m-%d %H:%M:%S} UTC."]
    for decision in decisions:
        name = decision.network.get("name", "network")
        digest = decision.network.get("sha256")
        digest = f", SHA-256 {digest}" if digest else ""
        origin = decision.data.get("origin") or "unknown data"
        samples = decision.data.get("n_samples")
        count = f", {samples} samples" if samples is not None else ""
        lines.append(f"Network {name}{digest}; data: {origin}{count}.")
    lines.append(
        "Figures are drawn by plotly.js (MIT licence), which this file carries; the file makes no "
        "request to any host. The decision as JSON is in the element #tospike-decision."
    )
    return el("footer", *(el("p", line) for line in lines))


def _embedded(decisions: Sequence[Decision]) -> Html:
    """One decision as its documented JSON, several as an array of them."""
    bodies = [decision.as_dict() for decision in decisions]
    return data_block(bodies[0] if len(bodies) == 1 else bodies, {"id": "tospike-decision"})


def default_title(parts: Sequence[Part]) -> str:
    """Title of a report whose caller gave none."""
    if len(parts) == 1:
        return f"To spike or not to spike? {parts[0][0]}"
    return "To spike or not to spike?"
