"""The smallest set of permissions that serves all calls: a weighted set cover, exact for the sizes that occur."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

COVER_OPTIONS = (
    "STRUCT(permission VARCHAR, weight INTEGER, is_write BOOLEAN, is_held BOOLEAN, reach BIGINT, sets BIGINT[])[]"
)
"""Type of the argument of `smallest_cover` in SQL."""
MAX_STEPS = 20_000
"""Branches looked at before the best cover found so far is taken; real apps need a few dozen."""


class Option(NamedTuple):
    """A permission that could be part of the cover."""

    cost: tuple[int, int, int, int, int]
    """Weight of its level, 1 (for the count), writes, not held, reach: added up over a cover, the smaller is better."""
    permission: str
    sets: frozenset[int]
    """The kinds of call it serves."""


def smallest_cover(options: Iterable[Mapping[str, Any]]) -> list[str]:
    """The permissions that together serve every kind of call any of `options` serves, in order of name.

    Each option has `permission`, `weight` (of its level; 0 is taken in any case), `is_write`, `is_held`, `reach` (how
    much else it allows) and `sets` (numbers of the kinds of call it serves). The cover has the least sum of weights;
    among those the fewest permissions, the fewest that write, the fewest that are not held yet, the least reach.
    """
    read = sorted(_option(entry) for entry in options)
    taken = [option for option in read if option.cost[0] == 0]
    served = frozenset[int]().union(*(option.sets for option in taken))
    rest = _undominated(option._replace(sets=option.sets - served) for option in read if option.sets - served)
    wanted = frozenset[int]().union(*(option.sets for option in rest))
    return sorted({option.permission for option in [*taken, *_search(rest, wanted)]})


def _option(entry: Mapping[str, Any]) -> Option:
    """One option as it came from the database."""
    cost = (
        int(entry["weight"]),
        1,
        int(bool(entry["is_write"])),
        int(not entry["is_held"]),
        int(entry["reach"] or 0),
    )
    return Option(cost, str(entry["permission"]), frozenset(entry["sets"]))


def _undominated(options: Iterable[Option]) -> list[Option]:
    """The options without those for which a cheaper one serves at least as much; cheapest first."""
    kept: list[Option] = []
    for option in sorted(options):
        if not any(option.sets <= other.sets for other in kept):
            kept.append(option)
    return kept


def _total(cover: Iterable[Option]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """What a cover costs, then its names, so that of two equal covers always the same one is taken."""
    chosen = list(cover)
    costs = tuple(sum(column) for column in zip(*(option.cost for option in chosen), strict=True))
    return costs, tuple(sorted(option.permission for option in chosen))


def _greedy(options: list[Option], wanted: frozenset[int]) -> list[Option]:
    """A good cover: again and again the option with the least weight for each kind of call still open."""
    chosen: list[Option] = []
    while wanted:
        best = min(
            (option for option in options if option.sets & wanted),
            key=lambda option: (option.cost[0] / len(option.sets & wanted), option),
        )
        chosen.append(best)
        wanted -= best.sets
    return chosen


def _search(options: list[Option], wanted: frozenset[int]) -> list[Option]:
    """The best cover of `wanted` by branch and bound, begun with the greedy one."""
    if not wanted:
        return []
    best = _greedy(options, wanted)
    bound = _total(best)
    steps = 0
    ahead: list[tuple[list[Option], frozenset[int]]] = [([], wanted)]
    while ahead and steps < MAX_STEPS:
        steps += 1
        chosen, missing = ahead.pop()
        if chosen and _total(chosen) >= bound:
            continue
        if not missing:
            best, bound = chosen, _total(chosen)
            continue
        # the kind of call with the fewest options: every cover holds one of them
        rarest = min(missing, key=lambda kind: (sum(kind in option.sets for option in options), kind))
        branches = [option for option in options if rarest in option.sets]
        ahead += [([*chosen, option], missing - option.sets) for option in reversed(branches)]
    return best
