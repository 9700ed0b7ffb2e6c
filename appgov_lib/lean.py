"""Importing without what is not needed.

`rfc3987_syntax` builds a grammar when it is imported: 2.5 seconds of processor time, in every notebook kernel, to
check internationalised web addresses in JSON schemas. nbformat brings it in through jsonschema, which does without
where it is absent; no notebook holds such an address.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

SLOW = "rfc3987_syntax"


@contextmanager
def without_slow_grammar() -> Iterator[None]:
    """Let imports inside the block take `rfc3987_syntax` for absent, unless it was imported before."""
    absent = SLOW not in sys.modules
    if absent:
        sys.modules[SLOW] = None  # type: ignore[assignment]  # what Python takes as "cannot be imported"
    try:
        yield
    finally:
        if absent:
            del sys.modules[SLOW]
