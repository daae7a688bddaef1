"""One figure as a page that needs nothing else: the drawing inside, the caption below."""

from __future__ import annotations

import tempfile
from html import escape
from pathlib import Path

from tospike.errors import OptionError
from tospike.figures import Figure
from tospike.sources import bibliography

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto }}
svg {{ width: 100%; height: auto }}
ul {{ font-size: 0.9rem }}
</style>
</head>
<body>
<h1>{title}</h1>
<figure>
{drawing}
<figcaption>{caption}</figcaption>
</figure>
<h2>Sources</h2>
<ul>
{sources}
</ul>
</body>
</html>
"""


def write_page(figure: Figure, path: Path) -> None:
    """Write the figure as one HTML file. Errors as those of :func:`tospike.figures.draw.draw`."""
    from tospike.figures.draw import draw
    from tospike.figures.files import write_text

    if not path.parent.is_dir() or path.is_dir():
        raise OptionError(
            f"draw the figure {figure.key!r}",
            received=str(path),
            allowed="a file in an existing directory",
            fix="create the directory",
        )
    with tempfile.TemporaryDirectory() as folder:
        drawing = Path(folder) / "figure.svg"
        draw(figure, drawing)
        text = drawing.read_text(encoding="utf-8")
    cited = "\n".join(f"<li>{escape(source.text)}</li>" for source in bibliography(figure.sources))
    page = _PAGE.format(
        title=escape(figure.title),
        drawing=text[text.index("<svg") :],
        caption=escape(figure.caption),
        sources=cited,
    )
    write_text(path, page)
