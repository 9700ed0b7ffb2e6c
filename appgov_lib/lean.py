"""Working without what is not needed.

`rfc3987_syntax` builds a grammar when it is imported: 2.5 seconds of processor time, in every notebook kernel, to
check internationalised web addresses in JSON schemas. nbformat brings it in through jsonschema, which does without
where it is absent; no notebook holds such an address.
"""

from __future__ import annotations

import gc
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


@contextmanager
def without_collector() -> Iterator[None]:
    """Let nobody look for rings of dead objects inside the block.

    The rows of a large tenant are millions of living objects, which the collector would walk through again and again.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
