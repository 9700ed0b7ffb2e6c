"""Policies over the warehouse: what holds now, what could not be judged, and how that compares with earlier runs."""

from __future__ import annotations

from appgov_lib.detect.coverage import SkippedCheck, SkipReason
from appgov_lib.detect.ledger import Finding
from appgov_lib.detect.policy import SEVERITIES, Policy, load_policies, policies_table, policy_named
from appgov_lib.detect.run import DetectResult, findings_of, run, test_policy, user_folder

__all__ = [
    "SEVERITIES",
    "DetectResult",
    "Finding",
    "Policy",
    "SkipReason",
    "SkippedCheck",
    "findings_of",
    "load_policies",
    "policies_table",
    "policy_named",
    "run",
    "test_policy",
    "user_folder",
]
