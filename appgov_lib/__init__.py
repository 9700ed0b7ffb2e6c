"""Open app governance for Microsoft 365: what OAuth apps are granted, use, move, and what to do about it.

The names an analyst needs in a notebook are here; everything else is a module of its own.
Imports are lazy so that `appgov --help` answers at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "anomalies", "changes", "connect"]

if TYPE_CHECKING:
    from appgov_lib import anomalies, changes
    from appgov_lib.store.warehouse import connect


def __getattr__(name: str) -> Any:
    """Import `connect`, `anomalies` and `changes` on first use (PEP 562)."""
    import importlib

    if name == "connect":
        return importlib.import_module("appgov_lib.store.warehouse").connect
    if name in {"anomalies", "changes"}:
        return importlib.import_module(f"appgov_lib.{name}")
    raise AttributeError(f"module 'appgov_lib' has no attribute {name!r}")
