"""Pictures: a table in, a plotly figure out.

Every figure carries, beside its marks, a stable id, a caption that states the message in numbers, and the table
behind it (`layout.meta`), so that report pages can show all three. At most four series; labels stand on the
marks. Days without data are gaps, never zero. No chart reads a database.
"""

from appgov_lib.charts.bars import privilege_bars, severity_strip, top_bars, usage_bars
from appgov_lib.charts.daily import anomaly, daily_lines, service_bars
from appgov_lib.charts.figure import label
from appgov_lib.charts.hours import week_hours
from appgov_lib.charts.monthly import monthly_bars
from appgov_lib.charts.weeks import weekly_findings

__all__ = [
    "anomaly",
    "daily_lines",
    "label",
    "monthly_bars",
    "privilege_bars",
    "service_bars",
    "severity_strip",
    "top_bars",
    "usage_bars",
    "week_hours",
    "weekly_findings",
]
