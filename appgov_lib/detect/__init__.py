"""Policies over the warehouse: what holds now, what could not be judged, and how that compares with earlier runs."""

from __future__ import annotations

from appgov_lib.detect.coverage import SkippedCheck, SkipReason
from appgov_lib.detect.ledger import Finding
from appgov_lib.detect.policy import SEVERITIES, Policy, load_policies, policies_table
from appgov_lib.detect.run import DetectResult, run, test_policy

__all__ = [
    "SEVERITIES",
    "DetectResult",
    "Finding",
    "Policy",
    "SkipReason",
    "SkippedCheck",
    "load_policies",
    "policies_table",
    "run",
    "test_policy",
]
