"""``python -m tospike.papers.figures_page docs`` writes ``figures.md`` and ``figures/*.svg`` there.

The documentation's page of the papers' figures, with what the papers state beside what was found.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tospike.errors import OptionError, TospikeError
from tospike.figures import Figure, gallery_markdown
from tospike.figures.draw import draw, require_matplotlib
from tospike.figures.files import write_text
from tospike.papers.figures import build_figures

_HEAD = """# The papers' figures, drawn anew

Written by `python -m tospike.papers.figures_page docs`; do not edit by hand. The same figures with
their data as JSON and a page: `tospike reproduce --figures DIR` (needs `pip install
"tospike[figures]"`).

Every curve comes from tospike's own equations, prices, topologies, survey and measurements; no
curve was read off a printed figure. Solid lines and filled markers with corners are computed,
filled circles measured here, hollow diamonds and dashed lines printed in the paper, hollow circles
quoted from the survey, hollow triangles recalled. Below each figure stands what the paper says of
it beside the number found here. [Errata](errata.md) explains the numbers that do not follow.

"""


def page(figures: Sequence[Figure]) -> str:
    """The page as Markdown."""
    return _HEAD + gallery_markdown(figures)


def write_page(directory: str | Path) -> list[Path]:
    """Write ``figures.md`` and ``figures/<key>.svg`` into an existing directory.

    Raises :class:`OptionError` for a missing directory or without matplotlib, and
    :class:`DataError` where a measurement is missing.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise OptionError(
            "write the page of figures",
            received=str(directory),
            allowed="an existing directory",
            fix="create it, or name another",
        )
    require_matplotlib()
    figures = build_figures()
    pictures = directory / "figures"
    pictures.mkdir(exist_ok=True)
    written = []
    for figure in figures:
        written.append(pictures / f"{figure.key}.svg")
        draw(figure, written[-1])
    written.append(directory / "figures.md")
    write_text(written[-1], page(figures))
    return written


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0, or 2 with the error."""
    try:
        if len(arguments) != 1:
            raise OptionError(
                "write the page of figures",
                received=f"{len(arguments)} arguments",
                allowed="one directory",
                fix="python -m tospike.papers.figures_page docs",
            )
        for path in write_page(arguments[0]):
            print(f"written: {path}")
    except TospikeError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
