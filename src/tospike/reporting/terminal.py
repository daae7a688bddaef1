"""The same decision as text: ``render`` for a terminal, a pipe or a log file."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tospike.decision.record import (
    Decision,
    ImplementationResult,
    LayerResult,
    PublishedVerdict,
)
from tospike.errors import OptionError
from tospike.reporting import deltas
from tospike.reporting import published as papers
from tospike.reporting import wording as say
from tospike.reporting.plot import clean

#: rows and lines shown; the HTML report and the JSON hold all
MAX_LAYERS, MAX_SENSITIVITIES, MAX_ASSUMPTIONS = 40, 5, 3
#: a terminal at least this wide has room for the columns that repeat or explain others
WIDE = 104
#: and one narrower than this has none for the ranges and the zeros
NARROW = 72

_VERDICT_STYLES = {"spike": "blue", "do not spike": "red", "too close": ""}
_STYLES = {"ann": "blue", "qnn": "cyan", "snn": "yellow", "hybrid": "magenta", "delta": "green"}

#: for terminals that are not UTF-8
_ASCII = str.maketrans(
    {"◆": "+", "■": "-", "∞": "inf"}
    | {"×": "x", "–": "-", "µ": "u", "Γ": "Gamma", "Θ": "Theta", "“": '"', "”": '"', "…": ".."}
    | {"█": "#", "·": ".", "│": "|", "●": "*", "≤": "<=", "≥": ">=", "→": "->"}
    | dict.fromkeys("╭╮╰╯", "+")
    | {"─": "-", "\N{NO-BREAK SPACE}": " "}
)


def render(decision: Decision, console: Console | None = None, *, published: bool = False) -> None:
    """Print verdict, implementations, layers, sensitivities and assumptions.

    ``published``: with the table of what each published model says (else one sentence).

    ``console`` is a ``rich.console.Console``; by default standard output, in colour only where
    that is a terminal. Readable from 80 columns.
    """
    target = console or Console()
    width = target.width
    blocks: list[RenderableType] = [
        _verdict(decision),
        _implementations(decision, width),
        *_deltas(decision, width),
        *_layers(decision, width),
        *_sensitivities(decision),
        *_published(decision, width, published),
        *_lists(decision),
    ]
    _print(target, Group(*blocks))


def render_breakeven(
    rows: Iterable[Mapping[str, Any]], console: Console | None = None, *, title: str = ""
) -> None:
    """Print break-even spikes per synapse, one ANN model a row.

    Each row has ``model``, ``title`` and ``spikes_per_synapse``; ``printed`` (the value in the
    paper, None if there is none) and ``locator`` (where it stands there) may be missing.
    Raises :class:`~tospike.errors.OptionError` if a row lacks a field.
    """
    table = _table(title or "Break-even: an SNN needs less energy below these rates")
    for name, right in (
        ("ANN model", False),
        ("description", False),
        ("spikes per synapse", True),
        ("printed", True),
        ("where", False),
    ):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        missing = [key for key in ("model", "title", "spikes_per_synapse") if key not in row]
        if missing:
            raise OptionError(
                "print the break-even table",
                received=f"a row without {', '.join(missing)}",
                allowed="rows with model, title, spikes_per_synapse, and printed, locator",
            )
        printed = row.get("printed")
        table.add_row(
            _text(row["model"]),
            _text(row["title"]),
            Text(say.number(row["spikes_per_synapse"]), style="bold"),
            _text(say.DASH if printed is None else printed),
            _text(row.get("locator") or say.DASH),
        )
    _print(console or Console(), table)


def _print(console: Console, content: RenderableType) -> None:
    if console.encoding.lower().replace("-", "").startswith("utf"):
        console.print(content)
        return
    # Box drawing, µ and × do not exist in this encoding: print what stands for them.
    buffer = io.StringIO()
    Console(file=buffer, width=console.width, no_color=True, safe_box=True).print(content)
    text = buffer.getvalue().translate(_ASCII)
    safe = text.encode(console.encoding, "replace").decode(console.encoding)
    console.print(Text(safe), end="")


def _text(value: object, style: str = "") -> Text:
    """Untrusted text: brackets in it are no markup, control characters are replaced."""
    return Text(clean(value), style=style)


def _table(title: str) -> Table:
    return Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        header_style="dim",
        padding=(0, 1),
    )


def _mode(mode: str) -> Text:
    return _text(
        {"qnn": "QNN", "delta": "delta"}.get(mode, say.mode_title(mode)), _STYLES.get(mode, "")
    )


def _verdict(decision: Decision) -> RenderableType:
    best = say.winner(decision)
    first, rest = say.headline(decision.verdict)
    lines = [_text(first, "bold"), *([_text(rest)] if rest else [])]
    facts = [f"P(SNN wins): {say.probability(decision.p_snn_wins)}"]
    if best is not None:
        facts.append(f"winner: {best.name}")
        ratio = say.relative(best, say.reference(decision))
        facts.append(say.energy(best.energy_J))
        if ratio is not None and not best.reference:
            facts.append(f"{say.times(ratio)} the reference")
    lines.append(_text(" · ".join(facts)))
    style = _STYLES.get(best.mode, "") if best is not None else ""
    return Panel(Group(*lines), title=_text(say.part_title(decision)), border_style=style)


def _implementations(decision: Decision, width: int) -> RenderableType:
    if not decision.implementations:
        return Text("No implementation was priced.\n")
    run = {item.evidence == "measured" for item in decision.implementations}
    words = "all run on the data" if run == {True} else "none was run"
    words = "* not run on the data" if len(run) > 1 else words
    title = Text(f"Implementations (modelled energy per inference; {words})", style="bold")
    table = _table("")
    table.add_column("implementation", overflow="fold", ratio=1)
    merit = say.merit_name(decision)
    if merit:
        table.add_column(merit, justify="right", no_wrap=True)
    table.add_column("energy", justify="right", no_wrap=True)
    if width >= NARROW:
        table.add_column("5–95 %", justify="right", no_wrap=True)
    table.add_column("× ref", justify="right", no_wrap=True)
    if width >= WIDE:
        table.add_column("P(cheaper)", justify="right", no_wrap=True)
        table.add_column("spikes/syn", justify="right")
        table.add_column("front")
    base = say.reference(decision)
    for item in decision.implementations:
        star = len(run) > 1 and item.evidence != "measured"
        table.add_row(*_implementation_row(item, decision, base, width, star))
    floor = any(say.below_floor(item, decision) for item in decision.implementations)
    least = say.merit_text(say.merit_floor(decision), merit)
    note = f"In brackets: {merit} below the floor of {least}."
    return Group(title, table, *([Text(note, style="dim")] if floor else []), Text())


def _implementation_row(
    item: ImplementationResult,
    decision: Decision,
    base: ImplementationResult | None,
    width: int,
    star: bool,
) -> list[RenderableType]:
    won = item.name == decision.winner
    name = _text(item.name, f"{_STYLES.get(item.mode, '')}{' bold' if won else ''}".strip())
    marks = [mark for mark, here in (("winner", won), ("reference", item.reference)) if here]
    if star:
        name.append(" *")
    if marks:
        name.append(f" ({', '.join(marks)})", style="dim")
    cells: list[RenderableType] = [name]
    if merit := say.merit_name(decision):
        value = say.merit_text(say.merit(item, merit), merit)
        low = say.below_floor(item, decision)
        cells.append(Text(f"({value})", style="dim") if low else Text(f"{value} "))
    cells.append(Text(say.energy(item.energy_J), style="bold" if won else ""))
    if width >= NARROW:
        cells.append(Text(say.energy_range(item.energy_low_J, item.energy_high_J), style="dim"))
    cells.append(Text(say.times(say.relative(item, base))))
    if width >= WIDE:
        cells += [
            Text(say.probability(item.p_cheaper)),
            Text(say.number(item.spikes_per_synapse)),
            Text("●" if item.on_pareto_front else ""),
        ]
    return cells


def shown_layers(layers: tuple[LayerResult, ...]) -> list[LayerResult]:
    """All layers, or those with the most synapses, in order of execution."""
    if len(layers) <= MAX_LAYERS:
        return list(layers)
    ranked = sorted(range(len(layers)), key=lambda i: -layers[i].n_synapses)[:MAX_LAYERS]
    return [layers[i] for i in sorted(ranked)]


def _deltas(decision: Decision, width: int) -> list[RenderableType]:
    """Delta networks that were run: what they read, and what their layers sent."""
    items = say.delta_runs(decision)
    if not items:
        return []
    table = _table("")
    table.add_column("delta network", overflow="fold", ratio=1)
    merit = say.merit_name(decision)
    for name in (merit or "accuracy", "Γ", "weights/step", "dense/read"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in items:
        read, dense = item.weight_bytes_per_step, item.dense_weight_bytes_per_step
        value = say.merit_text(say.merit(item, merit), merit)
        table.add_row(
            _text(item.name, "green bold" if item.name == decision.winner else "green"),
            Text(f"({value})" if say.below_floor(item, decision) else f"{value} "),
            Text(say.percent(deltas.sparsity(item))),
            Text(say.traffic(read)),
            Text(say.times(dense / read if read and dense else None)),
        )
    note = "Γ: share of the weights that a time step does not read; measured on the data"
    title = Text("Delta networks (a value is sent when it has moved by more than Θ)", style="bold")
    return [title, table, Text(note, style="dim"), Text()]


def _delta_layers(decision: Decision, shown: list[LayerResult], width: int) -> RenderableType:
    """Layers of a network that cannot spike: what each sent, and its energy dense and as delta."""
    found = deltas.by_layer(decision)
    table = _table("")
    table.add_column("layer", overflow="fold", ratio=1)
    names = ["synapses", "Θ", "Γ", *(["read/step"] if width >= NARROW else []), "dense", "delta"]
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("mode", no_wrap=True)
    for layer in shown:
        one = found.get(layer.name)
        read = [say.traffic(one.weight_bytes_per_step if one else None)]
        table.add_row(
            _text(layer.name),
            say.amount(layer.n_synapses),
            deltas.theta_text(one.threshold) if one else say.DASH,
            say.percent(one.temporal_sparsity) if one else say.DASH,
            *(read if width >= NARROW else []),
            say.energy(layer.energy_ann_J),
            say.energy(layer.energy_delta_J),
            _mode(layer.mode),
        )
    return table


def _layers(decision: Decision, width: int) -> list[RenderableType]:
    if not decision.layers:
        return []
    shown = shown_layers(decision.layers)
    spikes = any(say.finite(layer.spikes_per_synapse) is not None for layer in shown)
    item = say.shown_delta(decision)
    if item is not None and not spikes:
        title = f"Layers of “{item.name}” (energy of the dense reference and as delta layer)"
        blocks: list[RenderableType] = [
            _text(title, "bold"),
            _delta_layers(decision, shown, width),
            *(_text(text, "dim") for text in deltas.in_words(decision)[2:]),
        ]
    else:
        blocks = [
            Text("Layers (break-even: spiking wins with fewer spikes per synapse)", style="bold"),
            _break_even_layers(shown, width, spikes),
        ]
    left_out = len(decision.layers) - len(shown)
    if left_out:
        blocks.append(
            Text(f"{left_out} layers with fewer synapses are left out here.", style="dim")
        )
    if not any(layer.eligible for layer in decision.layers):
        reasons = dict.fromkeys(layer.why_not for layer in decision.layers if layer.why_not)
        blocks.append(_text("No layer can receive spikes: " + "; ".join(reasons), "dim"))
    return [*blocks, Text()]


def _break_even_layers(shown: list[LayerResult], width: int, spikes: bool) -> RenderableType:
    table = _table("")
    table.add_column("layer", overflow="fold", ratio=1)
    names = ["synapses", *(["zeros"] if width >= NARROW else [])]
    names += ["spikes/syn", "break-even", "distance"] if spikes else ["break-even"]
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    half = 6 if width >= WIDE and spikes else 0
    if half:
        table.add_column("wins │ loses")
    table.add_column("mode", no_wrap=True)
    for layer in shown:
        cells: list[RenderableType] = [
            _text(layer.name),
            Text(say.amount(layer.n_synapses)),
            *([Text(say.percent(layer.zero_fraction))] if width >= NARROW else []),
            *([Text(say.number(layer.spikes_per_synapse))] if spikes else []),
            Text(say.break_even(layer.break_even_spikes_per_synapse)),
            *([_distance(layer)] if spikes else []),
        ]
        if half:
            cells.append(_bar(layer, half))
        table.add_row(*cells, _mode(layer.mode))
    return table


def _side(layer: LayerResult) -> str:
    value = say.distance(layer)
    return "" if value is None else "blue" if value < 1 else "red"


def _distance(layer: LayerResult) -> Text:
    """The distance, in the colour of the side where it stands."""
    return Text(say.times(say.distance(layer)), style=_side(layer))


def _bar(layer: LayerResult, half: int) -> Text:
    """Left of the middle spiking wins, right of it it loses; full length is a factor of 100."""
    value = say.distance(layer)
    if value is None:
        return Text("")
    depth = 1.0 if value <= 0 else min(1.0, abs(math.log10(value)) / 2)
    blocks = "█" * max(1, round(depth * half))
    left, right = (blocks, "") if value < 1 else ("", blocks)
    bar = Text(left.rjust(half), style="blue")
    bar.append("│", style="dim")
    bar.append(right.ljust(half), style="red")
    return bar


def _sensitivities(decision: Decision) -> list[RenderableType]:
    sentences: list[RenderableType] = [
        _text(text)
        for text in (say.models_in_words(decision), say.constants_in_words(decision))
        if text
    ]
    if not sentences:
        return []
    sentences.insert(0, Text("What could reverse the verdict", style="bold"))
    found = [item for item in say.important(decision) if item.reverses]
    if not found:
        return [*sentences, Text()]
    table = _table("")
    table.add_column("constant", overflow="fold", ratio=1)
    table.add_column("at low end", justify="right")
    table.add_column("at high end", justify="right")
    table.add_column("flips at", justify="right")
    for item in found[:MAX_SENSITIVITIES]:
        table.add_row(
            _text(item.constant),
            Text(say.probability(item.p_snn_wins_low)),
            Text(say.probability(item.p_snn_wins_high)),
            Text(say.times(item.flip_at)),
        )
    rest = len(decision.sensitivities) - min(len(found), MAX_SENSITIVITIES)
    more = Text(f"{rest} more constants were tried.", style="dim") if rest else ""
    return [*sentences, table, more, Text()]


def _published(decision: Decision, width: int, full: bool) -> list[RenderableType]:
    """What each paper would say: a table, or where it is not asked for one sentence."""
    words = papers.in_words(decision)
    if not words:
        return []
    if not full:
        return [_text(f"{words[0]} --models all lists them.", "dim"), Text()]
    ran = bool(papers.applied(decision))
    table = _table("")
    table.add_column("published model", overflow="fold", ratio=1)
    for heading in _published_row(None, width >= WIDE, ran):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for item in (*papers.applied(decision), *papers.not_applied(decision)):
        title = _text(item.title)
        below = f"leaves out {item.leaves_out}" if item.leaves_out else ""
        below = papers.reason(decision, item) or below
        if lines := "; ".join(text for text in (below, papers.second_hand(item)) if text):
            title.append(_text(f"\n{lines}", "dim"))
        cells = _published_row(item, width >= WIDE, ran).values()
        mark = papers.SIDES.get(item.verdict, ("", "", " "))[2]
        word = _text(f"{mark} {item.verdict}", _VERDICT_STYLES.get(item.verdict, "dim"))
        table.add_row(title, *map(Text, cells), word)
    note = "ANN/SNN: energy of the ANN over energy of the SNN; above 1 the SNN needs less"
    notes = [Text(note, style="dim")] if ran else []
    title = Text(papers.TITLE, style="bold")
    return [title, table, *notes, *(_text(text) for text in words), Text()]


def _published_row(item: PublishedVerdict | None, wide: bool, ran: bool) -> dict[str, str]:
    """Heading -> cell; None: the headings alone. Where no SNN ran there is only the break-even."""
    even = papers.even_text(item) if item else ""
    if not ran:
        return {"break-even (spikes/syn)": even}
    found = {
        "ANN/SNN": papers.ratio_text(item.ratio, item.verdict) if item else "",
        "5–95 %": papers.ratio_range(item) if item else "",
        "P(SNN wins)": papers.p_text(item) if item else "",
        "break-even": even,
        "distance": papers.distance_text(item) if item else "",
    }
    hidden = () if wide else ("5–95 %", "break-even")
    return {heading: cell for heading, cell in found.items() if heading not in hidden}


def _lists(decision: Decision) -> list[RenderableType]:
    """Warnings and ranges left in full; of the assumptions the first ones and their number."""
    blocks: list[RenderableType] = []
    for title, lines, style in (
        ("Warnings", decision.warnings, "yellow"),
        ("Outside the range of validity", decision.out_of_range, "yellow"),
    ):
        if items := list(say.merged(lines)):
            blocks.append(Text(title, style=f"bold {style}"))
            blocks += [_text(f"- {item}") for item in items]
    count = len(decision.assumptions)
    if blocks:
        blocks.append(Text())
    if count:
        blocks.append(Text(f"Assumptions ({count})", style="bold"))
        blocks += [_text(f"- {item}") for item in decision.assumptions[:MAX_ASSUMPTIONS]]
        if count > MAX_ASSUMPTIONS:
            blocks.append(
                Text(f"  and {count - MAX_ASSUMPTIONS} more: see the report", style="dim")
            )
    doubtful = sum(not source.get("verified", True) for source in decision.sources)
    if decision.sources:
        text = f"Sources: {len(decision.sources)}"
        blocks.append(_text(text + (f", {doubtful} quoted second-hand" if doubtful else ""), "dim"))
    return blocks
