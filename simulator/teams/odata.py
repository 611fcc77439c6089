"""The `$filter` language of Microsoft Graph, as far as directory look-ups need it.

Grammar (OData 4, "URL conventions"): or < and < not < comparison, `in`, `any`, functions. Limits: at most 15 clauses in
an OR, and in an `in`; values of at most 120 characters; `ne`, `not` and `endsWith` only as advanced queries (Microsoft
Graph, "Advanced query capabilities on directory objects" and "Known issues: query parameters").
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from simulator.teams.errors import GraphError, bad_request, unsupported_query
from simulator.teams.limits import FILTER_VALUE_LENGTH, OR_CLAUSES

Value = str | bool | None


@dataclass(frozen=True, slots=True)
class Compare:
    """`field op value`, or `field/any(x:x op value)` when `any_of` is set. op: eq, ne, startswith, endswith."""

    field: str
    op: str
    value: Value
    any_of: bool = False


@dataclass(frozen=True, slots=True)
class In:
    """`field in (values)`."""

    field: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of the clauses."""

    clauses: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class And:
    """All of the clauses."""

    clauses: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The clause does not hold."""

    clause: "Node"


Node = Compare | In | Or | And | Not

_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|([A-Za-z_][\w./]*)|([(),:]))")
_FUNCTIONS = ("startswith", "endswith")


def parse(text: str) -> Node:
    """The tree of a filter; Graph's 400 when it is not one."""
    parser = _Parser(_tokens(text))
    node = parser.disjunction()
    parser.end()
    return node


def fields(node: Node) -> set[str]:
    """Every property that the filter reads."""
    if isinstance(node, Compare | In):
        return {node.field}
    if isinstance(node, Not):
        return fields(node.clause)
    return set().union(*(fields(clause) for clause in node.clauses))


def is_advanced(node: Node) -> bool:
    """Whether the filter needs `ConsistencyLevel: eventual` and `$count=true`."""
    if isinstance(node, Compare):
        return node.op in ("ne", "endswith")
    if isinstance(node, In):
        return False
    return isinstance(node, Not) or any(is_advanced(clause) for clause in node.clauses)


def check_limits(node: Node) -> None:
    """Refuse what the directory finds too large."""
    if isinstance(node, Compare | In):
        _check_values(node)
        return
    if isinstance(node, Not):
        check_limits(node.clause)
        return
    if isinstance(node, Or) and _clauses(node) > OR_CLAUSES:
        raise unsupported_query(
            "Too many child clauses specified in search filter expression containing 'OR' operators: "
            f"{_clauses(node)}. Max allowed: {OR_CLAUSES}."
        )
    for clause in node.clauses:
        check_limits(clause)


def _clauses(node: Or) -> int:
    return sum(len(clause.values) if isinstance(clause, In) else 1 for clause in node.clauses)


def _check_values(node: Compare | In) -> None:
    values = node.values if isinstance(node, In) else (node.value,)
    if len(values) > OR_CLAUSES:
        raise unsupported_query(
            "Too many child clauses specified in search filter expression containing 'OR' operators: "
            f"{len(values)}. Max allowed: {OR_CLAUSES}."
        )
    if any(isinstance(value, str) and len(value) > FILTER_VALUE_LENGTH for value in values):
        raise unsupported_query(f"A filter value is longer than {FILTER_VALUE_LENGTH} characters.")


Read = Callable[[str], object]


def holds(node: Node, read: Read) -> bool:
    """Whether the filter is true of an object whose properties `read` gives; text is compared without case."""
    if isinstance(node, Or):
        return any(holds(clause, read) for clause in node.clauses)
    if isinstance(node, And):
        return all(holds(clause, read) for clause in node.clauses)
    if isinstance(node, Not):
        return not holds(node.clause, read)
    actual = read(node.field)
    if isinstance(node, In):
        return any(_test("eq", actual, value) for value in node.values)
    if node.any_of:
        return isinstance(actual, list | tuple) and any(_test(node.op, each, node.value) for each in actual)
    return _test(node.op, actual, node.value)


def _test(op: str, actual: object, value: Value) -> bool:
    if isinstance(actual, str) and isinstance(value, str):
        left, right = actual.lower(), value.lower()
        if op == "startswith":
            return left.startswith(right)
        if op == "endswith":
            return left.endswith(right)
        return (left == right) == (op == "eq")
    return op in ("eq", "ne") and (actual == value) == (op == "eq")


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise _syntax(f"Syntax error at position {position} in '{text}'.")
        found.append(match.group().strip())
        position = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._position = 0

    def disjunction(self) -> Node:
        clauses = [self._conjunction()]
        while self._accept("or"):
            clauses.append(self._conjunction())
        return _flat(Or, clauses)

    def end(self) -> None:
        if self._peek():
            raise _syntax(f"Unexpected '{self._peek()}' in the filter.")

    def _conjunction(self) -> Node:
        clauses = [self._term()]
        while self._accept("and"):
            clauses.append(self._term())
        return _flat(And, clauses)

    def _term(self) -> Node:
        if self._accept("not"):
            return Not(self._term())
        if self._accept("("):
            node = self.disjunction()
            self._expect(")")
            return node
        name = self._name()
        if name.lower() in _FUNCTIONS:
            return self._function(name.lower(), any_of=False)
        if name.endswith("/any"):
            return self._any(name.removesuffix("/any"))
        return self._comparison(name)

    def _comparison(self, field: str) -> Node:
        if self._accept("in"):
            return In(field, self._list())
        op = self._name()
        if op not in ("eq", "ne"):
            raise _syntax(f"The operator '{op}' is not supported on '{field}'.")
        return Compare(field, op, self._value())

    def _function(self, function: str, any_of: bool, field: str = "") -> Compare:
        self._expect("(")
        name = self._name()
        self._expect(",")
        value = self._value()
        self._expect(")")
        return Compare(field or name, function, value, any_of)

    def _any(self, field: str) -> Compare:
        self._expect("(")
        variable = self._name()
        self._expect(":")
        name = self._name()
        if name.lower() in _FUNCTIONS:
            found = self._function(name.lower(), any_of=True, field=field)
        else:
            op = self._name()
            if name != variable or op not in ("eq", "ne"):
                raise _syntax(f"Invalid expression inside '{field}/any'.")
            found = Compare(field, op, self._value(), any_of=True)
        self._expect(")")
        return found

    def _list(self) -> tuple[Value, ...]:
        self._expect("(")
        values = [self._value()]
        while self._accept(","):
            values.append(self._value())
        self._expect(")")
        return tuple(values)

    def _value(self) -> Value:
        token = self._next()
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if token in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[token]
        raise _syntax(f"'{token}' is not a value.")

    def _name(self) -> str:
        token = self._next()
        if not token[0].isalpha() and token[0] != "_":
            raise _syntax(f"Unexpected '{token}' in the filter.")
        return token

    def _peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise _syntax("The filter ends too early.")
        self._position += 1
        return token

    def _accept(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._position += 1
        return True

    def _expect(self, token: str) -> None:
        if not self._accept(token):
            raise _syntax(f"'{token}' is missing in the filter.")


def _flat(kind: type[Or] | type[And], clauses: list[Node]) -> Node:
    """One node for a chain, also across brackets, because that is how the directory counts its clauses."""
    if len(clauses) == 1:
        return clauses[0]
    flat: list[Node] = []
    for clause in clauses:
        flat.extend(clause.clauses if isinstance(clause, kind) else (clause,))
    return kind(tuple(flat))


def _syntax(message: str) -> GraphError:
    return bad_request(f"Invalid filter clause: {message}", "BadRequest")
