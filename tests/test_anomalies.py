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
    assert set(scored["history_days"]) == {8}


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
    # 100 a day for 84 days, 100 again: expected 100; residuals are 0, so the over-dispersion is at its floor 1 and the
    # variance is (1 + 1.57 / 8) x (100 + 1) = 1.19625 x 101 = 120.82.
    values = np.full(91, 100.0)
    values[-1] = 140
    row = score_daily(series(values)).iloc[-1]
    variance = (1 + 1.57 / 8) * 101
    shape, chance = 100**2 / (variance - 100), 100 / variance
    assert row["expected"] == pytest.approx(100)
    assert row["upper"] == stats.nbinom.isf(0.005, shape, chance) == 130
    assert row["lower"] == stats.nbinom.ppf(0.005, shape, chance) == 73
    # Mid-p of 140 or more, as a normal score, then the t tail of 0.37 x 24 weekend days.
    above = stats.nbinom.sf(140, shape, chance) + stats.nbinom.pmf(140, shape, chance) / 2
    assert row["score"] == pytest.approx(stats.norm.isf(above))
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(row["score"], 0.37 * 24))
    assert not row["is_anomaly"]  # not twice the expected value


def test_byte_numbers():
    # Steady bytes have the floor scale 0.25, widened for a median of 8: 0.25 x sqrt(1.19625) = 0.27343.
    values = np.full(91, 1e6)
    values[-2] = 4e6
    row = score_daily(series(values, "bytes_returned")).iloc[-2]
    spread = 0.25 * math.sqrt(1 + 1.57 / 8)
    assert row["expected"] == pytest.approx(1e6)
    assert row["score"] == pytest.approx((math.log1p(4e6) - math.log1p(1e6)) / spread)  # log 4 / 0.27343 = 5.07
    reach = stats.t.isf(0.005, 0.37 * 24) * spread
    assert row["upper"] == pytest.approx(math.expm1(math.log1p(1e6) + reach))
    assert row["lower"] == pytest.approx(math.expm1(math.log1p(1e6) - reach))
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(row["score"], 0.37 * 24))


def test_byte_noise_is_the_median_deviation():
    # Weeks alternate between e^0.4 above and below 1 MB: the median of four and four is 1 MB, every residual 0.4, and
    # two weeks six apart agree, so there is no trend. Scale = 1.4826 x 0.4 x sqrt(8 / 7) x sqrt(1 + 1.57 / 8) = 0.6934.
    week = np.arange(90, -1, -1) // 7
    values = np.expm1(np.log(1e6) + np.where(week == 0, 2.0, np.where(week % 2 == 0, 0.4, -0.4)))
    row = score_daily(series(values, "bytes_returned")).iloc[0]
    assert row["score"] == pytest.approx(2.0 / 0.6934, rel=1e-3)
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(2.0 / 0.6934, 0.37 * 60), rel=1e-2)  # a Monday


def test_count_noise_is_the_over_dispersion():
    # Weeks alternate between 49 and 199. In log1p the middle is sqrt(50 x 200) = 100, so 99 is expected; the residuals
    # are (49 - 99) / sqrt(100) = -5 and 10, their median size 7.5. Scale = 1.4826 x 7.5 x sqrt(8 / 7) x sqrt(1.19625)
    # = 13.0018, variance = 13.0018^2 x 100 = 16,904.7.
    week = np.arange(90, -1, -1) // 7
    row = score_daily(series(np.where(week == 0, 700, np.where(week % 2 == 0, 49, 199)))).iloc[0]
    variance = (1.4826 * 7.5) ** 2 * (8 / 7) * (1 + 1.57 / 8) * 100
    assert row["expected"] == pytest.approx(99)
    assert row["upper"] == stats.nbinom.isf(0.005, 99**2 / (variance - 99), 99 / variance)
    assert variance == pytest.approx(16_904.7, rel=1e-4)


def test_week_number():
    # Each day twice the expected bytes: score log 2 / 0.27343 = 2.535 on seven days; a mean of seven independent days,
    # with a tenth for the uncertain level, varies by 1.1 / sqrt(7) = 0.41576; 2.535 / 0.41576 = 6.097.
    values = np.full(91, 1e6)
    values[-7:] = 2e6 + 1
    rows = score_daily(series(values, "bytes_returned"))
    assert rows["week_p_value"].to_numpy() == pytest.approx(np.full(7, 2 * stats.t.sf(6.097, 0.37 * 60)), rel=1e-2)
    assert rows["is_anomaly"].all()


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


@pytest.mark.parametrize(
    ("days", "judged", "points"),
    [
        (7 + 28, 7, {4}),  # four of each weekday
        (7 + 21, 7, {15, 6}),  # three of each: the 15 weekdays together, the 6 weekend days together
        (7 + 14, 5, {10, 0}),  # 10 weekdays are enough, 4 weekend days are not
        (7 + 7, 0, {0}),
        (7, 0, {0}),
        (1, 0, {0}),
    ],
)
def test_short_history(days: int, judged: int, points: set[int]):
    scored = score_daily(series(50, days=DAYS[-days:]))
    known = scored["p_value"].notna()
    assert known.sum() == judged
    assert set(scored.loc[~known, "reason"]) <= {"history too short"}
    assert not scored.loc[~known, "is_anomaly"].any()
    assert scored.loc[~known, ["expected", "lower", "upper", "score", "p_value"]].isna().all(axis=None)
    assert set(scored["history_days"]) == points


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
    # A week needs ten more a day on average: 7 x (9 - 4) = 35 is too little, 7 x (16 - 4) = 84 is not.
    for today, count in ((9, 0), (16, 7)):
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
    assert flagged(series(values)).empty
    # Older than two weeks there are ten weeks of history; two of them hold such a day.
    assert score_daily(series(values)).iloc[1]["p_value"] == pytest.approx(2 / 10)
    first_time = np.where(pd.Timestamp("2026-11-10") == DAYS, 5000.0, 20.0)
    assert list(flagged(series(first_time))["day"]) == [pd.Timestamp("2026-11-10")]


def test_a_week_that_came_before_is_no_news():
    week = np.arange(90, -1, -1) // 7
    for factor, count in ((2.0, 0), (0.5, 7)):  # two earlier weeks as high as this one; two as low instead
        values = np.where(week == 0, 2.2e6, np.where(np.isin(week, (5, 9)), factor * 1e6, 1e6))
        assert len(flagged(series(values, "bytes_returned"))) == count


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
    values[-1] = 40
    assert flagged(series(values)).empty
    values[-1] = 4000
    assert len(flagged(series(values))) == 1
