"""`python clocked.py 2026-11-16T05:17:00 weekly ...` is `appgov weekly ...` on a machine whose clock says that."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta

import appgov_lib.cli
from appgov_lib.__main__ import main

if __name__ == "__main__":
    began, start = time.monotonic(), datetime.fromisoformat(sys.argv[1])
    appgov_lib.cli._now = lambda: start + timedelta(seconds=round(time.monotonic() - began))
    main(sys.argv[2:])
