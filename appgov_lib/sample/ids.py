"""Identifiers and random choices that depend on a seed, a name and a counter only, so any one can be made alone."""

from __future__ import annotations

import base64
import hashlib

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def digest(seed: int, name: str, number: int | str = 0) -> bytes:
    """Sixteen bytes that look random: BLAKE2b over the three arguments."""
    return hashlib.blake2b(f"{seed}|{name}|{number}".encode(), digest_size=16).digest()


def pick(seed: int, name: str, number: int | str, choices: int) -> int:
    """A whole number in 0..choices-1 for the three arguments."""
    return int.from_bytes(digest(seed, name, number)[:8], "big") % choices


def guid_text(hexadecimal: str) -> str:
    """Thirty-two hexadecimal digits as a version-4 GUID."""
    h = hexadecimal
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"


def guid(seed: int, name: str, number: int | str = 0) -> str:
    """One GUID for the three arguments."""
    return guid_text(digest(seed, name, number).hex())


def opaque(seed: int, name: str, number: int | str = 0) -> str:
    """A case-sensitive base64url id, as grants and assignments have (43 characters)."""
    raw = digest(seed, name, number) + digest(seed, name + "+", number)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The splitmix64 finaliser (Steele, Lea and Flood 2014): a bijection on 64-bit words, used on counters."""
    with np.errstate(over="ignore"):
        z = values * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        return z ^ (z >> np.uint64(31))


def words(seed: int, name: str, start: int, count: int) -> NDArray[np.uint64]:
    """`count` 64-bit words number `start`... of the sequence that `seed` and `name` define."""
    base = np.uint64(int.from_bytes(digest(seed, name)[:8], "big"))
    with np.errstate(over="ignore"):
        return mix(base + np.arange(start, start + count, dtype=np.uint64))


def uniform(values: NDArray[np.uint64]) -> NDArray[np.float64]:
    """64-bit words as numbers in [0, 1)."""
    return (values >> np.uint64(11)).astype(np.float64) * 2.0**-53


def guids(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> list[str]:
    """One GUID for each pair of words."""
    digits = np.stack([first, second], axis=1).astype(">u8").tobytes().hex()
    return [
        f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
        for text in (digits[start : start + 32] for start in range(0, len(digits), 32))
    ]


class GuidColumn:
    """`count` GUIDs held as sixteen bytes each and spelled out when asked for."""

    def __init__(self, seed: int, name: str, count: int) -> None:
        """Make the bytes of all of them at once."""
        self._bytes = words(seed, name, 0, 2 * count).tobytes()
        self._count = count
        self._fixed: dict[int, str] = {}

    def __len__(self) -> int:
        """How many there are."""
        return self._count

    def __getitem__(self, number: int) -> str:
        """The GUID at `number`, lower case."""
        fixed = self._fixed.get(number)
        return fixed if fixed else guid_text(self._bytes[16 * number : 16 * number + 16].hex())

    def fix(self, number: int, value: str) -> None:
        """Give `number` a well-known GUID."""
        self._fixed[number] = value
