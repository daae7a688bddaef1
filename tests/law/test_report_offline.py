"""A report is one file: it opens without a network, whatever the decision holds."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

import fixture_decision as fixtures

from tospike.reporting import Section, activity_figure, report, temporal_figure
from tospike.reporting.page import PLOTLY, asset
from tospike.reporting.wording import headline

NOW = datetime(2026, 1, 2, 3, 4, 5)
#: sha256 of plotly-cartesian.min.js in the npm package plotly.js-cartesian-dist-min 4.1.1
PLOTLY_SHA256 = "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
FETCHING = {"src", "srcset", "href", "xlink:href", "data", "poster", "action", "background", "ping"}
REMOTE = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)


class Page(HTMLParser):
    """Elements, texts, references to other hosts, and every fault of nesting."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.remote: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if len(found) != len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        self.elements.append((tag, found))
        for key, value in attrs:
            if key.startswith("on"):
                self.faults.append(f"<{tag} {key}>")
            if tag != "a" and key in FETCHING and REMOTE.match(value or ""):
                self.remote.append(f"<{tag} {key}={value}>")
            if key == "style":
                self._css(value or "")
        if tag == "script":
            self.scripts.append((found, ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"</{tag}> inside <{self.open[-1] if self.open else ''}>")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        if inside == "script":
            attrs, before = self.scripts[-1]
            self.scripts[-1] = (attrs, before + data)
            if re.search(r"\bimport\s*\(?\s*[\"'`]|importScripts\s*\(", data):
                self.remote.append("import in a script")
        elif inside == "style":
            self._css(data)
        else:
            self.text += data

    def _css(self, text: str) -> None:
        self.remote += re.findall(r"@import[^;]*|url\(\s*['\"]?(?:[a-z]+:)?//[^)]*", text)

    def data(self, ident: str) -> object:
        """The JSON of the element with this id."""
        return next(json.loads(body) for attrs, body in self.scripts if attrs.get("id") == ident)


def decisions() -> dict[str, object]:
    network = fixtures.small_network()
    activity = fixtures.small_activity(network)
    section = Section(
        fixtures.HOSTILE,
        fixtures.HOSTILE,
        (activity_figure(network, activity), temporal_figure(activity)),
        [{fixtures.HOSTILE: fixtures.HOSTILE, "n": 1}],
    )
    image, stream = fixtures.image_decision(), fixtures.stream_decision()
    return {
        "image": image,
        "stream": stream,
        "empty": fixtures.empty_decision(),
        "hostile": fixtures.hostile_decision(),
        "deep": fixtures.deep_decision(),
        "parts": {"Static images": image, "Photographs": section, "Speech": stream}
        | {fixtures.HOSTILE: fixtures.hostile_decision()},
    }


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    return {
        name: report(decision, folder / f"{name}.html", now=NOW)
        for name, decision in decisions().items()
    }


NAMES = ("image", "stream", "empty", "hostile", "deep", "parts")


@pytest.mark.parametrize("name", NAMES)
def test_a_report_fetches_nothing_and_is_well_formed(pages: dict[str, Path], name: str) -> None:
    page = Page(pages[name].read_text(encoding="utf-8", errors="strict"))
    assert page.remote == []
    assert page.faults == []
    assert not {"img", "link", "base", "iframe", "object", "embed", "form"} & {
        tag for tag, _ in page.elements
    }
    idents = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(idents) == len(set(idents))


@pytest.mark.parametrize("name", NAMES)
def test_only_the_package_s_own_scripts_may_run(pages: dict[str, Path], name: str) -> None:
    page = Page(pages[name].read_text(encoding="utf-8"))
    policy = next(
        attrs["content"] or ""
        for tag, attrs in page.elements
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy
    assert "http" not in policy
    executed = [body for attrs, body in page.scripts if attrs.get("type") != "application/json"]
    hashes = {
        f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'"
        for body in executed
    }
    assert hashes == set(re.findall(r"'sha256-[^']+'", policy))
    assert set(executed) <= {asset(PLOTLY), asset("report.js")}


def test_plotly_is_the_published_bundle_and_stands_once(pages: dict[str, Path]) -> None:
    bundle = asset(PLOTLY)
    assert hashlib.sha256(bundle.encode("utf-8")).hexdigest() == PLOTLY_SHA256
    assert pages["parts"].read_text(encoding="utf-8").count(bundle[:2000]) == 1
    assert PLOTLY_SHA256[:6] not in pages["empty"].read_text()
    assert bundle[:2000] not in pages["empty"].read_text(encoding="utf-8")
    assert "MIT License" in asset("LICENSE-plotly.js.txt")


@pytest.mark.parametrize("name", NAMES)
def test_links_are_only_to_parts_and_to_papers(pages: dict[str, Path], name: str) -> None:
    page = Page(pages[name].read_text(encoding="utf-8"))
    idents = {attrs.get("id") for _, attrs in page.elements}
    for tag, attrs in page.elements:
        if tag == "a":
            target = attrs["href"] or ""
            assert target.startswith(("https://doi.org/10.", "https://arxiv.org/abs/")) or (
                target[1:] in idents
            )


@pytest.mark.parametrize("name", NAMES)
def test_headings_tables_and_figures_can_be_read_aloud(pages: dict[str, Path], name: str) -> None:
    page = Page(pages[name].read_text(encoding="utf-8"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for tag, attrs in page.elements:
        if attrs.get("role") in ("img", "region") or tag == "nav":
            assert attrs.get("aria-label")
        if tag == "th":
            assert attrs.get("scope") in ("col", "row")
    html = pages[name].read_text(encoding="utf-8")
    assert not re.search(r'<th[^>]*scope="col"[^>]*></th>', html)
    assert ("html", {"lang": "en"}) in page.elements


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_stands_out_in_light_and_dark() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # known to fail AA
    light, dark, *_ = re.findall(r":root \{(.*?)\}", asset("report.css"), re.DOTALL)
    for block in (light, dark):
        found = dict(re.findall(r"--([\w-]+): (#\w{6})", block))
        for text, ground in (
            *[
                (text, ground)
                for text in ("ink", "muted", "accent")
                for ground in ("page", "paper")
            ],
            *[("ink", "alert-page"), ("ink", "track"), ("paper", "accent")],
        ):
            assert contrast(found[text], found[ground]) >= 4.5, (text, ground)


def test_size(tmp_path: Path, pages: dict[str, Path]) -> None:
    assert max(path.stat().st_size for path in pages.values()) <= 2.5e6


def test_text_and_tables_do_not_need_scripts(pages: dict[str, Path]) -> None:
    page = Page(pages["image"].read_text(encoding="utf-8"))
    decision = fixtures.image_decision()
    for text in (
        *headline(decision.verdict),
        "14 %",
        "412 nJ",
        "288–618 nJ",
        "91.2 %",
        *(item.name for item in decision.implementations),
        *(layer.name for layer in decision.layers),
        *(item.constant for item in decision.sensitivities),
        *decision.assumptions,
        *decision.out_of_range,
        *decision.warnings,
        "quoted second-hand",
        "2026-01-02 03:04:05 UTC",
        str(decision.network["sha256"]),
    ):
        assert text in page.text, text


def test_hostile_text_is_shown_and_not_obeyed(pages: dict[str, Path]) -> None:
    page = Page(pages["hostile"].read_text(encoding="utf-8"))
    assert page.text.count(fixtures.HOSTILE) > 20
    assert page.data("tospike-decision")["verdict"] == fixtures.HOSTILE


@pytest.mark.parametrize(
    "planted",
    [
        '<img src="https://host.test/a.png">',
        '<link rel="stylesheet" href="//host.test/a.css">',
        '<script src="http://host.test/a.js"></script>',
        "<style>@import 'https://host.test/a.css';</style>",
        '<p style="background:url(https://host.test/a.png)"></p>',
        "<style>p { background: url('//host.test/a.png') }</style>",
        "<script>import('https://host.test/a.mjs')</script>",
    ],
)
def test_the_check_sees_a_planted_resource(pages: dict[str, Path], planted: str) -> None:
    text = pages["empty"].read_text(encoding="utf-8").replace("<footer>", planted + "<footer>")
    assert len(Page(text).remote) == 1


@pytest.mark.parametrize("planted", ["<p onclick='x()'></p>", "<b><i></b></i>", "<p>"])
def test_the_check_sees_planted_faults(pages: dict[str, Path], planted: str) -> None:
    text = pages["empty"].read_text(encoding="utf-8").replace("<footer>", planted + "<footer>")
    assert Page(text).faults


def browse(path: Path, profile: Path) -> str:
    """The page as Chromium has built it, with every name unresolvable."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    command = [
        chromium,
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={profile}",
        "--window-size=1280,900",
        "--virtual-time-budget=20000",
        "--enable-logging=stderr",
        "--dump-dom",
        path.as_uri(),
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60)
    except (subprocess.TimeoutExpired, OSError) as error:
        pytest.skip(f"Chromium does not run here: {error}")
    assert done.returncode == 0, f"Chromium stopped with {done.returncode}"
    console = [
        line for line in done.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line
    ]
    assert console == []
    return done.stdout.decode("utf-8", "replace")


def test_a_browser_draws_every_figure(pages: dict[str, Path], tmp_path: Path) -> None:
    dom = browse(pages["parts"], tmp_path)
    page = Page(pages["parts"].read_text(encoding="utf-8"))
    expected = sum("data-figure" in attrs for attrs, _ in page.scripts)
    # Where no layer can spike (speech) there is no layer map.
    assert expected == 4 + 2 + 2 + 3
    assert f'data-figures="{expected}"' in dom
    assert dom.count('class="main-svg"') >= expected
    built = Page(dom)
    assert built.remote == []
    assert not {"img", "iframe"} & {tag for tag, _ in built.elements}
    assert dom.count('class="sortable"') == dom.count('<table class="sortable">')
    assert "<button" in dom


def test_a_violation_of_the_policy_would_be_seen(pages: dict[str, Path], tmp_path: Path) -> None:
    text = pages["empty"].read_text(encoding="utf-8")
    bad = tmp_path / "bad.html"
    bad.write_text(text.replace("<footer>", "<script>document.title='x'</script><footer>"))
    with pytest.raises(AssertionError):
        browse(bad, tmp_path / "profile")


def test_two_reports_of_one_decision_are_the_same_bytes(tmp_path: Path) -> None:
    decision = replace(fixtures.image_decision())
    first = report(decision, tmp_path / "a.html", now=NOW)
    second = report(decision, tmp_path / "b.html", now=NOW)
    assert first.read_bytes() == second.read_bytes()
