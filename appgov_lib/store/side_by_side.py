"""Runs models two at a time: most of them are one query that one core works on, and a tenant has two hundred."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter

import duckdb

from appgov_lib.store.models import Model, words

Work = Callable[[duckdb.DuckDBPyConnection, Model], None]


def reads(models: Iterable[Model]) -> dict[str, frozenset[str]]:
    """The earlier models whose tables each model reads, by its name."""
    found: dict[str, frozenset[str]] = {}
    for model in models:
        found[model.name] = frozenset(words(model) & found.keys())
    return found


def side_by_side(
    hands: Sequence[duckdb.DuckDBPyConnection], models: Sequence[Model], work: Work, after: Work | None = None
) -> None:
    """Call `work` for every model once those it reads are done, on as many connections as there are `hands`.

    `after` is called for each model that is done, one at a time. What `work` raises is raised here, after the models
    already begun have ended; no other is begun then.
    """
    named = {model.name: model for model in models}
    before = {name: found & named.keys() for name, found in reads(models).items()}
    urgent = _ahead(before)
    sorter = TopologicalSorter(before)
    sorter.prepare()
    ready: list[str] = []
    free = list(hands)
    running: dict[Future[None], tuple[str, duckdb.DuckDBPyConnection]] = {}
    with ThreadPoolExecutor(len(hands)) as pool:
        while sorter.is_active():
            ready = sorted([*ready, *sorter.get_ready()], key=lambda name: -urgent[name])
            while free and ready:
                name, con = ready.pop(0), free.pop()
                running[pool.submit(work, con, named[name])] = (name, con)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name, con = running.pop(future)
                future.result()
                if after is not None:
                    after(con, named[name])
                sorter.done(name)
                free.append(con)


def _ahead(before: dict[str, frozenset[str]]) -> dict[str, int]:
    """How many models in a row wait for each one: the longest row is begun first, so that none is left at the end."""
    found = dict.fromkeys(before, 0)
    for name in reversed(before):
        for earlier in before[name]:
            found[earlier] = max(found[earlier], found[name] + 1)
    return found
