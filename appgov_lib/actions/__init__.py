"""What to do about the findings: an ordered plan of exact requests, each with the one that undoes it.

Planning is separate from doing: `plan` reads findings and marts and writes the table `remediation_actions`. `check`
compares a plan with the tenant, `apply` carries it out, and `carry` is the one module that sends a change.
"""

from __future__ import annotations

from appgov_lib.actions.outcomes import write_outcomes
from appgov_lib.actions.planner import ACTION_TYPES, plan
from appgov_lib.actions.protected import protected_ids

__all__ = ["ACTION_TYPES", "plan", "protected_ids", "write_outcomes"]
