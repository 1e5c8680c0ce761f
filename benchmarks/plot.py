"""The picture of a side by side run: requests/s over connections, a panel per network and form."""

from __future__ import annotations

from pathlib import Path

from benchmarks.comparison import ENGINE, OURS, WIRES, Document, summarise, unique, wires

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
    from matplotlib.ticker import NullFormatter, NullLocator, ScalarFormatter

    names = [served.name for served in document.networks]
    titles = {served.name: served.title for served in document.networks}
    forms = unique(wire for name in names for wire in wires(document.points, name))
    systems = unique(p.system for p in document.points if p.system not in (OURS, ENGINE))
    look = {s: (_COLOURS[i % 8], _MARKS[i % 8]) for i, s in enumerate(systems)}
    figure, grid = pyplot.subplots(
        len(forms),
        len(names),
        figsize=(4.3 * len(names) + 0.8, 3.6 * len(forms) + 1.1),
        squeeze=False,
        sharey="col",
        layout="constrained",
    )
    for form, line in zip(forms, grid, strict=True):
        for name, axes in zip(names, line, strict=True):
            rows = summarise(document.points, name, form)
            for system in [ENGINE, *systems, OURS]:
                own = [row for row in rows if row.system == system and row.rate]
                x, y = [row.connections for row in own], [row.rate for row in own]
                if system == ENGINE:
                    axes.plot(x, y, "--", color="#999999", label=system, zorder=1)
                elif system == OURS:
                    axes.plot(x, y, "o-", color="#000000", lw=2.6, ms=6, label=system, zorder=4)
                else:
                    colour, mark = look[system]
                    axes.plot(x, y, color=colour, marker=mark, ms=5, lw=1.3, label=system, zorder=3)
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.xaxis.set_major_formatter(ScalarFormatter())
            axes.xaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.set_xticks(sorted({row.connections for row in rows}))
            axes.grid(True, which="major", color="#e5e5e5")
            axes.set_title(f"{titles[name]}\n{WIRES.get(form, form)}", fontsize=10)
            axes.set_xlabel("connections")
            axes.spines[["top", "right"]].set_visible(False)
        line[0].set_ylabel("requests/s")
    labels: dict[str, object] = {}
    for axes in grid.flat:
        handles, texts = axes.get_legend_handles_labels()
        labels.update(zip(texts, handles, strict=True))
    order = [OURS, *systems, ENGINE]
    known = [label for label in order if label in labels]
    figure.legend(
        [labels[label] for label in known],
        known,
        loc="outside lower center",
        ncols=min(len(known), 5 if len(names) > 1 else 3),
        frameon=False,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)
    pyplot.close(figure)
