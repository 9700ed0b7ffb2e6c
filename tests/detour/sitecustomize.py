"""On PYTHONPATH, every process of a run signs in through azure-identity itself, led to a sign-in service on loopback.

`LOGIN_PORT` names the service. A loopback Graph takes a ready token alone; here it has to be signed in to as any other.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

if os.environ.get("LOGIN_PORT") and any("clocked.py" in word or "appgov_lib" in word for word in sys.orig_argv):
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    import azure.identity.aio
    from login import Detour, Login

    from appgov_lib.extract import credentials

    def _led(real: Any) -> Any:
        """The same credential over the other transport."""
        return lambda *a, **k: real(*a, transport=Detour(Login(int(os.environ["LOGIN_PORT"]))), **k)

    for _name in ("ClientSecretCredential", "CertificateCredential"):
        setattr(azure.identity.aio, _name, _led(getattr(azure.identity.aio, _name)))
    credentials.is_loopback = lambda _: False  # type: ignore[assignment]
