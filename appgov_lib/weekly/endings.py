"""When the credential that signs in ends: told for a month before, without asking the tenant anything.

A certificate says its own end. Of secrets the tenant's list of credentials in the warehouse does, by the id of the app
that signs in; which of several secrets is in use nobody can tell, so the one that lasts longest counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from appgov_lib.errors import UserError
from appgov_lib.settings import Settings, is_loopback

AHEAD = timedelta(days=30)
"""How long before its end a credential is spoken of."""


def endings(settings: Settings, now: datetime, env: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """A sentence about a credential that has ended at `now` (naive UTC), or will within `AHEAD`; else none.

    What cannot be read says nothing: the sign-in itself tells of that.
    """
    if is_loopback(settings.endpoint) and not settings.profile.credential.client_id:
        return ()
    try:
        env = settings.profile.credential.environment(env)
    except UserError:
        return ()
    app_id, path = env.get("AZURE_CLIENT_ID", ""), env.get("AZURE_CLIENT_CERTIFICATE_PATH", "")
    credential = settings.profile.credential
    way = settings.sign_in
    if way == "default":
        way = "secret" if env.get("AZURE_CLIENT_SECRET") else "certificate" if path else ""
    if way == "certificate" and path:
        ends, what, place = _of_file(Path(path), env.get("AZURE_CLIENT_CERTIFICATE_PASSWORD", "")), "certificate", path
    elif way == "secret" and app_id:
        ends, what = _of_secrets(settings, app_id), "client secret"
        place = credential.client_secret_env or "AZURE_CLIENT_SECRET"
    else:
        return ()
    if ends is None or ends > now + AHEAD:
        return ()
    verb = "has ended" if ends <= now else "ends"
    return (
        f"The {what} that appgov signs in with {verb} on {ends:%Y-%m-%d}; make a new one, add it to the app "
        f"{app_id or 'registration'} and put it into {place}.",
    )


def _of_file(path: Path, password: str) -> datetime | None:
    """The end of the certificate in a PEM or PKCS#12 file."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import pkcs12

    with suppress(OSError, ValueError, TypeError):
        content = path.read_bytes()
        if b"-----BEGIN CERTIFICATE-----" in content:
            found = x509.load_pem_x509_certificate(content)
        else:
            both = pkcs12.load_key_and_certificates(content, password.encode() or None)
            if both[1] is None:
                return None
            found = both[1]
        return found.not_valid_after_utc.replace(tzinfo=None)
    return None


def _of_secrets(settings: Settings, app_id: str) -> datetime | None:
    """The end of the secret of an app that lasts longest, as the current warehouse has it."""
    import duckdb

    from appgov_lib.store.warehouse import current_path, open_read_only

    query = "SELECT max(ends_at) FROM app_credentials WHERE app_id = ? AND credential_type = 'secret'"
    with suppress(UserError, duckdb.Error):
        con = open_read_only(current_path(settings))
        try:
            row = con.execute(query, [app_id.lower()]).fetchone()
        finally:
            con.close()
        return row[0] if row else None
    return None
