"""Names of people, apps and places, and where each of them connects from. All addresses are documentation ranges."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources

import msgspec

from appgov_lib.sample import ids
from appgov_lib.sample.world import DOMAIN, INTERNAL, MANAGED, MICROSOFT, ONMICROSOFT, UNVERIFIED, VERIFIED, World

_encode = msgspec.json.Encoder().encode
_NAMES: dict[str, list[str]] = tomllib.loads(resources.files(__package__).joinpath("names.toml").read_text("utf-8"))
_FIRST, _LAST, _VENDORS = _NAMES["first_names"], _NAMES["last_names"], _NAMES["vendors"]
_HEADS, _TAILS, _PRODUCTS = _NAMES["internal_heads"], _NAMES["internal_tails"], _NAMES["products"]


@dataclass(frozen=True)
class Place:
    """A city as sign-in records describe it."""

    country: str
    city: str
    state: str
    latitude: float
    longitude: float
    asn: int

    @property
    def json(self) -> str:
        """The `location` object of a sign-in."""
        return (
            f'{{"city":"{self.city}","state":"{self.state}","countryOrRegion":"{self.country}",'
            f'"geoCoordinates":{{"altitude":null,"latitude":{self.latitude},"longitude":{self.longitude}}}}}'
        )


PLACES = (
    Place("IE", "Dublin", "Dublin", 53.34, -6.26, 64496),
    Place("IE", "Cork", "Cork", 51.89, -8.47, 64496),
    Place("GB", "London", "England", 51.5, -0.12, 64497),
    Place("DE", "Berlin", "Berlin", 52.52, 13.4, 64498),
    Place("FR", "Paris", "Ile-de-France", 48.85, 2.35, 64499),
    Place("US", "Boston", "Massachusetts", 42.36, -71.05, 64500),
    Place("NG", "Lagos", "Lagos", 6.45, 3.39, 64501),
    Place("MD", "Chisinau", "Chisinau", 47.01, 28.86, 64502),
)
_BY_COUNTRY = {place.country: place for place in reversed(PLACES)}


def quoted(text: str | None) -> str:
    """Text as a JSON string, or null."""
    return "null" if text is None else _encode(text).decode()


class People:
    """Names and addresses for a world."""

    def __init__(self, world: World) -> None:
        """Remember the world; nothing is made in advance."""
        self.world = world
        self._tenants: dict[str, str] = {}

    def user_name(self, user: int) -> str:
        """Display name of a user; one of them is hostile."""
        if user == 13:
            return "<b>Bobby</b> =1+1 | Tables"
        return f"{_FIRST[user % len(_FIRST)]} {_LAST[user // len(_FIRST) % len(_LAST)]}"

    def is_guest(self, user: int) -> bool:
        """Whether the user is a guest (one in twenty)."""
        return user % 20 == 19

    def is_enabled(self, user: int) -> bool:
        """Whether the account is enabled (all but one in twenty-five)."""
        return user % 25 != 24

    def principal_name(self, user: int) -> str:
        """User principal name, unique by its number."""
        first = _FIRST[user % len(_FIRST)].lower()
        last = _LAST[user // len(_FIRST) % len(_LAST)].lower()
        plain = f"{first}.{last}".translate(_ASCII)
        if self.is_guest(user):
            return f"{plain}{user}_partner.example#EXT#@{ONMICROSOFT}"
        return f"{plain}{user}@{DOMAIN}"

    def user_place(self, user: int) -> Place:
        """Where a user works."""
        return PLACES[(0, 0, 1, 2, 0, 3, 0, 4)[user % 8]]

    def user_address(self, user: int) -> str:
        """The address a user connects from (one in eleven by IPv6)."""
        if user % 11 == 5:
            return f"2001:db8:{user // 250:x}::{user % 250 + 1:x}"
        return f"203.0.113.{user % 250 + 1}"

    def app_place(self, index: int, address: str = "") -> Place:
        """Where an app that signs in as itself runs, or the intruder sits whose `address` it is."""
        member = self.world.member(index)
        if member and member.intruder and address in {self.intruder_address(index, 0), self.intruder_address(index, 1)}:
            return _BY_COUNTRY[member.intruder.country]
        if member:
            return _BY_COUNTRY[member.country]
        return PLACES[(0, 0, 2, 3)[index % 4]]

    def app_address(self, index: int, turn: int) -> str:
        """One of the app's two addresses."""
        network = "192.0.2" if self.app_place(index).country in ("NG", "MD") else "198.51.100"
        return f"{network}.{(index * 2 + turn % 2) % 250 + 1}"

    def intruder_address(self, index: int, turn: int) -> str:
        """One of the two addresses of somebody who uses the app beside its owner."""
        return f"192.0.2.{(index * 2 + turn % 2) % 250 + 1}"

    def vendor(self, index: int) -> str:
        """Name of the publisher of an external app."""
        return _VENDORS[index * 7 % len(_VENDORS)]

    def vendor_tenant(self, index: int) -> str:
        """Tenant id of the publisher of an external app."""
        vendor = self.vendor(index)
        if vendor not in self._tenants:
            self._tenants[vendor] = ids.guid(self.world.seed, "vendor tenant", vendor)
        return self._tenants[vendor]

    def app_name(self, index: int) -> str | None:
        """Display name of a service principal; None for the one that has none."""
        world = self.world
        kind = world.kind[index]
        if kind == MICROSOFT:
            return world.microsoft[index][1]
        member = world.member(index)
        if member:
            return member.name
        if kind == MANAGED:
            stage = ("prod", "test", "dev")[index % 3]
            return f"mi-{_HEADS[index % len(_HEADS)].lower()}-{stage}-{index}"
        if kind == INTERNAL:
            head = _HEADS[index % len(_HEADS)]
            return f"{head} {_TAILS[index // len(_HEADS) % len(_TAILS)]} {index}"
        if kind in (VERIFIED, UNVERIFIED):
            return f"{self.vendor(index)} {_PRODUCTS[index % len(_PRODUCTS)]}"
        return f"App {index}"


_ASCII = str.maketrans(
    {"ü": "ue", "í": "i", "á": "a", "é": "e", "ë": "e", "ö": "o", "ø": "o", "è": "e", "ñ": "n", " ": "", "ó": "o"}
)
