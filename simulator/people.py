"""People made from a seed: the same seed always gives the same people, however many are asked for."""

import math
import random
from dataclasses import dataclass
from typing import Literal

UserType = Literal["member", "guest", "bot"]

_FIRST_WORDS = (
    "Ada Alan Amara Anita Barbara Carol Chen Claude Dana Dennis Edsger Elena Emmy Erik Fatima Frances Grace Hana "
    "Hedy Ines Ivan Jean John Joan Kaito Karen Katherine Ken Lena Leslie Lin Linus Mae Maria Margaret Mary Miguel "
    "Nadia Niklaus Noor Olga Omar Priya Radia Rafael Robin Rosa Ruth Sofia Sophie Tara Tim Tomas Uma Vera Wei Yuki Zoe"
)
_LAST_WORDS = (
    "Allen Babbage Backus Bartik Boole Borg Brooks Cerf Church Clarke Codd Curry Dijkstra Easley Engelbart Estrin "
    "Feinler Floyd Goldberg Gosling Hamilton Hejlsberg Hoare Holberton Hopper Iverson Jackson Johnson Kahn Kay Keller "
    "Kernighan Knuth Lamarr Lamport Liskov Lovelace McCarthy Meitner Moore Naur Noether Perlman Perlis Pike Ritchie "
    "Sammet Shannon Shaw Sutherland Tarjan Thompson Torvalds Turing Vaughan Wilkes Wing Wirth Yao Zuse"
)

FIRST_NAMES = _FIRST_WORDS.split()
LAST_NAMES = _LAST_WORDS.split()

GUEST_DOMAIN = "partner.example"


@dataclass(frozen=True, slots=True)
class Person:
    """One human (or bot) of a tenant or workspace."""

    index: int
    first: str
    last: str
    email: str
    upn: str
    user_type: UserType = "member"
    disabled: bool = False
    has_app: bool = True

    @property
    def name(self) -> str:
        """The name other people see."""
        return f"{self.first} {self.last}"


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of a population is special, each between 0 and 1.

    By default 1 % each are guests (97, 197, …), disabled (98, 198, …) and without the app (99, 199, …), so the first 97
    people are plain active members with the app.
    """

    guests: float = 0.01
    disabled: float = 0.01
    appless: float = 0.01
    bots: float = 0.0


PLAIN = Shares(guests=0, disabled=0, appless=0)


def generate(seed: int, count: int, domain: str, shares: Shares | None = None) -> list[Person]:
    """The first `count` people of this seed and domain; their e-mails are unique."""
    shares = shares or Shares()
    pick = random.Random(seed).random
    return [_person(index, pick(), pick(), domain, shares) for index in range(count)]


def _person(index: int, first_roll: float, last_roll: float, domain: str, shares: Shares) -> Person:
    first = FIRST_NAMES[int(first_roll * len(FIRST_NAMES))]
    last = LAST_NAMES[int(last_roll * len(LAST_NAMES))]
    local = f"{first}.{last}.{index}".lower()
    user_type = _user_type(index, shares)
    guest = user_type == "guest"
    return Person(
        index=index,
        first=first,
        last=last,
        email=f"{local}@{GUEST_DOMAIN if guest else domain}",
        upn=f"{local}_{GUEST_DOMAIN}#EXT#@{domain}" if guest else f"{local}@{domain}",
        user_type=user_type,
        disabled=_falls_on(index + 2, shares.disabled),
        has_app=not _falls_on(index + 1, shares.appless),
    )


def _user_type(index: int, shares: Shares) -> UserType:
    if _falls_on(index + 3, shares.guests):
        return "guest"
    return "bot" if _falls_on(index + 4, shares.bots) else "member"


def _falls_on(position: int, share: float) -> bool:
    """Whether an even spread of `share` puts one of its points on this position."""
    return share > 0 and math.floor(position * share + 1e-9) > math.floor((position - 1) * share + 1e-9)
