"""The picture of a side by side run: requests/s over connections, a panel per network and form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.comparison import ENGINE, OURS, WIRES, Document, Row, summarise, unique, wires

_COLOURS = ("#d95f02", "#7570b3", "#e7298a", "#66a61e", "#e6ab02", "#a6761d", "#1f78b4", "#666666")
_MARKS = "osD^vP*X"


def draw(document: Document, target: Path) -> None:
    """Write a PNG. Both axes are logarithmic: equal ratios are equal distances.

    Raises:
        ImportError: matplotlib is not installed (`pip install "paddlesrv[bench]"`).
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, ScalarFormatter

    shown = panels(document)
    across = min(3, len(shown))
    down = -(-len(shown) // across)
    systems = unique(p.system for p in document.points if p.system not in (OURS, ENGINE))
    look = {s: (_COLOURS[i % 8], _MARKS[i % 8]) for i, s in enumerate(systems)}
    size = (4.4 * across + 0.4, 3.5 * down + 0.9)
    figure, grid = pyplot.subplots(down, across, figsize=size, squeeze=False, layout="constrained")
    labels: dict[str, object] = {}
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for (name, form, title), axes in zip(shown, grid.flat, strict=False):
        rows = summarise(document.points, name, form)
        for system in [ENGINE, *systems, OURS]:
            own = [row for row in rows if row.system == system and row.rate]
            x, y = [row.connections for row in own], [row.rate for row in own]
            if not own:
                continue
            if system == ENGINE:
                style = {"ls": "--", "color": "#999999", "marker": ".", "zorder": 1}
            elif system == OURS:
                style = {"color": "#000000", "marker": "o", "lw": 2.6, "ms": 6, "zorder": 4}
            else:
                colour, mark = look[system]
                style = {"color": colour, "marker": mark, "ms": 5, "lw": 1.3, "zorder": 3}
            (labels[system],) = axes.plot(x, y, **style)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if _narrow(rows) else (1,)))
        axes.yaxis.set_major_formatter("{x:,.10g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xticks(sorted({row.connections for row in rows}))
        axes.grid(True, which="major", color="#e5e5e5")
        axes.set_title(f"{title}\n{WIRES.get(form, form)}", fontsize=9)
        axes.set_xlabel("connections", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    for line in grid:
        line[0].set_ylabel("requests/s", fontsize=9)
    known = [label for label in (OURS, *systems, ENGINE) if label in labels]
    figure.legend(
        [labels[label] for label in known],
        known,
        loc="outside lower center",
        ncols=min(len(known), 2 * across),
        frameon=False,
        fontsize=9,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)
    pyplot.close(figure)


def panels(document: Document) -> list[tuple[str, str, str]]:
    """Network, form and title of each panel: where there is more to see than paddlesrv alone."""
    every = [
        (served.name, form, served.title)
        for served in document.networks
        for form in wires(document.points, served.name)
    ]
    compared = {
        (p.network, p.wire) for p in document.points if p.system not in (OURS, ENGINE) and p.rate
    }
    return [panel for panel in every if panel[:2] in compared] or every


def _narrow(rows: Sequence[Row]) -> bool:
    """Whether rates differ so little that powers of ten alone would leave the axis bare."""
    rates = [row.rate for row in rows if row.rate]
    return bool(rates) and max(rates) / min(rates) < 200
