"""Everything that can be listed: a length, rows by position, and for logs the positions of a time window."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from appgov_lib.sample.calendar import DAYS, FIRST_DAY
from appgov_lib.sample.odata import GraphError
from appgov_lib.sample.records import Records
from appgov_lib.sample.rhythm import Events, Rhythm

_START = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)
Expander = Callable[[int], Any]


class Lookup(Protocol):
    """Finds a row by a key."""

    def get(self, key: str, /) -> int | None:
        """The position of the row whose key is `key`, if there is one."""


class Collection(Protocol):
    """What the paging code needs."""

    @property
    def default_top(self) -> int:
        """Rows of a page without `$top`."""

    @property
    def max_top(self) -> int:
        """The largest `$top`."""

    @property
    def expanders(self) -> Mapping[str, Expander]:
        """What `$expand` can add, by name."""

    @property
    def indexed(self) -> tuple[str, ...]:
        """Names that an index answers."""

    @property
    def times(self) -> tuple[str, ...]:
        """Names of the times that `window` understands."""

    @property
    def strict_times(self) -> bool:
        """Whether `lt` and `gt` on the times are refused."""

    def briefly(self, names: list[str]) -> Collection:
        """A collection with rows of at least these names: a quicker one where there is one."""

    def __len__(self) -> int:
        """How many rows there are."""

    def rows(self, start: int, stop: int) -> list[bytes]:
        """Rows `start` to `stop` as JSON objects."""

    def positions(self, name: str, value: str) -> range:
        """Where rows with `name` equal to `value` are, for indexed names."""

    def window(self, at_least: str | None, at_most: str | None) -> range:
        """Where rows of a time window are; both ends belong to it."""

    def anchor(self, position: int) -> int:
        """What stands for a position in a page token: it keeps its row when others are removed meanwhile."""

    def place(self, anchor: int) -> int:
        """The position an anchor stands for now: of its row, or of the next one that is left."""


@dataclass
class Plain:
    """Rows made one by one from their number; directory objects."""

    count: int
    row: Callable[[int], bytes]
    expanders: Mapping[str, Expander] = field(default_factory=dict)
    index: Mapping[str, Callable[[], Lookup]] = field(default_factory=dict)
    default_top: int = 100
    max_top: int = 999
    times: tuple[str, ...] = ()
    strict_times: bool = False
    brief: Callable[[int], bytes] | None = None
    """A quicker row with `id` and `appId` only."""
    related: Mapping[str, Callable[[], Sequence[int]]] = field(default_factory=dict)
    """Rising positions of the rows that have something in a relation, by its name, for filters on its `$count`."""
    numbers: Sequence[int] | None = None
    """Where the rows come from, if this is a choice of another list's."""

    def briefly(self, names: list[str]) -> Plain:
        """The same list with rows of ids only, if those are all that is wanted."""
        if self.brief is None or not names or not set(names) <= {"id", "appId"}:
            return self
        return replace(self, row=self.brief, brief=None)

    @property
    def indexed(self) -> tuple[str, ...]:
        """Names that an index answers."""
        return tuple(self.index)

    def __len__(self) -> int:
        """How many rows there are."""
        return self.count

    def rows(self, start: int, stop: int) -> list[bytes]:
        """Rows `start` to `stop`."""
        return [self.row(number) for number in range(start, min(stop, self.count))]

    def positions(self, name: str, value: str) -> range:
        """The one row whose key is `value`, or none."""
        place = self.index[name]().get(value.lower())
        return range(0) if place is None else range(place, place + 1)

    def window(self, at_least: str | None, at_most: str | None) -> range:
        """All rows: directory objects have no time index."""
        return range(self.count)

    def anchor(self, position: int) -> int:
        """The row's position in the list it was chosen from."""
        return position if self.numbers is None else self.numbers[position]

    def place(self, anchor: int) -> int:
        """The position of the row, or of the next one, in this choice."""
        return anchor if self.numbers is None else bisect_left(self.numbers, anchor)

    def chosen(self, numbers: Sequence[int]) -> Plain:
        """The list of the rows at these rising positions."""
        row, brief = self.row, self.brief

        def moved(expand: Expander) -> Expander:
            """The same expander by the new positions."""
            return lambda place: expand(numbers[place])

        def found(index: Callable[[], Lookup]) -> Callable[[], Lookup]:
            """The same index by the new positions."""
            return lambda: _Chosen(index(), numbers)

        return replace(
            self,
            count=len(numbers),
            row=lambda place: row(numbers[place]),
            brief=None if brief is None else lambda place: brief(numbers[place]),
            expanders={name: moved(expand) for name, expand in self.expanders.items()},
            index={name: found(index) for name, index in self.index.items()},
            related={},
            numbers=numbers,
        )


@dataclass(frozen=True)
class _Chosen:
    """An index of a list, for a choice of its rows."""

    index: Lookup
    numbers: Sequence[int]

    def get(self, key: str, /) -> int | None:
        """The position in the choice, if the row is part of it."""
        number = self.index.get(key)
        if number is None:
            return None
        place = bisect_left(self.numbers, number)
        return place if place < len(self.numbers) and self.numbers[place] == number else None


@dataclass
class Timed:
    """A list held whole, newest first, with the text of each row's time."""

    moments: list[str]
    held: list[bytes]
    times: tuple[str, ...]
    default_top: int = 1_000
    max_top: int = 1_000
    strict_times: bool = False
    indexed: tuple[str, ...] = ()
    expanders: Mapping[str, Expander] = field(default_factory=dict)

    def briefly(self, names: list[str]) -> Timed:
        """Itself."""
        return self

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.held)

    def rows(self, start: int, stop: int) -> list[bytes]:
        """Rows `start` to `stop`."""
        return self.held[start:stop]

    def positions(self, name: str, value: str) -> range:
        """All rows: nothing is indexed."""
        return range(len(self.held))

    @cached_property
    def _rising(self) -> list[datetime]:
        """The times, oldest first."""
        return [read_time(moment) for moment in reversed(self.moments)]

    def window(self, at_least: str | None, at_most: str | None) -> range:
        """Positions of the rows in the window."""
        total = len(self.held)
        low = bisect_left(self._rising, read_time(at_least)) if at_least else 0
        high = bisect_right(self._rising, read_time(at_most)) if at_most else total
        return range(total - max(low, high), total - low)

    def anchor(self, position: int) -> int:
        """The position itself: a log does not change."""
        return position

    def place(self, anchor: int) -> int:
        """The position itself."""
        return anchor


class SignIns:
    """Sign-ins of one or two streams, newest first, made day by day."""

    default_top = 1_000
    max_top = 1_000
    indexed: tuple[str, ...] = ()
    times: tuple[str, ...] = ("createdDateTime",)
    strict_times = True

    def __init__(self, rhythm: Rhythm, records: Records, streams: tuple[int, ...], beta: bool) -> None:
        """`streams` are numbers of world.STREAMS; beta adds what only beta has."""
        self.rhythm, self.records, self.streams, self.beta = rhythm, records, streams, beta
        self.expanders: Mapping[str, Expander] = {}
        self._merged: tuple[int, list[bytes]] = (-1, [])
        self._ends: NDArray[np.int64] = np.sum([rhythm.ends(stream) for stream in streams], axis=0)

    def briefly(self, names: list[str]) -> SignIns:
        """Itself."""
        return self

    def __len__(self) -> int:
        """How many rows there are."""
        return int(self._ends[-1])

    def positions(self, name: str, value: str) -> range:
        """All rows: nothing is indexed."""
        return range(len(self))

    def rows(self, start: int, stop: int) -> list[bytes]:
        """Rows `start` to `stop`, over as many days as they span."""
        found: list[bytes] = []
        stop = min(stop, len(self))
        while start < stop:
            back = int(np.searchsorted(self._ends, start, side="right")) - 1
            first, end = int(self._ends[back]), int(self._ends[back + 1])
            upto = min(stop, end)
            found += self._day(DAYS - 1 - back, start - first, upto - first)
            start = upto
        return found

    def _day(self, day: int, start: int, stop: int) -> list[bytes]:
        """Rows of one day."""
        if len(self.streams) == 1:
            stream = self.streams[0]
            return self.records.sign_ins(stream, day, self.rhythm.events(stream, day), start, stop, self.beta)
        if self._merged[0] != day:
            merged = []
            for stream in self.streams:
                events = self.rhythm.events(stream, day)
                rows = self.records.sign_ins(stream, day, events, 0, len(events), self.beta)
                merged += list(zip((-events.second).tolist(), rows, strict=True))
            self._merged = (day, [row for _, row in sorted(merged)])
        return self._merged[1][start:stop]

    def window(self, at_least: str | None, at_most: str | None) -> range:
        """Positions of the rows in the window."""
        first = self._newer_than(read_time(at_most)) if at_most else 0
        last = self._newer_than(read_time(at_least) - timedelta(microseconds=1)) if at_least else len(self)
        return range(first, max(first, last))

    def anchor(self, position: int) -> int:
        """The position itself: a log does not change."""
        return position

    def place(self, anchor: int) -> int:
        """The position itself."""
        return anchor

    def _newer_than(self, moment: datetime) -> int:
        """How many rows are newer than `moment` (whole seconds count)."""
        seconds = int((moment - _START).total_seconds() // 1)
        day, second = divmod(seconds, 86_400)
        if day >= DAYS:
            return 0
        if day < 0:
            return len(self)
        today = sum(_newer_in(self.rhythm.events(stream, day), second) for stream in self.streams)
        return int(self._ends[DAYS - 1 - day]) + today


def _newer_in(events: Events, second: int) -> int:
    """Events of a day after `second`."""
    return int(np.count_nonzero(events.second > second))


def read_time(text: str) -> datetime:
    """An OData time; a date alone is its midnight. Raises GraphError 400."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise GraphError(400, "Request_BadRequest", f"Invalid datetime value '{text}'.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
