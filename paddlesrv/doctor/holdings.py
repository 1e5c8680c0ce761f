"""Checks of what paddlesrv keeps: models, records of servers, config files, and its sources."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from paddlesrv import environment
from paddlesrv.doctor.finding import Finding, Status
from paddlesrv.doctor.room import existing
from paddlesrv.errors import PaddlesrvError, UsageError
from paddlesrv.server.defaults import PROJECT_FILE, defaults, find_project
from paddlesrv.server.records import directories_in_use, recorded
from paddlesrv.settings import Settings, resolve
from paddlesrv.zoo.catalogue_choice import load_catalogue
from paddlesrv.zoo.leftovers import STALE_SECONDS
from paddlesrv.zoo.network import mask
from paddlesrv.zoo.store import Store

FIX = "paddlesrv doctor --fix"


def check_store(settings: Settings) -> Iterator[Finding]:
    """The models that are here: whether their records and files are."""
    root = settings.cache_dir
    writable = os.access(existing(root), os.W_OK)
    yield Finding(
        group="store",
        status="ok" if writable else "warn",
        text=f"{root} {'can' if writable else 'cannot'} be written",
        remedy=None if writable else "set PADDLESRV_HOME to a directory of yours to fetch models",
    )
    store, count = Store(root), 0
    found = sorted(store.models_dir.iterdir()) if store.models_dir.is_dir() else []
    for name in (path.name for path in found if not path.name.startswith(".")):
        try:
            installed = store.installed(name)
            if installed is None:
                raise PaddlesrvError(f"{name} is not complete")
            absent = [f for f in installed.spec.digests if not (installed.directory / f).is_file()]
            if absent:
                raise PaddlesrvError(f"{name} lacks {', '.join(absent)}")
        except PaddlesrvError as error:
            remedy = f"paddlesrv verify {name} --fix"
            yield Finding(group="store", status="fail", text=error.message, remedy=remedy)
        else:
            count += 1
    in_use = directories_in_use(settings.state_dir)
    leftovers = store.leftovers(older_than_seconds=STALE_SECONDS, in_use=in_use)
    if leftovers:
        text = f"{len(leftovers)} leftovers of what was cut off more than a day ago"
        yield Finding(group="store", status="warn", text=text, remedy=FIX)
    yield Finding(
        group="store",
        status="ok",
        text=f"{count} model{'s' if count != 1 else ''} installed",
    )


def check_servers(settings: Settings) -> Iterator[Finding]:
    """Records of servers: those that live, and those that tell of none any more."""
    troubles: list[str] = []
    entries = recorded(settings.state_dir, troubles.append)
    for entry in entries:
        if not entry.alive:
            text = f"the server {entry.record.name} is dead, and its record is still there"
            remedy = f"{FIX}, or: paddlesrv stop {entry.record.name}"
            yield Finding(group="servers", status="warn", text=text, remedy=remedy)
    for text in troubles:
        yield Finding(group="servers", status="warn", text=text, remedy="remove that file")
    count = sum(entry.alive for entry in entries)
    running = f"{count} server{'s' if count != 1 else ''} running"
    yield Finding(group="servers", status="ok", text=running)


def check_config(settings: Settings) -> Iterator[Finding]:
    """Config files and variables: whether they can be read, and meant so."""
    in_force = resolve({"home": settings.home} if settings.home else {}, tolerant=True)
    problems: list[PaddlesrvError] = list(in_force.problems)
    try:
        defaults(in_force.file)
    except UsageError as error:
        problems.append(error)
    try:
        defaults(None, find_project(None, asked=True), {})
    except UsageError as error:
        problems.append(error)
    for problem in problems:
        at = f" ({problem.context['at']})" if "at" in problem.context else ""
        remedy = problem.hints[0] if problem.hints else "correct it"
        yield Finding(group="config", status="fail", text=problem.message + at, remedy=remedy)
    for stranger in environment.unknown():
        remedy = f"unset {stranger.name}"
        yield Finding(group="config", status="warn", text=stranger.text, remedy=remedy)
    for path in (settings.user_file, PROJECT_FILE.absolute()):
        held = "is there" if path.is_file() else "is not there"
        yield Finding(group="config", status="ok", text=f"{path} {held}")


def check_sources(settings: Settings) -> Iterator[Finding]:
    """Where models would come from; nobody is asked."""
    try:
        catalogue = load_catalogue(settings)
    except PaddlesrvError as error:
        remedy = error.hints[0] if error.hints else None
        yield Finding(group="sources", status="fail", text=error.message, remedy=remedy)
    else:
        text = f"catalogue {catalogue.revision} with {len(catalogue.entries)} models"
        yield Finding(group="sources", status="ok", text=text)
    if settings.offline:
        text = "offline: only what is installed can be served"
        yield Finding(group="sources", status="ok", text=text)
    for variable, place in (
        ("PADDLESRV_MIRROR", settings.mirror),
        ("PADDLESRV_INDEX_URL", settings.index_url),
    ):
        if place is not None:
            yield _place(variable, place, directories=variable == "PADDLESRV_MIRROR")


def _place(variable: str, place: str, *, directories: bool) -> Finding:
    """Whether an address of the settings can be one at all; nobody is asked."""
    parts = urlsplit(place)
    text, remedy = f"{variable} is {mask(place)}", None
    status: Status = "ok"
    if parts.scheme in ("https", "file"):
        pass
    elif parts.scheme == "http":
        status, remedy = "warn", "use https where the network is not your own"
    elif not directories or parts.scheme or not Path(place).expanduser().is_dir():
        kind = "neither an address nor a directory" if directories else "no address"
        status, text = "fail", f"{text}, {kind}"
        remedy = f"correct or unset {variable}"
    return Finding(group="sources", status=status, text=text, remedy=remedy)
