"""PURE: the normal form of an e-mail address, and when two of them are the same.

Trimmed, ASCII letters lower-cased, the domain as IDNA A-labels. No Unicode case folding and no compatibility
folding: they would let a look-alike (Cyrillic а, full-width letters, ſ) reach a real person.
"""

from __future__ import annotations

import string

import idna

MAX_LENGTH = 320  # 64 for the local part, @, 255 for the domain (RFC 5321 section 4.5.3.1)
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_BLANKS = " \t\r\n\f\v\u00a0"


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
    """Whether a normal form can belong to anybody: one @, both sides filled, no blanks or control characters."""
    local, at, domain = normal.rpartition("@")
    return (
        bool(at and local and domain)
        and len(normal) <= MAX_LENGTH
        and normal.isprintable()
        and not any(character.isspace() for character in normal)
        and "@" not in local
    )
