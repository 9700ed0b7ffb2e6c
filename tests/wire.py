"""What of the bytes on their way to Graph is a request that may change a tenant."""

from __future__ import annotations

import re

_CHANGES = re.compile(rb"^(PATCH|PUT|DELETE) /\S* HTTP/1\.1\r\n")
_POSTS = re.compile(rb"^POST (/+(?:v1\.0|beta)/\S*) HTTP/1\.1\r\n")
_READING = re.compile(
    rb"/(?:(?:\$|%24)batch|security/(?:microsoft\.graph\.security\.)?runHuntingQuery|security/auditLog/queries)(?:\?.*)?$"
)
_PART = re.compile(rb'"method"\s*:\s*"(?!GET")')


def would_change(data: bytes) -> bool:
    """Whether bytes on their way to Graph are a request that may change a tenant."""
    post = _POSTS.match(data)
    if post and not _READING.search(post[1]):
        return True
    return bool(_CHANGES.match(data) or (post and b"batch" in post[1] and _PART.search(data)))
