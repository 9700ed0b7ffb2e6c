"""Public labelled series, folded into the days the anomaly engine takes. None is daily, so this is a foreign test.

python tools/bench_public.py FOLDER     FOLDER holds msticpy/TimeSeriesDemo.csv and tsb_uad/*.csv

Hourly bytes become 24 series, one for each hour of the day, of one value a day. Series without a calendar are cut into
blocks, a block's value being the sum of the distances from the median, times a million (so that it counts as bytes).
Every seven blocks are judged by up to 84 blocks before them, and each such window counts as one app.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from bench_series import LAST, Floats
from numpy.typing import NDArray

from appgov_lib.anomalies import score_daily

WEEK, HISTORY, LEAST = 7, 84, 21


def windows(
    values: Floats, truth: NDArray[np.bool_], metric: str, name: str
) -> tuple[pd.DataFrame, set[tuple[str, pd.Timestamp]]]:
    """Windows of one series as apps, and their labelled days."""
    frames, labelled = [], set()
    for end in range(LEAST + WEEK, len(values) + 1, WEEK):
        start = max(end - WEEK - HISTORY, 0)
        days = pd.date_range(end=LAST, periods=end - start)
        app = f"{name}-{end:06}"
        frames.append(pd.DataFrame({"app_id": app, "metric": metric, "day": days, "value": values[start:end]}))
        labelled |= {(app, day) for day, hit in zip(days[-WEEK:], truth[end - WEEK : end], strict=True) if hit}
    return pd.concat(frames), labelled


def measured(name: str, parts: list[tuple[pd.DataFrame, set[tuple[str, pd.Timestamp]]]]) -> str:
    """One line of the table."""
    scored = score_daily(pd.concat([frame for frame, _ in parts]))
    truth = set().union(*(labelled for _, labelled in parts))
    found = set(zip(scored.loc[scored["is_anomaly"], "app_id"], scored.loc[scored["is_anomaly"], "day"], strict=True))
    right = len(found & truth)
    cells = [len(scored), len(truth), len(found), right]
    precision = f"{right / len(found):.2f}" if found else "-"
    return f"| {name} | {' | '.join(f'{cell:,}' for cell in cells)} | {precision} | {right / max(len(truth), 1):.2f} |"


def blocks(path: Path, size: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Block values and whether any point of the block is labelled."""
    table = pd.read_csv(path, header=None, names=["value", "label"])
    count = len(table) // size
    away = np.abs(table["value"] - table["value"].median()).to_numpy()[: count * size].reshape(count, size)
    labels = table["label"].to_numpy()[: count * size].reshape(count, size)
    return away.sum(axis=1) * 1e6, np.asarray(labels.any(axis=1))


def main() -> None:
    """Print the table."""
    folder = Path(sys.argv[1])
    print("| series | judged | labelled | flagged | right | precision | recall |\n|---|---:|---:|---:|---:|---:|---:|")
    hourly = pd.read_csv(folder / "msticpy" / "TimeSeriesDemo.csv", encoding="utf-8-sig")
    when = pd.to_datetime(hourly["TimeGenerated"])
    parts = []
    for hour in range(24):
        mine = hourly[when.dt.hour == hour]
        truth = (mine["anomalies"] != 0).to_numpy()
        parts.append(windows(mine["TotalBytesSent"].to_numpy(dtype=float), truth, "bytes", f"hour-{hour:02}"))
    print(measured("msticpy TimeSeriesDemo, 24 series of one hour", parts))
    for name, size in (("MBA_ECG805", 100), ("Symbols_2_0.02_5", 100)):
        values, truth = blocks(folder / "tsb_uad" / f"{name}.csv", size)
        print(measured(f"tsb_uad {name}, blocks of {size}", [windows(values, truth, "bytes", name)]))


if __name__ == "__main__":
    main()
