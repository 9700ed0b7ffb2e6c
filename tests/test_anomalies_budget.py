"""The alert budget, with p-values small enough to work through by hand."""

from __future__ import annotations

import numpy as np

from appgov_lib.anomalies.budget import select

NONE = np.array([[np.nan]])


def days(*rows: list[float]) -> np.ndarray:
    """p-values of day tests, one row a series."""
    return np.array(rows, dtype=float)


def test_one_app_without_a_week_test_is_simes():
    # Two tests 0.02 and 0.04: Simes = min(2 x 0.02 / 1, 2 x 0.04 / 2) = 0.04 <= 0.05; both steps are within 0.05.
    day, week = select(np.array([0]), days([0.02, 0.04]), NONE, 0.05)
    assert day.tolist() == [[True, True]]
    assert week.tolist() == [[False]]
    # 0.03 and 0.06: min(0.06, 0.06) > 0.05
    assert not select(np.array([0]), days([0.03, 0.06]), NONE, 0.05)[0].any()


def test_benjamini_hochberg_over_apps():
    # Simes per app = the single p-values 0.01, 0.02, 0.2, 0.9; limits 0.0125, 0.025, 0.0375, 0.05: the first two pass.
    apps = np.array([0, 1, 2, 3])
    chosen, _ = select(apps, days([0.01], [0.02], [0.2], [0.9]), np.full((4, 1), np.nan), 0.05)
    assert chosen[:, 0].tolist() == [True, True, False, False]
    # 0.02 alone among four apps would not: 0.02 > 0.0125.
    chosen, _ = select(apps, days([0.5], [0.02], [0.2], [0.9]), np.full((4, 1), np.nan), 0.05)
    assert not chosen.any()


def test_a_later_step_lifts_an_earlier_one():
    # 0.02 > 0.025 / 2 but 0.024 <= 0.05 x 2 / 2 x ... : with two apps the limits are 0.025 and 0.05, both pass at 0.04.
    chosen, _ = select(np.array([0, 1]), days([0.04], [0.045]), np.full((2, 1), np.nan), 0.05)
    assert chosen[:, 0].tolist() == [True, True]


def test_the_week_weighs_as_much_as_its_days():
    # Seven days and a week: weights (7 + 1) / 2 = 4 for the week, 8 / 14 = 4 / 7 for a day; eight tests.
    # Week p 0.02: Simes = 8 x (0.02 / 4) = 0.04 <= 0.05. The same p on one day: 8 x 0.02 x 7 / 4 = 0.28.
    ones = [1.0] * 7
    assert select(np.array([0]), days(ones), np.array([[0.02]]), 0.05)[1].tolist() == [[True]]
    assert not select(np.array([0]), days([0.02, *ones[1:]]), np.array([[1.0]]), 0.05)[0].any()
    # 0.003 on one day gives 0.042, 0.004 gives 0.056.
    assert select(np.array([0]), days([0.003, *ones[1:]]), np.array([[1.0]]), 0.05)[0].sum() == 1
    assert not select(np.array([0]), days([0.004, *ones[1:]]), np.array([[1.0]]), 0.05)[0].any()


def test_within_a_chosen_app_only_the_tests_that_count_are_flagged():
    # App a: 0.001 and 0.9; four tests of noise in b. Left for the second step: 0.05 x 1 / 2 = 0.025.
    day, _ = select(np.array([0, 1]), days([0.001, 0.9], [0.5, 0.6]), np.full((2, 1), np.nan), 0.05)
    assert day.tolist() == [[True, False], [False, False]]


def test_metrics_of_one_app_are_one_family():
    # Two series of app a with one test each: Simes = min(2 x 0.03, 2 x 0.9 / 2) = 0.06 > 0.05.
    day, _ = select(np.array([0, 0]), days([0.03], [0.9]), np.full((2, 1), np.nan), 0.05)
    assert not day.any()


def test_tests_that_were_not_made_do_not_count():
    # The NaN is no test: one test of 0.04 passes alone.
    day, _ = select(np.array([0]), days([0.04, np.nan]), NONE, 0.05)
    assert day.tolist() == [[True, False]]
    empty = select(np.array([0]), days([np.nan, np.nan]), NONE, 0.05)
    assert not empty[0].any()
