"""score_daily: numbers checked by hand, and found and missed stories on seeded series."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from appgov_lib.anomalies import OUTPUT_TYPES, score_daily
from appgov_lib.errors import UserError

LAST = pd.Timestamp("2026-11-15")  # a Sunday
DAYS = pd.date_range(end=LAST, periods=91)
WEEKEND = DAYS.day_of_week >= 5


def series(
    values: object, metric: str = "api_calls", app_id: str = "app", days: pd.DatetimeIndex = DAYS
) -> pd.DataFrame:
    """One app's daily values, newest last; a single number stands for all days."""
    listed = np.broadcast_to(np.asarray(values, dtype=float), len(days))
    return pd.DataFrame({"app_id": app_id, "metric": metric, "day": days, "value": listed})


def flagged(daily: pd.DataFrame, **options: float) -> pd.DataFrame:
    """The rows called anomalies."""
    scored = score_daily(daily, **options)
    return scored[scored["is_anomaly"]]


# Form


def test_output_has_the_named_columns_for_the_last_seven_days():
    scored = score_daily(series(50))
    assert list(scored.columns) == list(OUTPUT_TYPES)
    assert {name: str(kind) for name, kind in scored.dtypes.items()} == OUTPUT_TYPES
    assert list(scored["day"]) == list(DAYS[-7:])
    assert set(scored["history_days"]) == {84}
    assert set(scored["compared_with"]) == {"own history"}


def test_empty_input_gives_an_empty_table_with_the_same_types():
    scored = score_daily(series(50).head(0))
    assert scored.empty
    assert {name: str(kind) for name, kind in scored.dtypes.items()} == OUTPUT_TYPES


def test_row_order_does_not_matter_and_output_is_ordered():
    daily = pd.concat([series(50, app_id="b"), series(5, "failures", "a"), series(7e6, "bytes_returned", "a")])
    once = score_daily(daily)
    again = score_daily(daily.sample(frac=1, random_state=np.random.default_rng(3)))
    pd.testing.assert_frame_equal(once, again)
    assert list(once["app_id"].unique()) == ["a", "b"]
    assert once.sort_values(["app_id", "metric", "day"]).index.is_monotonic_increasing


@pytest.mark.parametrize("kind", ["date", "text", "utc"])
def test_days_may_be_dates_texts_or_times(kind: str):
    daily = series(50)
    days = {"date": daily["day"].dt.date, "text": daily["day"].astype(str), "utc": daily["day"].dt.tz_localize("UTC")}
    pd.testing.assert_frame_equal(score_daily(daily.assign(day=days[kind])), score_daily(daily))


def test_the_input_is_not_changed():
    daily = series(50)
    before = daily.copy(deep=True)
    score_daily(daily)
    pd.testing.assert_frame_equal(daily, before)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.drop(columns="metric"), "no column 'metric'"),
        (lambda d: d.assign(day=pd.NaT), "without app_id, metric or day"),
        (lambda d: d.assign(app_id=None), "without app_id, metric or day"),
        (lambda d: d.assign(value=-1.0), "negative or infinite"),
        (lambda d: d.assign(value=math.inf), "negative or infinite"),
        (lambda d: d.assign(value="many"), "cannot be read"),
        (lambda d: d.assign(day="yesterday-ish"), "cannot be read"),
        (lambda d: pd.concat([d, d]), "more than once"),
    ],
)
def test_bad_input_is_one_sentence(change, words: str):
    with pytest.raises(UserError, match=words):
        score_daily(change(series(50)))


# Numbers


def test_count_numbers():
    # 100 a day for 84 days: no deviation, so over-dispersion and scale are at their floors 0.01 and 1, the wander of
    # the level at 0.08. A day of 200 is 2 / 0.1 x (asinh(0.1 sqrt(200.375)) - asinh(0.1 sqrt(100.375))) = 5.254 off.
    # Scale: sqrt(1 + 1.57 / 12 + (0.08 x sqrt(100 / (1 + 1)))^2) = 1.2048 for a median of twelve Sundays.
    values = np.full(91, 100.0)
    values[-1] = 200
    row = score_daily(series(values)).iloc[-1]
    off = 20 * (math.asinh(0.1 * math.sqrt(200.375)) - math.asinh(0.1 * math.sqrt(100.375)))
    scale = math.sqrt(1 + 1.57 / 12 + 0.08**2 * 100 / 2)
    assert row["expected"] == pytest.approx(100)
    assert row["score"] == pytest.approx(off / scale)
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(off / scale, 60))  # 0.74 x 84 days, at most 60
    reach = stats.t.isf(0.005, 60) * scale
    root = math.sinh((20 * math.asinh(0.1 * math.sqrt(100.375)) + reach) / 20) / 0.1
    assert row["upper"] == pytest.approx(root**2 - 0.375)


def test_byte_numbers():
    # Steady bytes: over-dispersion 0.06, so nearly the logarithm in units of sqrt(0.06) = 0.245.
    values = np.full(91, 1e9)
    values[-2] = 4e9
    row = score_daily(series(values, "bytes_returned")).iloc[-2]
    scale = math.sqrt(1 + 1.57 / 12 + 0.08**2 / 0.06)
    assert row["score"] == pytest.approx(math.log(4) / math.sqrt(0.06) / scale, rel=1e-3)
    assert row["lower"] * row["upper"] == pytest.approx(1e18, rel=1e-2)  # the range is even on the logarithm


def test_a_series_that_bursts_by_itself_is_judged_by_its_own_bursts():
    values = np.random.default_rng(5).poisson(100, 91).astype(float)
    values[-3] = 300
    assert list(flagged(series(values))["day"]) == [DAYS[-3]]
    values[[15, 38, 50]] = 350
    assert flagged(series(values)).empty


def test_the_median_ignores_an_earlier_burst():
    values = np.full(91, 100.0)
    values[40] = 100_000
    assert score_daily(series(values))["expected"].to_numpy() == pytest.approx(np.full(7, 100))


def test_each_weekday_has_its_own_expectation():
    # Monday 10, Tuesday 20, ... Sunday 70
    scored = score_daily(series((DAYS.day_of_week + 1) * 10.0))
    assert scored["expected"].to_numpy() == pytest.approx([10, 20, 30, 40, 50, 60, 70])
    assert not scored["is_anomaly"].any()


def test_steady_growth_is_carried_on():
    # + 8 % a week for 13 weeks: the judged week is expected to be 8 % above the one before.
    weeks = np.arange(91) // 7
    scored = score_daily(series(100 * 1.08**weeks))
    assert scored["expected"].to_numpy() == pytest.approx(np.full(7, 100 * 1.08**12), rel=0.02)


def test_growth_of_an_app_that_works_two_days_a_week():
    busy = DAYS.day_of_week < 2
    scored = score_daily(series(np.where(busy, 1000 * 1.08 ** (np.arange(91) // 7), 0)))
    assert scored["expected"].to_numpy() == pytest.approx([1000 * 1.08**12] * 2 + [0] * 5, rel=0.02)


def test_a_step_in_the_past_is_not_growth():
    # Ten times as much since six weeks ago: the next week is expected at the new level, not beyond it.
    values = np.where(np.arange(91) < 91 - 7 * 7, 100.0, 1000.0)
    scored = score_daily(series(values))
    assert scored["expected"].to_numpy() == pytest.approx(np.full(7, 1000))
    assert not scored["is_anomaly"].any()


# History


def test_missing_days_are_left_out_and_zero_is_zero():
    daily = series(50)
    gaps = daily.drop(index=[len(daily) - 1, len(daily) - 4])
    scored = score_daily(pd.concat([gaps, series(50, app_id="other")]))
    assert list(scored[scored["app_id"] == "app"]["day"]) == [DAYS[i] for i in (-7, -6, -5, -3, -2)]
    zero = daily.copy()
    zero.loc[len(daily) - 4, "value"] = 0
    assert len(score_daily(zero)) == 7
    assert score_daily(zero)["observed"].iloc[3] == 0


def test_a_value_that_is_not_known_is_like_a_missing_row():
    daily = series(50)
    daily.loc[len(daily) - 2, "value"] = np.nan
    scored = score_daily(pd.concat([daily, series(50, app_id="other")]))
    assert (scored["app_id"] == "app").sum() == 6


def test_the_last_seven_days_are_those_present():
    daily = series(50).drop(index=[len(DAYS) - 2])  # nobody has a value on 14 November
    assert list(score_daily(daily)["day"]) == [DAYS[i] for i in (-8, -7, -6, -5, -4, -3, -1)]


def test_an_app_without_a_value_in_the_window_is_not_judged():
    daily = pd.concat([series(50, app_id="gone").head(80), series(50)])
    assert set(score_daily(daily)["app_id"]) == {"app"}


@pytest.mark.parametrize(("days", "judged"), [(7 + 28, 7), (7 + 21, 7), (7 + 20, 0), (7, 0), (1, 0)])
def test_short_history_without_peers(days: int, judged: int):
    scored = score_daily(series(50, days=DAYS[-days:]))
    known = scored["p_value"].notna()
    assert known.sum() == judged
    assert set(scored.loc[~known, "reason"]) <= {"history too short"}
    assert not scored.loc[~known, "is_anomaly"].any()
    assert scored.loc[~known, ["expected", "lower", "upper", "score", "p_value"]].isna().all(axis=None)
    assert set(scored["history_days"]) == {max(days - 7, 0)}


def test_a_young_app_is_compared_with_its_peers_and_says_so():
    rng = np.random.default_rng(2)
    peers = [series(rng.poisson(200, 91), app_id=f"old-{n:02}") for n in range(12)]
    few = [series(rng.poisson(200, 16), app_id="ten-days", days=DAYS[-16:]) for _ in "1"]
    none = [series(rng.poisson(200, 5), app_id="new", days=DAYS[-5:])]
    loud = [series(np.where(np.arange(16) < 9, 200, 4000), app_id="loud", days=DAYS[-16:])]
    scored = score_daily(pd.concat([*peers, *few, *none, *loud]))
    against = scored.groupby("app_id")["compared_with"].first()
    assert against["ten-days"] == "own first days and peers"
    assert against["new"] == "peers"
    assert against["old-00"] == "own history"
    assert set(scored.loc[scored["is_anomaly"], "app_id"]) == {"loud"}
    assert scored.loc[scored["app_id"] == "loud", "reason"].str.contains("compared with own first days and peers").any()
    # Peers are apps of the same kind: with none of its kind the young app is not judged.
    kinds = pd.DataFrame({"app_id": scored["app_id"].unique()}).assign(kind="own")
    kinds.loc[kinds["app_id"] == "loud", "kind"] = "foreign"
    alone = score_daily(pd.concat([*peers, *few, *none, *loud]), kinds)
    assert set(alone.loc[alone["app_id"] == "loud", "reason"]) == {"history too short"}
    with pytest.raises(UserError, match="no column 'kind'"):
        score_daily(peers[0], kinds[["app_id"]])


def test_history_weeks_limits_what_is_looked_at():
    values = np.where(np.arange(91) < 60, 5000.0, 50.0)
    assert score_daily(series(values), history_weeks=3)["expected"].max() == pytest.approx(50)


def test_another_window_length():
    values = np.full(91, 60.0)
    values[-10] = 900
    assert flagged(series(values)).empty
    assert list(flagged(series(values), test_days=14)["day"]) == [DAYS[-10]]


# What is news


def test_two_calls_more_or_less_are_no_news():
    values = np.full(91, 2.0)
    values[-1], values[-2] = 6, 0
    assert flagged(series(values)).empty


@pytest.mark.parametrize(
    ("usual", "today", "news"),
    [
        (10_000, 19_990, False),  # far outside the range, but not twice as much
        (10_000, 20_010, True),
        (10_000, 4_010, False),
        (10_000, 3_990, True),
        (2, 11, False),
        (2, 13, True),
    ],
)
def test_how_much_is_news(usual: float, today: float, news: bool):
    values = np.full(91, usual)
    values[-3] = today  # a Friday
    assert len(flagged(series(values))) == news


def test_how_much_is_news_for_a_week():
    # A week needs thirty more in all: 7 x (8 - 4) = 28 is too little, 7 x (16 - 4) = 84 is not.
    for today, count in ((8, 0), (16, 7)):
        values = np.full(91, 4)
        values[-7:] = today
        assert len(flagged(series(values))) == count


def test_idle_days_of_an_idle_app_score_zero():
    scored = score_daily(series(0))
    assert (scored["score"] == 0).all()
    assert (scored["p_value"] == 1).all()


def test_a_burst_is_found_and_explained():
    values = np.full(91, 60.0)
    values[-3] = 720
    rows = flagged(series(values))
    assert list(rows["day"]) == [DAYS[-3]]
    assert rows["reason"].iloc[0].startswith("720 observed, above the 60 expected (99 % range ")
    assert rows["score"].iloc[0] > 5


def test_silence_is_found_on_working_days_only():
    values = np.where(WEEKEND, 0.0, 80.0)
    values[-7:] = 0
    rows = flagged(series(values))
    assert list(rows["day"]) == list(DAYS[-7:-2])  # Monday to Friday; the weekend is always quiet
    assert (rows["score"] < 0).all()
    assert rows["reason"].str.contains("below the 80 expected").all()


def test_one_raised_day_does_not_raise_its_week():
    values = np.full(91, 1e8)
    values[-4] = 1e10
    assert list(flagged(series(values, "bytes_returned"))["day"]) == [DAYS[-4]]


def test_a_weekend_job_is_its_own_normal():
    assert flagged(series(np.where(WEEKEND, 3e9, 0.0), "bytes_returned")).empty


def test_a_monthly_job_has_been_seen_before():
    values = np.where(DAYS.day == 10, 5000.0, 20.0)  # 10 September, October and, in the judged week, November
    scored = score_daily(series(values))
    assert not scored["is_anomaly"].any()
    assert scored.iloc[1]["reason"].endswith("a monthly run.")
    first_time = np.where(pd.Timestamp("2026-11-10") == DAYS, 5000.0, 20.0)
    assert list(flagged(series(first_time))["day"]) == [pd.Timestamp("2026-11-10")]
    # A burst on another day of the month is not the job, and a whole week of them is no job either.
    burst = np.where(pd.Timestamp("2026-11-13") == DAYS, 4000.0, values)
    assert list(flagged(series(burst))["day"]) == [pd.Timestamp("2026-11-13")]
    week = np.where(np.arange(91) >= 84, 4000.0, values)
    assert len(flagged(series(week))) == 7


def test_a_shift_three_weeks_old_is_the_new_normal():
    for weeks, count in ((3, 0), (2, 7)):  # whole weeks at the new level, the judged one among them
        values = np.where(np.arange(91) < 91 - 7 * weeks, 1e8, 4e8)
        assert len(flagged(series(values, "bytes_returned"))) == count


def test_a_slow_ramp_is_found_and_named():
    values = np.random.default_rng(4).poisson(300, 91).astype(float)
    values[-21:] *= np.linspace(1, 3.5, 21)
    rows = flagged(series(values))
    assert len(rows) >= 5
    assert set(rows["kind"]) <= {"ramp", "steady"}


def test_an_office_app_awake_on_the_weekend():
    values = np.where(WEEKEND, 3.0, 60.0)
    values[-2:] = 20
    rows = flagged(series(values))
    assert list(rows["day"]) == list(DAYS[-2:])
    assert "off_hours" in set(rows["kind"])


def test_a_theft_in_its_second_week_does_not_excuse_itself():
    values = np.full(91, 1e8)
    values[-14:] = 4e8
    assert len(flagged(series(values, "bytes_returned"))) == 7


def test_a_holiday_of_the_whole_tenant_is_no_silence():
    apps = [np.full(91, 40.0 + number) for number in range(30)]
    for values in apps:
        values[-4] = 2
    daily = pd.concat([series(values, app_id=f"{number:02}") for number, values in enumerate(apps)])
    assert flagged(daily).empty
    # The app that alone stops on that very week is still found on the other days.
    stopped = np.full(91, 90.0)
    stopped[-7:] = 0
    rows = flagged(pd.concat([daily, series(stopped, app_id="stopped")]))
    assert set(rows["app_id"]) == {"stopped"}
    assert len(rows) >= 6


def test_an_idle_app_needs_a_large_step():
    values = np.zeros(91)
    values[-1] = 11
    assert flagged(series(values)).empty
    values[-1] = 4000
    assert len(flagged(series(values))) == 1
