"""The text of docs/models.md: every model of the catalogue, and what tests have asked of it."""

from __future__ import annotations

from collections.abc import Iterator

from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.entries import Entry, HttpsSource, TarballSource, TensorHint, WheelSource
from tests import real_models
from tests.standins import zoo

TITLES = {"paddle-serving-0.7": "The 42 models of Paddle Serving 0.7", "packages": "From packages"}
_INTRODUCTION = """\
One row a model. `paddlesrv info MODEL` tells more of each: notes, licence, sizes, parameters.

*Tensors* are those that the catalogue speaks of; a model's own files say the rest. *Tested on*
says what the tests get, serve and ask: **real weights**, or a **stand-in**: an archive of the
same layout with the same tensors, whose small network is made for the tests, since the published
one cannot be fetched everywhere. A stand-in proves pre- and post-processing, not what a network
has learnt. Where it says **architecture**, the published network itself, with fewer channels and
drawn weights, is got, served and held against its own answer too."""


def page(mark: str) -> str:
    """The whole page; `mark` says that it is generated."""
    catalogue = Catalogue.load()
    entries, real, standins = catalogue.entries, _real(catalogue), _with_standins()
    parts = ["# Models", mark, _INTRODUCTION]
    for collection, title in TITLES.items():
        own = [entry for entry in entries if entry.collection == collection]
        parts.append(f"## {title}")
        parts.append("\n".join(_rows(own, real, standins)))
    return "\n\n".join(parts) + "\n"


def _rows(entries: list[Entry], real: set[str], standins: set[str]) -> Iterator[str]:
    yield "| model | task | status | tensors | source | tested on |"
    yield "|---|---|---|---|---|---|"
    for entry in entries:
        cells = (_names(entry), entry.task, entry.status, _tensors(entry), _source(entry),
                 _tested(entry, real, standins))  # fmt: skip
        yield f"| {' | '.join(cells)} |"


def _names(entry: Entry) -> str:
    aliases = f" ({', '.join(entry.aliases)})" if entry.aliases else ""
    return f"`{entry.name}`{aliases}"


def _tensors(entry: Entry) -> str:
    if entry.is_pipeline:
        return "those of its parts"
    return f"{_side(entry.inputs)} → {_side(entry.outputs)}"


def _side(hints: tuple[TensorHint, ...]) -> str:
    shown = [_tensor(hint) for hint in hints]
    if len(shown) > 4:
        shown = [*shown[:2], f"… {len(shown) - 3} more …", shown[-1]]
    return ", ".join(shown) or "as its files say"


def _tensor(hint: TensorHint) -> str:
    shape = ",".join("?" if side < 0 else str(side) for side in hint.shape or ())
    return f"`{hint.alias or hint.name or hint.role}`" + (f" [{shape}]" if shape else "")


def _source(entry: Entry) -> str:
    if entry.is_pipeline:
        return " + ".join(f"`{part}`" for part in entry.components.values())
    kinds = []
    for source in entry.sources:
        if isinstance(source, WheelSource | TarballSource):
            kinds.append(f"package {source.package} {source.version}")
        elif isinstance(source, HttpsSource):
            kinds.append(f"archive {source.url.rpartition('/')[2]}")
    if entry.recipe is not None:
        kinds.append(f"made by the recipe `{entry.recipe.name}`")
    return ", ".join(kinds) or "your own export"


def _tested(entry: Entry, real: set[str], standins: set[str]) -> str:
    if entry.name in real:
        return "real weights"
    parts = entry.components.values() if entry.is_pipeline else (entry.name,)
    if not standins.issuperset(parts):
        return "nothing yet"
    return "stand-in, architecture" if entry.name in _with_architectures() else "stand-in"


def _real(catalogue: Catalogue) -> set[str]:
    asked = (catalogue.resolve(name).entry for name in (*real_models.FETCHED, *real_models.ASKED))
    return {part.name for entry in asked for part in catalogue.with_needs(entry)}


def _with_standins() -> set[str]:
    return {key.partition("/")[0] for key in zoo.all_standins()}


def _with_architectures() -> set[str]:
    return {key.partition("/")[0] for key in zoo.all_standins(zoo.ARCHITECTURES)}
