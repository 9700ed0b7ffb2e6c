"""What to do about the findings: an ordered plan of exact requests, each with the one that undoes it.

Planning is separate from doing: `plan` reads findings and marts and writes the table `remediation_actions`;
nothing here sends a request.
"""

from __future__ import annotations

from appgov_lib.actions.planner import ACTION_TYPES, plan

__all__ = ["ACTION_TYPES", "plan"]
