"""``FIGURES``: the figures of the papers that are drawn anew, one builder each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tospike.errors import unknown_name
from tospike.figures import Figure, write_gallery
from tospike.figures.draw import require_matplotlib
from tospike.papers import figures_dampfhoffer_2022 as dampfhoffer
from tospike.papers import figures_dampfhoffer_2022_ann as dampfhoffer_ann
from tospike.papers import figures_liu_delbruck_2019 as liu
from tospike.papers import figures_liu_delbruck_2019_survey as liu_survey
from tospike.papers import figures_ottati_2023 as ottati

#: key of the figure = name of its files -> builder
FIGURES: dict[str, Callable[[], Figure]] = {
    "dampfhoffer_2022_fig2": dampfhoffer.figure_2,
    "dampfhoffer_2022_fig3": dampfhoffer.figure_3,
    "dampfhoffer_2022_fig4": dampfhoffer.figure_4,
    "dampfhoffer_2022_fig5": dampfhoffer_ann.figure_5,
    "dampfhoffer_2022_fig6": dampfhoffer_ann.figure_6,
    "dampfhoffer_2022_fig7": dampfhoffer_ann.figure_7,
    "dampfhoffer_2022_fig8": dampfhoffer_ann.figure_8,
    "ottati_2023_fig1": ottati.figure_1,
    "ottati_2023_fig2": ottati.figure_2,
    "liu_delbruck_2019_fig2": liu.figure_2,
    "liu_delbruck_2019_fig3": liu.figure_3,
    "liu_delbruck_2019_fig4": liu.figure_4,
    "liu_delbruck_2019_fig6": liu_survey.figure_6,
    "liu_delbruck_2019_fig8": liu_survey.figure_8,
}


def build_figures(
    only: str | Sequence[str] | None = None,
    *,
    paper: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Figure]:
    """The data of the figures, in the order of :data:`FIGURES`; about ten seconds for all.

    Parameters
    ----------
    only : keys of figures, or of papers for all of theirs; None: all.
    paper : only the figures of this paper; None: of every paper.
    progress : called with (stage, done, total).

    Raises
    ------
    UnknownNameError
        A name that is neither a figure nor a paper.
    DataError
        A figure rests on measurements that are missing or malformed.
    """
    asked = [only] if isinstance(only, str) else list(FIGURES) if only is None else list(only)
    wanted = {key for name in asked for key in _named(name)}
    if paper is not None:
        wanted &= set(_named(paper))
    chosen = [key for key in FIGURES if key in wanted]
    found = []
    for done, key in enumerate(chosen):
        if progress is not None:
            progress("figure data", done, len(chosen))
        found.append(FIGURES[key]())
    if progress is not None:
        progress("figure data", len(chosen), len(chosen))
    return found


def _named(name: str) -> list[str]:
    keys = [key for key in FIGURES if name in (key, key.rpartition("_fig")[0])]
    if not keys:
        papers = dict.fromkeys(key.rpartition("_fig")[0] for key in FIGURES)
        raise unknown_name("figure", name, (*papers, *FIGURES))
    return keys


def write_figures(
    directory: str | Path,
    only: str | Sequence[str] | None = None,
    *,
    paper: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Path]:
    """Draw the figures into a directory, each with its data as JSON, and an index.html.

    ``directory`` is made if its parent exists; ``only``, ``paper`` and ``progress`` as in
    :func:`build_figures`. Returns the files, the page last.

    Raises
    ------
    OptionError
        matplotlib is not installed, or the directory cannot be made.
    UnknownNameError, DataError
        As :func:`build_figures`; nothing is written then.
    """
    require_matplotlib()
    figures = build_figures(only, paper=paper, progress=progress)
    return write_gallery(figures, directory, progress=progress)
