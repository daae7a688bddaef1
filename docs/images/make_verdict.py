"""Draws docs/images/verdict.png and docs/images/report.png from a report of the demo.

    make demo                                # writes out/demo.html
    python docs/images/make_verdict.py       # writes both pictures beside this file

Needs the package installed, and Chromium as ``chromium`` or ``chromium-browser`` on the path (on
Debian: ``apt install chromium fonts-dejavu``). Nothing is fetched. The figures are those of the
report: the decision is read back from the JSON that the report carries.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tospike.decision.record import Decision
from tospike.decision.verdict import first_spikes
from tospike.reporting import read_report
from tospike.reporting import wording as say
from tospike.reporting.figures import energy_figure
from tospike.reporting.layer_map import layer_figure
from tospike.reporting.markup import Html, data_block, div, el
from tospike.reporting.page import PLOTLY, asset
from tospike.reporting.plot import Figure

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT = 820, 512
REPORT_SIZE = (1180, 1000)

STYLE = f"""
* {{ box-sizing: border-box; }}
html, body {{ margin: 0; background: #fff; }}
body {{ width: {WIDTH}px; height: {HEIGHT}px; border: 1px solid #c9d1d9; padding: 16px 18px 0;
  overflow: hidden; color: #1b1f27;
  font: 14px/1.4 "DejaVu Sans Condensed", "DejaVu Sans", sans-serif; }}
h1 {{ font-size: 19px; line-height: 1.3; margin: 0 0 4px; border-left: 5px solid #56b4e9;
  padding-left: 12px; }}
p {{ margin: 0; color: #4b5463; font-size: 12px; padding-left: 17px; }}
.row {{ display: grid; grid-template-columns: 470px 312px; margin-top: 12px; }}
h2 {{ font-size: 13px; margin: 0 0 2px; }}
.row p {{ padding: 0; font-size: 11.5px; }}
"""

SCRIPT = """
document.querySelectorAll("script[data-figure]").forEach(function (block) {
  var figure = JSON.parse(block.textContent.replace(/#7f7f7f/g, "#1b1f27"));
  var box = document.getElementById(block.getAttribute("data-figure"));
  Plotly.newPlot(box, figure.data, figure.layout, { staticPlot: true });
});
"""


def chosen(decision: Decision) -> Decision:
    """Few enough implementations to be read: the ends of each mode, and the SNNs near the floor."""
    best = say.winner(decision)
    items = decision.implementations
    kept = set()
    for first in (True, False):
        snns = [item for item in items if item.mode == "snn" and first_spikes(item) == first]
        at = next((n for n, one in enumerate(snns) if say.meets_floor(one, decision)), 0)
        kept |= {item.name for item in snns[max(0, at - 1) : at + 2]}
    for mode in ("ann", "qnn", "hybrid", "delta"):
        kept |= {item.name for item in items if item.mode == mode and item.energy_J}
        rest = [item.name for item in items if item.mode == mode][1:]
        shown = {item.name for item in (best, say.reference(decision)) if item is not None}
        kept -= set(rest) - shown
    return replace(decision, implementations=tuple(i for i in items if i.name in kept))


def panel(figure: Figure, ident: str, title: str, text: str, width: int, height: int) -> Html:
    """One figure with its title, sized for the picture."""
    layout = figure["layout"]
    layout["legend"] |= {"x": -0.3 if ident == "energy" else 0, "font": {"size": 11}}
    layout |= {
        "width": width,
        "height": height,
        "font": {
            "size": 12,
            "color": "#1b1f27",
            "family": "DejaVu Sans Condensed, DejaVu Sans, sans-serif",
        },
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
    }
    for axis in ("xaxis", "yaxis"):
        layout[axis] = {"gridcolor": "#e3e7ed", "linecolor": "#5b6472"} | layout[axis]
    box = el("div", attrs={"id": ident})
    return div("", el("h2", title), el("p", text), box, data_block(figure, {"data-figure": ident}))


def verdict_page(decision: Decision) -> str:
    """The page that is photographed."""
    height = 366
    energy = energy_figure(chosen(decision))
    able = tuple(layer for layer in decision.layers if layer.eligible)
    layers = layer_figure(replace(decision, layers=able))
    if energy is None or layers is None:
        sys.exit("the first decision of the report has no implementations or no layers to draw")
    energy["layout"] |= {"margin": {"l": 20, "r": 6, "t": 40, "b": 40}}
    energy["layout"]["xaxis"]["range"][1] *= 1.04
    energy["layout"]["xaxis"]["title"] = {
        "text": energy["layout"]["xaxis"]["title"]["text"].split("  ")[0]
    }
    layers["layout"] |= {"margin": {"l": 46, "r": 10, "t": 40, "b": 40}}
    layers["data"] = [trace for trace in layers["data"] if trace.get("yaxis") != "y2"]
    layers["layout"]["yaxis"]["domain"] = [0, 1]
    layers["layout"]["xaxis"] |= {"anchor": "y", "title": {"text": "layer"}}
    del layers["layout"]["yaxis2"]
    for trace in layers["data"]:
        trace["showlegend"] = trace["name"] in (
            "break-even",
            "spiking loses",
            "spiking wins in this layer",
        )
    shown = say.best_snn(decision)
    rival = f"T={shown.timesteps}" if shown is not None and shown.timesteps else "as run"
    if shown is not None and first_spikes(shown):
        rival += ", first spikes"
    n_samples = decision.data.get("n_samples")
    line = f"Fashion-MNIST CNN, {n_samples} test images; {decision.technology.get('title')}"
    merit = say.merit_name(decision)
    least = say.merit_floor(decision)
    floor = f"; pale: below {say.percent(least)}" if least is not None else ""
    left = panel(
        energy,
        "energy",
        "Energy per inference",
        f"beside each bar: energy over the reference · {merit}{floor}",
        466,
        height,
    )
    right = panel(
        layers,
        "layers",
        "Spikes over break-even, per layer",
        f"dots: SNN, {rival}; dashes: level with the ANN",
        312,
        height,
    )
    body = [
        el("h1", say.summary(decision.verdict)),
        el("p", line),
        div("row", left, right),
        el("script", Html(asset(PLOTLY))),
        el("script", Html(SCRIPT)),
    ]
    head = [el("meta", attrs={"charset": "utf-8"}), el("style", Html(STYLE))]
    return f"<!DOCTYPE html>\n{el('html', el('head', *head), el('body', *body))}\n"


def photograph(page: Path, target: Path, width: int, height: int, density: float) -> None:
    """A screenshot of ``page`` with ``density`` pixels per CSS pixel."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is needed: install it (Debian: apt install chromium)")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            chromium,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--hide-scrollbars", "--virtual-time-budget=20000"),
            f"--force-device-scale-factor={density}",
            f"--window-size={width},{height}",
            f"--user-data-dir={profile}",
            f"--screenshot={target}",
            page.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, timeout=120)
    if done.returncode or not target.exists():
        sys.exit(f"Chromium stopped with {done.returncode}: {done.stderr.decode()[-500:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("report", type=Path, nargs="?", default=Path("out/demo.html"))
    arguments = parser.parse_args()
    decision = read_report(arguments.report)[0]
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "verdict.html"
        page.write_text(verdict_page(decision), encoding="utf-8")
        photograph(page, HERE / "verdict.png", WIDTH, HEIGHT, 2)
    photograph(arguments.report.resolve(), HERE / "report.png", *REPORT_SIZE, 1.4)
    for name in ("verdict.png", "report.png"):
        print(f"{HERE / name}: {(HERE / name).stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
