"""Colours that the colour-blind can tell apart (Okabe and Ito), light and dark alike."""

from __future__ import annotations

BLUE, SKY, GREEN = "#0072B2", "#56B4E9", "#009E73"
ORANGE, VERMILLION, PURPLE = "#E69F00", "#D55E00", "#CC79A7"
YELLOW, NEUTRAL = "#D8C900", "#8A8F98"

#: mode -> (colour, plotly marker symbol); the symbol says it again without colour
MODES: dict[str, tuple[str, str]] = {
    "ann": (BLUE, "circle"),
    "qnn": (SKY, "square"),
    "snn": (VERMILLION, "diamond"),
    "hybrid": (PURPLE, "star"),
    "delta": (GREEN, "triangle-up"),
}
UNKNOWN_MODE = (NEUTRAL, "x")

#: component or part -> colour; others take the free colours in order of appearance
PARTS: dict[str, str] = {
    "compute": ORANGE,
    "alu": ORANGE,
    "local memory": SKY,
    "register": SKY,
    "distant memory": BLUE,
    "sram": BLUE,
    "dram": PURPLE,
    "off-chip memory": PURPLE,
    "weights off chip": PURPLE,
    "communication": "#7A5C1E",
    "neuron": GREEN,
    "border": VERMILLION,
    "static": YELLOW,
    "other": NEUTRAL,
    "total": NEUTRAL,
}
CYCLE = (ORANGE, SKY, BLUE, GREEN, VERMILLION, PURPLE, YELLOW, NEUTRAL)

#: which side of break-even; not a mode's colour, so that a layer map can show both
WINS, LOSES = "#00936B", "#C2478F"
#: log10(spikes per synapse / break-even): green spiking wins, grey even, purple it loses
DISTANCE_SCALE = [[0.0, "#00573F"], [0.4, WINS], [0.5, "#B8BCC4"], [0.6, LOSES], [1.0, "#7A1F57"]]


def mode_style(mode: str) -> tuple[str, str]:
    """(colour, symbol) of a mode; an unknown mode is grey."""
    return MODES.get(mode, UNKNOWN_MODE)


def part_colours(parts: list[str]) -> dict[str, str]:
    """A colour for every part, the known ones fixed so that figures of a report agree."""
    free = [colour for colour in CYCLE if colour not in {PARTS.get(part) for part in parts}]
    colours = {}
    for part in parts:
        if part in PARTS:
            colours[part] = PARTS[part]
        else:
            colours[part] = free.pop(0) if free else NEUTRAL
    return colours
