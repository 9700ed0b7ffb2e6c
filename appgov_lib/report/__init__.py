"""The report: notebooks and facts to a folder of pages and files that opens from disk without a network."""

from appgov_lib.report.asked import Asked
from appgov_lib.report.build import ReportResult, build_report

__all__ = ["Asked", "ReportResult", "build_report"]
