"""x"""

from __future__ import annotations

import numpy as np
import pandas as pd

from appgov_lib.anomalies import baseline, common, judgement, noise
from appgov_lib.anomalies.budget import select
from appgov_lib.anomalies.grid import lay_out

OUTPUT_TYPES = {}


def score_daily(daily, kinds=None, *, test_days=7, history_weeks=12, false_discovery_rate=0.05):
    grid = lay_out(daily, test_days, history_weeks)
    base = baseline.fit(grid)
    expected = base.expected(grid)
    spread = noise.dispersion(grid, expected, base)
    score = noise.scores(grid, expected, spread)
    group = common.rhythms(grid, base)
    shared = common.find(grid, group, expected, score)
    left_out = (shared.fell & (score < 0)) | (shared.rose & (score > 0))
    measured = noise.measure(grid, base, score, spread, left_out)
    judgeable = base.days >= baseline.OWN_DAYS
    j = judgement.judge(grid, base, measured, shared, expected, judgeable)
    p_day = np.where(j.day_is_news | np.isnan(j.p_day), j.p_day, 1.0)
    p_week = np.stack([j.p_test[t] for t in judgement.TESTS], axis=1)
    by_day, by_week = select(grid.app, p_day, p_week, false_discovery_rate)
    flag = by_day.copy()
    for n, t in enumerate(judgement.TESTS):
        flag |= by_week[:, n][:, None] & j.joins[t]
    s, d = np.nonzero(np.isfinite(j.observed))
    out = pd.DataFrame({"app_id": np.array(grid.apps.to_pylist())[grid.app[s]], "metric": np.array(grid.metrics.to_pylist())[grid.metric[s]],
        "day": (grid.last_day - grid.test_ages[d]).astype("datetime64[us]")})
    for n in ("observed","expected","lower","upper","score","p_day"): out[n] = getattr(j,n)[s,d]
    for n in judgement.TESTS: out[n] = j.p_test[n][s]
    out["is_anomaly"] = flag[s, d]
    for n in ("up","down","wander","dispersion"): out[n]=getattr(measured,n)[s]
    return out
