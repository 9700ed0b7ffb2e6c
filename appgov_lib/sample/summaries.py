"""The report of sign-ins by application: how many of people's sign-ins of the last days worked and failed."""

from __future__ import annotations

import numpy as np

from appgov_lib.sample.calendar import DAYS
from appgov_lib.sample.directory import compact
from appgov_lib.sample.people import People
from appgov_lib.sample.records import failed_sign_ins
from appgov_lib.sample.rhythm import Rhythm

PERIODS = {"D7": 7, "D30": 30}
_PEOPLE_STREAMS = (0, 1)


def sign_in_summaries(rhythm: Rhythm, days: int) -> list[bytes]:
    """One row for each app that people signed in to, the busiest first; it adds up the sign-in log."""
    world, people = rhythm.world, People(rhythm.world)
    good, bad = np.zeros(world.count, np.int64), np.zeros(world.count, np.int64)
    for day in range(DAYS - days, DAYS):
        for stream in _PEOPLE_STREAMS:
            events = rhythm.events(stream, day)
            failed = failed_sign_ins(stream, events.word)
            bad += np.bincount(events.app[failed], minlength=world.count)
            good += np.bincount(events.app[~failed], minlength=world.count)
    order = np.argsort(-(good + bad), kind="stable")
    rows = []
    for index in order[: int(np.count_nonzero(good + bad))].tolist():
        worked, total = int(good[index]), int(good[index] + bad[index])
        record = {
            "@odata.type": "#microsoft.graph.applicationSignInSummary",
            "id": world.app_ids[index],
            "successfulSignInCount": worked,
            "failedSignInCount": total - worked,
            "appDisplayName": people.app_name(index),
            "successPercentage": round(100 * worked / total, 2),
        }
        rows.append(compact(record).encode())
    return rows
