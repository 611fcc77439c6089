"""PURE: each person's values for `{name}`, from a file: a table as spreadsheets save it (CSV), or a JSON object."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from notify.identities import comparable
from notify.placeholders import NAME

Values = Mapping[str, Mapping[str, Any]]
"""Values by identity, as the file spells it; what a JSON file holds is judged by the server."""

Found = tuple[str, str, Mapping[str, Any]]  # where it stands, whose values, the values

SEPARATORS = (";", "\t", ",")  # where decimals have a comma, spreadsheets write semicolons


class Pairs(list[tuple[str, Any]]):
    """The members of a JSON object, also where two have one name."""


class UnreadableError(ValueError):
    """The file cannot be understood; the message says where and what to do."""


def read_parameters(raw: bytes, identity_type: str) -> Values:
    """The values of a file: a JSON object, or a table whose first column is the identity. Raises UnreadableError."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableError('is not UTF-8: save it again, in a spreadsheet as "CSV UTF-8"') from None
    found = _object(text) if text.lstrip().startswith("{") else _table(text)
    seen: dict[str, str] = {}
    values: dict[str, Mapping[str, Any]] = {}
    for at, identity, its in found:
        form = comparable(identity_type, identity)
        if form in seen:
            raise UnreadableError(f"has {identity} in {at} and in {seen[form]}: keep one of them")
        seen[form], values[identity] = at, its
    return values


def of_people(values: Values, people: Sequence[str], identity_type: str) -> Values:
    """The values of these people, in any spelling. Raises UnreadableError for somebody who has none."""
    by_form = {comparable(identity_type, identity): identity for identity in values}
    missing = [each for each in people if comparable(identity_type, each) not in by_form]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UnreadableError(f"has nothing for {missing[0]}{more}: add them to it, or leave them out")
    chosen = [by_form[comparable(identity_type, each)] for each in people]
    return {identity: values[identity] for identity in chosen}


def _object(text: str) -> Iterator[Found]:
    try:
        pairs: Pairs = json.loads(text, object_pairs_hook=Pairs)
    except ValueError as error:
        raise UnreadableError(f"is not JSON: {error}") from error
    except RecursionError:
        raise UnreadableError("is nested too deeply: it holds an object of texts for each identity") from None
    for place, (identity, its) in enumerate(pairs, start=1):
        if not isinstance(its, Pairs):
            raise UnreadableError(f"must hold an object of texts for {identity}")
        yield f"member {place}", identity, dict(its)


def _table(text: str) -> Iterator[Found]:
    rows = _rows(text)
    first = next(rows, None)
    if first is None:
        raise UnreadableError("is empty: the first line names the columns, the first of which is the identity")
    names = _names([cell.strip() for cell in first[1][1:]])
    for line, (identity, *cells) in rows:
        if len(cells) != len(names):
            raise UnreadableError(f"line {line} has {len(cells) + 1} cells, and the first line {len(names) + 1}")
        if not identity.strip():
            raise UnreadableError(f"line {line} has no identity in its first column")
        yield f"line {line}", identity.strip(), dict(zip(names, cells, strict=True))


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold anything, each with the line it ends in."""
    first = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(SEPARATORS, key=first.count), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise UnreadableError(f"line {reader.line_num} is no CSV: {error}") from error


def _names(names: list[str]) -> list[str]:
    """The columns after the first, each of which `{name}` can mean."""
    for place, name in enumerate(names, start=2):
        if not NAME.fullmatch(f"{{{name}}}"):
            usable = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or f"value{place}"
            usable = f"_{usable}" if usable[0].isdigit() else usable
            raise UnreadableError(f'column {place} is called "{name}", which cannot stand in braces: call it {usable}')
        if names.index(name) + 2 != place:
            raise UnreadableError(f"column {place} is called {name} like another: rename one of them")
    return names
