"""One thing a finding asks for."""

from __future__ import annotations

from dataclasses import dataclass

from appgov_lib.actions.facts import OpenFinding


@dataclass(frozen=True)
class Ask:
    """One thing a finding asks for."""

    finding: OpenFinding
    action_type: str
    """One of `planner.ACTION_TYPES`."""
    target: str
    """Id of the grant, assignment, key or app to change."""
    scope: str = ""
    """The scope to cut, for a delegated grant."""
    safe: bool = False
    """No use of the target was seen although it would have been."""
    about: str = ""
    """Id of what the action is about where that is not the finding's app: a user, or the tenant."""
    beside: bool = False
    """It keeps the next one away and does not answer the finding."""
