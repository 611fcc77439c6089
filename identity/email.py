"""PURE: the normal form of an e-mail address, when two of them are the same, and what is wrong with what is none.

Trimmed, ASCII letters lower-cased, the domain as IDNA A-labels. No Unicode case folding and no compatibility
folding: they would let a look-alike (Cyrillic а, full-width letters, ſ) reach a real person.
"""

from __future__ import annotations

import re
import string
from typing import Final

import idna

MAX_LENGTH: Final = 320  # 64 for the local part, @, 255 for the domain (RFC 5321 section 4.5.3.1)
MAX_LOCAL: Final = 64
MAX_DOMAIN: Final = 255
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_BLANKS = " \t\r\n\f\v\u00a0"
_QUOTED: Final = re.compile(r'"[^"@]*"')
_NAMED: Final = re.compile(r'"[^"]*"\s')


def normal_form(address: str) -> str:
    """The form two spellings of one address share; total: what is no e-mail comes back trimmed and lower-cased."""
    trimmed = address.strip(_BLANKS).translate(_LOWER)
    local, at, domain = trimmed.rpartition("@")
    if not at or domain.isascii():
        return trimmed
    try:
        return f"{local}@{idna.encode(domain).decode('ascii')}"
    except idna.IDNAError:
        return trimmed


def looks_valid(normal: str) -> bool:
    """Whether a normal form can belong to anybody."""
    return email_problem(normal) is None


def email_problem(normal: str) -> str | None:
    """What is wrong with a normal form that can belong to nobody, and what to do; None when it is an address."""
    return _in_its_characters(normal) or _in_its_form(normal) or _in_its_parts(normal)


def _in_its_characters(normal: str) -> str | None:
    if not normal:
        return "The identity is empty: give an e-mail address."
    if len(normal) > MAX_LENGTH:
        return f"The identity is longer than {MAX_LENGTH} characters: no e-mail address is."
    hidden = next((each for each in normal if not each.isprintable() and not each.isspace()), None)
    if hidden is not None:
        return f"The identity holds an invisible character (U+{ord(hidden):04X}): remove it."
    return None


def _in_its_form(normal: str) -> str | None:
    """Forms that hold addresses and are none."""
    has_address, has_blank = "@" in normal, any(each.isspace() for each in normal)
    if normal.startswith("mailto:"):
        return "The identity is a link: give the address without mailto:."
    if has_address and ("<" in normal or ">" in normal or _NAMED.match(normal)):
        return "The identity holds a display name: give the address alone, without name, quotes and <>."
    unquoted = _QUOTED.sub("", normal)
    if has_address and ("," in unquoted or ";" in unquoted or (has_blank and normal.count("@") > 1)):
        return "The identity is a list: give each address as an identity of its own."
    if has_blank:
        return "The identity holds a blank: an e-mail address has none."
    return None


def _in_its_parts(normal: str) -> str | None:
    local, at, domain = normal.rpartition("@")
    if not at:
        return "The identity holds no @: give an e-mail address."
    if "@" in local:
        return "The identity holds more than one @: give one e-mail address."
    if not local or not domain:
        return "The identity lacks the part before or after the @: give a whole e-mail address."
    if len(local) > MAX_LOCAL:
        return f"The part before the @ is longer than {MAX_LOCAL} characters: no e-mail address has that."
    if len(domain) > MAX_DOMAIN:
        return f"The domain is longer than {MAX_DOMAIN} characters: no e-mail address has that."
    if not domain.isascii():
        return "The domain is no valid internationalised name: write it in small letters, or as xn--…."
    return None
