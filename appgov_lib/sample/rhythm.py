"""How much every app does on every day, and the events of one day as arrays, each made alone from (seed, stream, day).

Counts are negative binomial around rate x weekday x holiday x growth x story, so ordinary noise is over-dispersed
but without accidental tenfold days.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appgov_lib.sample import ids
from appgov_lib.sample.calendar import DAYS, HOLIDAYS, day_index, weekday
from appgov_lib.sample.cast import CAST
from appgov_lib.sample.profiles import CALLS, PROFILES
from appgov_lib.sample.world import STREAMS, World

CALL_STREAM = STREAMS.index("calls")
CALL_NAMES = tuple(CALLS)
_WEEK = np.array(
    [
        [1.05, 1.1, 1.05, 1.0, 0.85, 0.12, 0.08],
        [1.0, 1.0, 1.0, 1.0, 1.0, 0.95, 0.95],
        [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0],
    ]
)
_HOLIDAY_INDEXES = {day_index(day) for day in HOLIDAYS}
_HOLIDAY_FACTOR = np.array([0.15, 0.5, 1.0])
_KEPT_DAYS = 4


@dataclass(frozen=True)
class Events:
    """The events of one stream on one day, newest first."""

    app: NDArray[np.int32]
    second: NDArray[np.int32]
    group: NDArray[np.uint64]
    """The same for events that belong together (a batch and its inner calls), otherwise equal to `word`."""
    word: NDArray[np.uint64]
    """64 random bits each; further ones are made from it with `ids.mix`."""
    call: NDArray[np.int16]
    """Index into CALL_NAMES (calls only)."""
    size: NDArray[np.int64]
    """Bytes of the answer (calls only)."""

    def __len__(self) -> int:
        """How many events there are."""
        return len(self.app)


class Rhythm:
    """Counts and events for a world. Keeps only the daily totals and the last few days asked for."""

    def __init__(self, world: World) -> None:
        """Prepare the tables that turn a profile into calls."""
        self.world = world
        self._days: OrderedDict[tuple[int, int], Events] = OrderedDict()
        self._ends: dict[int, NDArray[np.int64]] = {}
        self._members: dict[int, NDArray[np.int64]] = {}
        longest = max(len(profile.calls) for profile in PROFILES.values())
        slots = np.zeros((len(PROFILES), longest), np.int16)
        for row, profile in enumerate(PROFILES.values()):
            for place, name in enumerate(profile.calls):
                slots[row, place] = CALL_NAMES.index(name)
        self._slots = slots
        self._slot_count = np.array([max(1, len(profile.calls)) for profile in PROFILES.values()], np.int32)
        self._medians = np.array([call.size for call in CALLS.values()], np.float64)
        self._batcher = list(PROFILES).index("batcher")
        self._boosts = {
            (number, day): (calls, size)
            for number, member in enumerate(CAST, start=world.cast_start)
            for day, calls, size in member.boosts
        }
        self._wakes = {
            (number, member.first_day): round((DAYS - member.credentials[0].starts) * 86_400) % 86_400
            for number, member in enumerate(CAST, start=world.cast_start)
            if member.credentials and member.first_day == int(DAYS - member.credentials[0].starts) > 0
        }
        """(app, day) of apps that start to work with a credential of that very day: the second it was added."""
        self._intruders = {
            number: (member.intruder.day, [CALL_NAMES.index(name) for name in member.intruder.calls])
            for number, member in enumerate(CAST, start=world.cast_start)
            if member.intruder
        }

    def counts(self, stream: int, day: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(apps, events of each) on `day` (0..90), for the apps that use the stream at all."""
        world = self.world
        apps = self._users_of_stream(stream)
        pattern = world.pattern[apps]
        active = (world.first_day[apps] <= day) & (day <= world.last_day[apps])
        shape = _WEEK[pattern, weekday(day)]
        mean = world.rates[stream][apps] * shape * active
        if day in _HOLIDAY_INDEXES:
            mean = mean * _HOLIDAY_FACTOR[pattern]
        mean = mean * (1.0 + world.growth[apps]) ** (day / 7 - 6.5)
        for (number, when), (factor, _) in self._boosts.items():
            if when == day and stream == CALL_STREAM:
                mean[apps == number] *= factor
        random = self._generator(stream, day, "counts")
        spread = world.shape[apps]
        drawn = random.poisson(mean * random.gamma(spread, 1.0 / spread))
        drawn = np.minimum(drawn, np.ceil(2.2 * mean + 3).astype(np.int64) * (mean > 0))
        working = (shape >= 0.8) & active & (day not in _HOLIDAY_INDEXES)
        found: NDArray[np.int64] = np.maximum(drawn, world.floor[stream][apps] * working)
        return apps, found

    def _users_of_stream(self, stream: int) -> NDArray[np.int64]:
        """Indexes of the apps with a rate in the stream."""
        if stream not in self._members:
            self._members[stream] = np.flatnonzero(self.world.rates[stream] > 0)
        return self._members[stream]

    def ends(self, stream: int) -> NDArray[np.int64]:
        """Cumulative number of events, newest day first: entry k counts the last k days; DAYS + 1 entries."""
        if stream not in self._ends:
            totals = [0] + [int(self.counts(stream, day)[1].sum()) for day in reversed(range(DAYS))]
            self._ends[stream] = np.cumsum(np.array(totals, np.int64))
        return self._ends[stream]

    def events(self, stream: int, day: int) -> Events:
        """The events of a day, newest first."""
        key = (stream, day)
        if key in self._days:
            self._days.move_to_end(key)
            return self._days[key]
        self._days[key] = made = self._make(stream, day)
        if len(self._days) > _KEPT_DAYS:
            self._days.popitem(last=False)
        return made

    def _make(self, stream: int, day: int) -> Events:
        """Spread a day's counts over its hours and give every event its random word."""
        world = self.world
        apps, counts = self.counts(stream, day)
        app = np.repeat(apps.astype(np.int32), counts)
        total = len(app)
        word = ids.words(world.seed, f"events/{stream}/{day}", 0, total)
        starts = np.cumsum(counts) - counts
        turn = (np.arange(total) - np.repeat(starts, counts)).astype(np.int32)
        spread, other = ids.uniform(ids.mix(word)), ids.uniform(ids.mix(word ^ np.uint64(0xA5A5A5A5)))
        office = world.pattern[app] == 0
        second = np.where(office, 25_200 + (spread + other) * 21_600, spread * 86_399).astype(np.int32)
        for (number, when), added in self._wakes.items():
            if when == day:
                _wake(second, app == number, added, stream)
        call, size = np.zeros(total, np.int16), np.zeros(total, np.int64)
        group = word
        if stream == CALL_STREAM and total:
            profile = world.profile[app]
            call = self._slots[profile, (turn + day) % self._slot_count[profile]]
            for number, (start, theirs) in self._intruders.items():
                if day < start:
                    own = [name for name in self._slots[world.profile[number]] if name not in theirs]
                    call[(app == number) & np.isin(call, theirs)] = own[0]
            size = self._sizes(day, app, call)
            group, second = self._batches(profile, call, word, second)
        order = np.argsort(-second, kind="stable")
        return Events(app[order], second[order], group[order], word[order], call[order], size[order])

    def _sizes(self, day: int, app: NDArray[np.int32], call: NDArray[np.int16]) -> NDArray[np.int64]:
        """Log-normal bytes around the median of each call, cut at two standard deviations."""
        random = self._generator(CALL_STREAM, day, "sizes")
        factor = np.ones(self.world.count)
        for (number, when), (_, size) in self._boosts.items():
            if when == day:
                factor[number] = size
        spread = np.exp(self.world.byte_spread[app] * np.clip(random.standard_normal(len(app)), -2.0, 2.0))
        sizes: NDArray[np.int64] = (self._medians[call] * spread * (self.world.byte_scale * factor)[app]).astype(
            np.int64
        )
        return sizes

    def _batches(
        self, profile: NDArray[np.int16], call: NDArray[np.int16], word: NDArray[np.uint64], second: NDArray[np.int32]
    ) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        """Calls of a batching app that follow a `$batch` share its moment and its operation."""
        leads = np.where((profile != self._batcher) | (call == CALL_NAMES.index("batch")), np.arange(len(call)), 0)
        leader = np.maximum.accumulate(leads)
        same = profile[leader] == profile
        leader = np.where(same, leader, np.arange(len(call)))
        return word[leader], second[leader]

    def _generator(self, stream: int, day: int, purpose: str) -> np.random.Generator:
        """A counter-based generator of its own for (stream, day, purpose)."""
        key = int.from_bytes(ids.digest(self.world.seed, purpose, f"{stream}/{day}"), "big")
        return np.random.Generator(np.random.Philox(key=key))

    def last_sign_in(self) -> tuple[NDArray[np.int16], NDArray[np.int32], NDArray[np.int8]]:
        """(day, second, stream) of every app's newest sign-in; day -1 where there is none in the thirteen weeks."""
        count = self.world.count
        days, seconds, streams = np.full(count, -1, np.int16), np.zeros(count, np.int32), np.zeros(count, np.int8)
        for day in reversed(range(DAYS)):
            for stream in range(CALL_STREAM):
                events = self._make(stream, day)
                apps, places = np.unique(events.app, return_index=True)
                newer = (days[apps] < 0) | ((days[apps] == day) & (seconds[apps] < events.second[places]))
                chosen = apps[newer]
                days[chosen], seconds[chosen], streams[chosen] = day, events.second[places][newer], stream
            if day < DAYS - 21 and (days[self.world.rates[:CALL_STREAM].sum(axis=0) > 0] >= 0).mean() > 0.99:
                break
        return days, seconds, streams


def _wake(second: NDArray[np.int32], chosen: NDArray[np.bool_], added: int, stream: int) -> None:
    """Move a day's events of an app behind the second its credential was added, and its calls behind a sign-in."""
    if chosen.any():
        start = added + (900 if stream == CALL_STREAM else 600)
        moved = start + second[chosen].astype(np.int64) * (86_399 - start) // 86_399
        if stream != CALL_STREAM:
            moved[moved.argmin()] = start
        second[chosen] = moved
