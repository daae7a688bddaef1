"""Drawing: valid files, the same bytes twice, no file after an error, labels apart."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tospike.errors import DataError, OptionError
from tospike.figures import (
    Figure,
    Mark,
    Panel,
    Series,
    Statement,
    gallery_markdown,
    write_gallery,
)
from tospike.figures.check import faults
from tospike.figures.draw import draw, grid
from tospike.figures.labels import NO_ROOM, around, best, box_at, overlap, sampled
from tospike.figures.style import pretty, styles

CURVE = Panel(
    "curve",
    "x",
    "E_ANN / E_SNN",
    (
        Series("computed", [1.0, 10.0, 100.0], [1.5, 0.3, 0.2]),
        Series("printed", [1.0, 10.0], [1.4, 0.3], "points", "printed", ("1.4", "0.3")),
        Series("range", [2.0, 20.0], [1.0, 0.8], "points", "measured", (), [0.9, 0.7], [1.1, 0.9]),
        Series("front", [1.0, 100.0], [0.5, 0.5], group="reference"),
    ),
    (Mark("below 0.3", y=0.3), Mark("RF = 10", x=10.0), Mark("both", x=50.0, y=1.0)),
    x_log=True,
)
BARS = Panel(
    "bars",
    "",
    "%",
    (
        Series("local", ["a", "b"], [84.0, 4.0], "stacked_bars", texts=("84 %", "4 %")),
        Series("distant", ["a", "b"], [16.0, 96.0], "stacked_bars", texts=("16 %", "96 %")),
        Series("printed", ["b"], [4.0], "points", "printed"),
    ),
)
STATEMENT = Statement("it holds | always", "III", "1 %", "2 %", False, "counted twice")
FIGURE = Figure(
    "test_fig1", "paper", "Fig. 1", "a title", "A caption.", (CURVE, BARS), (STATEMENT,), ("key",)
)


def with_series(*series: Series, **panel: bool) -> Figure:
    return replace(FIGURE, panels=(Panel("p", "x", "y", series, **panel),))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("drawn")
    for suffix in (".svg", ".png", ".pdf"):
        for name in ("first", "second"):
            draw(FIGURE, directory / f"{name}{suffix}")
    return directory


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_the_same_figure_gives_the_same_bytes(drawn: Path, suffix: str) -> None:
    first, second = ((drawn / f"{name}{suffix}").read_bytes() for name in ("first", "second"))
    assert first == second
    assert len(first) > 5000


def test_no_other_files_are_left(drawn: Path) -> None:
    assert len(list(drawn.iterdir())) == 6


def test_files_are_what_their_suffix_says(drawn: Path) -> None:
    root = ElementTree.parse(drawn / "first.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert (drawn / "first.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    pdf = (drawn / "first.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")


def test_every_text_and_curve_is_in_the_svg(drawn: Path) -> None:
    text = (drawn / "first.svg").read_text()
    for words in ("a  curve", "b  bars", "local", "distant", "computed", "front"):
        assert f"<!-- {words} -->" in text, words
    for number in range(4):
        assert f'id="series_{number}"' in text
    assert "<dc:title>a title</dc:title>" in text
    assert "<dc:date>" not in text


def test_every_label_is_written(drawn: Path, tmp_path: Path) -> None:
    """Nine labels of marks, points and bars: without them the drawing has nine texts less."""
    bare = tuple(
        replace(panel, marks=(), series=tuple(replace(item, texts=()) for item in panel.series))
        for panel in FIGURE.panels
    )
    draw(replace(FIGURE, panels=bare), tmp_path / "x.svg")
    counts = [
        path.read_text().count('<g id="text_') for path in (drawn / "first.svg", tmp_path / "x.svg")
    ]
    labels = 3 + 2 + 4  # marks, points, pieces of bars
    assert counts[0] - counts[1] == labels


def test_another_number_gives_another_picture(drawn: Path, tmp_path: Path) -> None:
    """A planted fault in the data shows: 0.2 becomes 0.21."""
    series = replace(CURVE.series[0], y=[1.5, 0.3, 0.21])
    changed = replace(CURVE, series=(series, *CURVE.series[1:]))
    draw(replace(FIGURE, panels=(changed, BARS)), tmp_path / "x.svg")
    assert (tmp_path / "x.svg").read_bytes() != (drawn / "first.svg").read_bytes()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x.jpg", "the suffix '.jpg' is none of .svg, .png, .pdf"),
        ("x", "the suffix '' is none of .svg, .png, .pdf"),
        ("missing/x.svg", "there is no directory"),
    ],
)
def test_a_bad_target_is_refused_and_nothing_written(
    tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(OptionError, match="cannot draw the figure 'test_fig1'") as caught:
        draw(FIGURE, tmp_path / name)
    assert reason in str(caught.value)
    assert len(caught.value.reasons) == 1
    assert list(tmp_path.iterdir()) == []


def test_both_faults_of_a_target_are_told(tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        draw(FIGURE, tmp_path / "missing" / "x.jpg")
    assert len(caught.value.reasons) == 2


def test_without_matplotlib_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(OptionError, match="no matplotlib in this Python") as caught:
        draw(FIGURE, tmp_path / "x.svg")
    assert caught.value.fix == 'pip install "tospike[figures]"'
    assert list(tmp_path.iterdir()) == []


def test_after_a_failure_the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "x.svg"
    target.write_text("before")

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("tospike.figures.files.os.replace", fail)
    with pytest.raises(OSError, match="no space left"):
        draw(FIGURE, target)
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("figure", "fault"),
    [
        (with_series(Series("s", [1.0], [1.0, 2.0])), "1 values of x for 2 of y"),
        (with_series(Series("s", [1.0], [float("nan")])), "1 values of y are not finite"),
        (with_series(Series("s", [float("inf")], [1.0])), "1 values of x are not finite"),
        (with_series(Series("s", [1.0], [0.0]), y_log=True), "at or below 0 on a logarithmic"),
        (with_series(Series("s", [-1.0], [1.0]), x_log=True), "at or below 0 on a logarithmic"),
        (with_series(Series("s", [], [])), "no data"),
        (with_series(Series("s", [1.0], [1.0], texts=("a", "b"))), "2 values of texts for 1"),
        (with_series(Series("s", [1.0], [1.0], low=[0.5])), "a range needs both low and high"),
        (with_series(Series("s", [1.0], [1.0], evidence="guessed")), "evidence 'guessed' is none"),
        (
            with_series(Series("s", [1.0], [1.0]), Series("t", ["a"], [1.0])),
            "categories and numbers on one x axis",
        ),
        (replace(FIGURE, panels=()), "there is no panel"),
        (replace(FIGURE, key="../x"), "is no file name"),
        (
            replace(FIGURE, panels=(replace(CURVE, marks=(Mark("m"),)),)),
            "mark 'm': neither x nor y",
        ),
    ],
)
def test_data_that_cannot_be_drawn(figure: Figure, fault: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot draw the figure") as caught:
        draw(figure, tmp_path / "x.svg")
    assert fault in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_every_fault_is_told_at_once() -> None:
    bad = with_series(
        Series("s", [1.0], [1.0, float("nan")]), Series("t", [0.0], [1.0]), x_log=True
    )
    assert len(faults(bad)) == 3
    assert faults(FIGURE) == []


def test_evidence_decides_the_marker() -> None:
    looks = styles((CURVE,))
    assert looks["printed", "printed"].marker == "D"
    assert not looks["printed", "printed"].filled
    assert looks["range", "measured"].filled
    assert looks["range", "measured"].marker == "o"


def test_a_group_shares_its_colour_and_not_its_line() -> None:
    one, two = Series("a", [1.0], [1.0], group="g"), Series("b", [1.0], [1.0], group="g")
    looks = styles((Panel("", "", "", (one, two)),))
    assert looks["a", "computed"].colour == looks["b", "computed"].colour
    assert looks["a", "computed"].line != looks["b", "computed"].line


def test_up_to_twenty_series_look_different() -> None:
    many = tuple(Series(str(number), [1.0], [1.0]) for number in range(20))
    looks = styles((Panel("", "", "", many),))
    assert len({(style.colour, style.line) for style in looks.values()}) == 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("E_ANN / E_SNN", r"$E_\mathrm{ANN}$ / $E_\mathrm{SNN}$"),
        ("1.7e3", r"$1.7\times 10^{3}$"),
        ("1e+10 neurons", r"$10^{10}$ neurons"),
        ("conv1_1", "conv1_1"),
        ("T = 500", "T = 500"),
    ],
)
def test_formulas_in_labels(text: str, expected: str) -> None:
    assert pretty(text) == expected


@pytest.mark.parametrize(("panels", "shape"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 2)), (5, (2, 3))])
def test_grid(panels: int, shape: tuple[int, int]) -> None:
    assert grid(panels) == shape


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.lists(
        st.tuples(st.floats(0, 400), st.floats(0, 300), st.floats(5, 80), st.floats(5, 20)),
        min_size=1,
        max_size=12,
    )
)
def test_labels_that_find_room_do_not_overlap(anchors: list[tuple[float, ...]]) -> None:
    axes = (0.0, 0.0, 400.0, 300.0)
    taken: list[tuple[float, float, float, float]] = []
    for x, y, width, height in anchors:
        place, box, price = best(
            (x, y),
            (width, height),
            around([5.0, 12.0]),
            taken=taken,
            points=np.zeros((0, 2)),
            axes=axes,
        )
        assert box == box_at((x, y), (width, height), place)
        if price < NO_ROOM:
            assert not any(overlap(box, other) for other in taken)
            assert box[0] >= 0
            assert box[1] >= 0
            assert box[2] <= 400
            assert box[3] <= 300
            taken.append(box)


def test_a_label_prefers_the_side_without_a_curve() -> None:
    curve = sampled(np.array([100.0, 200.0]), np.array([100.0, 100.0]))  # to the right
    place, *_ = best(
        (100.0, 100.0),
        (30.0, 8.0),
        around([5.0]),
        taken=[],
        points=curve,
        axes=(0.0, 0.0, 300.0, 300.0),
    )
    assert (place.horizontal, place.vertical) != ("left", "center")


def test_gallery(tmp_path: Path) -> None:
    other = replace(FIGURE, key="test_fig2")
    calls: list[tuple[str, int, int]] = []
    written = write_gallery(
        [FIGURE, other], tmp_path / "new", progress=lambda *call: calls.append(call)
    )
    names = ["test_fig1.svg", "test_fig1.json", "test_fig2.svg", "test_fig2.json", "index.html"]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(names)
    assert calls == [("figures", 0, 2), ("figures", 1, 2), ("figures", 2, 2)]
    data = json.loads(written[1].read_text())
    assert data["panels"][0]["series"][0]["y"] == [1.5, 0.3, 0.2]
    assert data["panels"][0]["series"][2]["low"] == [0.9, 0.7]
    assert data["statements"][0]["holds"] is False
    page = written[-1].read_text()
    assert 'src="http' not in page  # opens without a network
    assert "<link" not in page
    assert "<script" not in page
    for words in ("A caption.", "test_fig1.svg", "it holds | always", "counted twice"):
        assert words in page


def test_gallery_escapes_what_it_is_given(tmp_path: Path) -> None:
    write_gallery([replace(FIGURE, caption="<script>")], tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_gallery_refuses_a_file_a_missing_parent_and_equal_keys(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file", tmp_path / "no" / "where"):
        with pytest.raises(OptionError, match="cannot write the figures"):
            write_gallery([FIGURE], target)
    with pytest.raises(OptionError, match="two figures are called 'test_fig1'"):
        write_gallery([FIGURE, FIGURE], tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_markdown_table() -> None:
    text = gallery_markdown([FIGURE])
    assert '<img src="figures/test_fig1.svg"' in text
    assert (
        "| it holds \\| always | III | 1 % | 2 % | **only under a convention: counted twice** |"
        in (text)
    )
    assert "0 hold as printed, 1 under a named convention, 0 do not." in text
