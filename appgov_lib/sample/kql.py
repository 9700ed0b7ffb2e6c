"""Queries in the Kusto query language: a table, and operators behind pipes, as far as an extractor needs them.

`where`, `extend`, `project`, `project-away`, `distinct`, `summarize`, `count`, `take`, `limit`, `top`, `order by` are
understood; anything else is refused, as a mistake in a query is. Conditions on Timestamp in front become a window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from appgov_lib.sample.collections import read_time
from appgov_lib.sample.kql_functions import LONG, OBJECT, REAL, TIME, wrong
from appgov_lib.sample.kql_scalar import Evaluate, Node, Parser, tokens

Record = dict[str, Any]
Step = Callable[[list[Record]], list[Record]]
Fold = Callable[[list[Record]], Any]
_STEP = timedelta(microseconds=1)


@dataclass
class Plan:
    """A parsed query: a window, half open; tests of the table's own rows; what to show, or the steps to it."""

    table: str
    low: datetime
    high: datetime
    tests: list[Node] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    """Columns shown of the table's own rows, in their order."""
    schema: dict[str, str] = field(default_factory=dict)
    """Columns of the answer with their types."""
    limit: int | None = None
    steps: list[Step] = field(default_factory=list)
    """Operators behind the tests, if there are any besides a choice of columns and a limit."""
    needed: set[str] = field(default_factory=set)
    """Columns of the table that tests and steps read."""
    latest: tuple[str, str] | None = None
    """(time, key): the first step keeps the row with the greatest `time` of each `key`, all columns of it."""


def parse(text: str, tables: Mapping[str, Mapping[str, str]], low: datetime, high: datetime) -> Plan:
    """Read a query over tables given as columns and types. Raises GraphError 400 for what is not understood."""
    parts: list[list[tuple[str, str]]] = [[]]
    for token in tokens(text):
        if token[1] == "|":
            parts.append([])
        else:
            parts[-1].append(token)
    name = parts[0][0][1] if len(parts[0]) == 1 else " ".join(item for _, item in parts[0])
    if name not in tables:
        raise wrong(f"'where' operator: Failed to resolve table or column expression named '{name[:80]}'")
    schema = dict(tables[name])
    plan = Plan(name, low, high, columns=list(schema), schema=schema)
    for part in parts[1:]:
        verb = part[0][1] if part else ""
        if verb == "project" and part[1:3] == [("sign", "-"), ("word", "away")]:
            verb, part = "project-away", part[2:]
        if verb not in _VERBS:
            raise wrong(f"The operator '{verb[:40]}' is not supported here")
        parser = Parser(part, plan.schema, 1)
        _VERBS[verb](plan, parser)
        if parser.peek():
            raise wrong(f"'{parser.peek()[:40]}' was not expected here")
    if plan.steps:
        plan.needed = (plan.needed | plan.schema.keys()) & tables[name].keys()
    return plan


def _where(plan: Plan, parser: Parser) -> None:
    """A condition; in front of other operators its parts on Timestamp narrow the window."""
    condition = parser.expression()
    for clause in condition.parts if condition.operator == "and" else (condition,):
        if plan.steps or plan.limit is not None:
            _add(plan, _filter(clause), clause.columns)
        elif not _narrowed(plan, clause):
            plan.tests.append(clause)
            plan.needed |= clause.columns


def _narrowed(plan: Plan, clause: Node) -> bool:
    """Whether a clause compares Timestamp with a time, which is then part of the window."""
    if not clause.parts or clause.parts[0].value != "Timestamp" or clause.parts[0].operator != "column":
        return False
    times = [part.evaluate({}) for part in clause.parts[1:] if part.kind == TIME and not part.columns]
    if clause.operator == "between" and len(times) == 2:
        # Both ends belong to it.
        plan.low, plan.high = max(plan.low, read_time(times[0])), min(plan.high, read_time(times[1]) + _STEP)
    elif clause.operator in (">=", ">") and times:
        plan.low = max(plan.low, read_time(times[0]) + (_STEP if clause.operator == ">" else timedelta()))
    elif clause.operator in ("<=", "<") and times:
        plan.high = min(plan.high, read_time(times[0]) + (_STEP if clause.operator == "<=" else timedelta()))
    else:
        return False
    return True


def _add(plan: Plan, step: Step, columns: Iterable[str] = ()) -> None:
    """Put a step that reads these columns behind what there is; a limit set before becomes a step of its own."""
    if not plan.steps and plan.limit is not None:
        plan.steps.append(_first(plan.limit))
        plan.limit = None
    plan.needed |= set(columns)
    plan.steps.append(step)


def _columns(nodes: Iterable[Node]) -> set[str]:
    """All columns that expressions read."""
    return {name for node in nodes for name in node.columns}


def _filter(condition: Node) -> Step:
    """Keep the rows that pass."""
    return lambda rows: [row for row in rows if condition.evaluate(row)]


def _first(many: int) -> Step:
    """Keep the first rows."""
    return lambda rows: rows[:many]


def _named(parser: Parser, number: int) -> tuple[str, Node]:
    """`name = expression`, or an expression that names itself."""
    start = parser.place
    word = parser.take()
    if parser.accept("=") and parser.items[start][0] == "word":
        return word, parser.expression()
    parser.place = start
    node = parser.expression()
    if node.operator == "column":
        return str(node.value), node
    if node.operator in ("bin", "startofday") and node.parts[0].operator == "column":
        return str(node.parts[0].value), node
    return f"Column{number}", node


def _all_named(parser: Parser) -> list[tuple[str, Node]]:
    """Named expressions separated by commas."""
    found = [_named(parser, 1)]
    while parser.accept(","):
        found.append(_named(parser, len(found) + 1))
    return found


def _project(plan: Plan, parser: Parser) -> None:
    """Choose columns; computed or renamed ones make it a step."""
    chosen = _all_named(parser)
    schema = {name: node.kind for name, node in chosen}
    plain = all(node.operator == "column" and node.value == name for name, node in chosen)
    if plain and not plan.steps:
        plan.columns = list(schema)
    else:
        pairs, columns = [(name, node.evaluate) for name, node in chosen], _columns(node for _, node in chosen)
        _add(plan, lambda rows: [{name: value(row) for name, value in pairs} for row in rows], columns)
    plan.schema = schema


def _project_away(plan: Plan, parser: Parser) -> None:
    """Leave columns out."""
    gone = {name for name, _ in _all_named(parser)}
    plan.schema = {name: kind for name, kind in plan.schema.items() if name not in gone}
    if plan.steps:
        kept = list(plan.schema)
        _add(plan, lambda rows: [{name: row[name] for name in kept if name in row} for row in rows])
    else:
        plan.columns = [name for name in plan.columns if name not in gone]


def _extend(plan: Plan, parser: Parser) -> None:
    """Add columns."""
    added = _all_named(parser)
    pairs, columns = [(name, node.evaluate) for name, node in added], _columns(node for _, node in added)
    _add(plan, lambda rows: [{**row, **{name: value(row) for name, value in pairs}} for row in rows], columns)
    plan.schema = {**plan.schema, **{name: node.kind for name, node in added}}


def _take(plan: Plan, parser: Parser) -> None:
    """Keep so many rows."""
    text = parser.take()
    if not text.isdigit():
        raise wrong(f"'{text[:40]}' is no number of rows")
    if plan.steps:
        _add(plan, _first(int(text)))
    else:
        plan.limit = min(int(text), plan.limit if plan.limit is not None else int(text))


def _order(plan: Plan, parser: Parser) -> None:
    """Sort by columns, downwards unless told otherwise; rows of a table come newest first as they are."""
    parser.take("by")
    keys: list[tuple[Node, bool]] = []
    while not keys or parser.accept(","):
        node = parser.expression()
        keys.append((node, parser.accept("asc", "desc") != "asc"))
    if not plan.steps and [(node.value, down) for node, down in keys] == [("Timestamp", True)]:
        return

    def step(rows: list[Record]) -> list[Record]:
        """Sort by the last key first."""
        for node, down in reversed(keys):
            evaluate = node.evaluate
            # Missing values come last when sorting downwards, as in Kusto.
            rows = sorted(rows, key=lambda row: _sortable(evaluate(row)), reverse=down)
        return rows

    _add(plan, step, _columns(node for node, _ in keys))


def _sortable(value: Any) -> tuple[bool, Any]:
    """A key by which values of one kind and missing ones can be sorted together."""
    return value is not None, value if value is not None else 0


def _distinct(plan: Plan, parser: Parser) -> None:
    """Every combination of columns once."""
    _grouped(plan, [], _all_named(parser))


def _count(plan: Plan, parser: Parser) -> None:
    """One row with the number of rows."""
    _grouped(plan, [("Count", LONG, len, set())], [])


def _summarize(plan: Plan, parser: Parser) -> None:
    """Groups and what is measured of each."""
    measures: list[tuple[str, str, Fold, set[str]]] = []
    while parser.peek() and parser.peek() != "by":
        if measures:
            parser.take(",")
        measures += _measure(parser)
    columns = [name for name, _, _, _ in measures]
    aggregate = [word for _, word in parser.items[1:7]]
    groups = _all_named(parser) if parser.accept("by") else []
    if not plan.steps and plan.limit is None and columns == list(plan.schema) and len(groups) == 1:
        time, key = aggregate[2], groups[0][1]
        if (
            aggregate == ["arg_max", "(", time, ",", "*", ")"]
            and key.operator == "column"
            and key.value == groups[0][0]
        ):
            plan.latest = (time, str(key.value))
    _grouped(plan, measures, groups)


def _grouped(plan: Plan, measures: list[tuple[str, str, Fold, set[str]]], groups: list[tuple[str, Node]]) -> None:
    """Group rows, in the order of their keys."""
    keys = [node.evaluate for _, node in groups]
    names = [name for name, _ in groups]
    folds = [(name, fold) for name, _, fold, _ in measures]

    def step(rows: list[Record]) -> list[Record]:
        """Collect the rows of each group, then measure."""
        held: dict[tuple[Any, ...], list[Record]] = {} if keys else {(): []}
        for row in rows:
            held.setdefault(tuple([_hashable(key(row)) for key in keys]), []).append(row)
        order = sorted(held, key=lambda values: [(value is not None, str(value)) for value in values])
        return [
            {**dict(zip(names, key, strict=True)), **{name: fold(held[key]) for name, fold in folds}} for key in order
        ]

    read = {name for _, _, _, columns in measures for name in columns}
    _add(plan, step, read | _columns(node for _, node in groups))
    kinds = {name: node.kind for name, node in groups}
    plan.schema = kinds | {name: kind for name, kind, _, _ in measures}


def _hashable(value: Any) -> Any:
    """A value that can be part of a group's key."""
    return str(value) if isinstance(value, list | dict) else value


def _measure(parser: Parser) -> list[tuple[str, str, Fold, set[str]]]:
    """One aggregate: (name, type, how, columns it reads); `arg_max(x, *)` gives one for every column."""
    start = parser.place
    label = parser.take()
    if parser.accept("="):
        function = parser.take()
    else:
        label, function = "", parser.items[start][1]
    parser.take("(")
    nodes: list[Node] = []
    star = False
    while not parser.accept(")"):
        if nodes:
            parser.take(",")
        if parser.accept("*"):
            star = True
        else:
            nodes.append(parser.expression())
    if function in ("arg_max", "arg_min") and nodes:
        chosen = [str(node.value) for node in nodes if node.operator == "column"]
        wanted = list(parser.schema) if star else chosen
        row_of = _picker(nodes[0].evaluate, max if function == "arg_max" else min)
        read = set(nodes[0].columns)
        return [(name, parser.schema[name], _column_of(row_of, name), {name} | read) for name in wanted]
    if function not in _FOLDS or len(nodes) != _FOLDS[function][0]:
        raise wrong(f"The aggregate '{function[:40]}' is not supported here")
    _, kind, how = _FOLDS[function]
    first = next((str(name) for node in nodes for name in sorted(node.columns)), "")
    columns, inner = _columns(nodes), [node.evaluate for node in nodes]
    kind = kind or nodes[0].kind
    return [(label or f"{function}_{first}", kind, lambda rows: how(rows, *inner), columns)]


def _picker(by: Evaluate, pick: Callable[..., Record]) -> Fold:
    """The row of a group where `by` is largest or smallest; found once for all the columns that are taken from it."""
    last: list[Any] = [None, None]

    def row_of(rows: list[Record]) -> Record:
        """The row of the group, remembered until the next group comes."""
        if last[0] is not rows:
            last[:] = rows, rows[0] if len(rows) == 1 else pick(rows, key=lambda row: _sortable(by(row)))
        found: Record = last[1]
        return found

    return row_of


def _column_of(row_of: Fold, name: str) -> Fold:
    """A column of the row that was picked."""
    return lambda rows: row_of(rows)[name]


def _values(rows: Iterable[Record], of: Any) -> list[Any]:
    """The values that are not missing."""
    return [value for value in map(of, rows) if value is not None]


def _average(rows: list[Record], of: Any) -> float | None:
    """The mean of what is not missing, or nothing."""
    found = _values(rows, of)
    return sum(found) / len(found) if found else None


_FOLDS: dict[str, tuple[int, str, Callable[..., Any]]] = {
    "count": (0, LONG, len),
    "countif": (1, LONG, lambda rows, test: sum(1 for row in rows if test(row))),
    "sum": (1, LONG, lambda rows, of: sum(_values(rows, of))),
    "sumif": (2, LONG, lambda rows, of, test: sum(_values([row for row in rows if test(row)], of))),
    "dcount": (1, LONG, lambda rows, of: len(set(map(of, rows)))),
    "dcountif": (2, LONG, lambda rows, of, test: len({of(row) for row in rows if test(row)})),
    "count_distinct": (1, LONG, lambda rows, of: len(set(map(of, rows)))),
    "count_distinctif": (2, LONG, lambda rows, of, test: len({of(row) for row in rows if test(row)})),
    "min": (1, "", lambda rows, of: min(_values(rows, of), default=None)),
    "max": (1, "", lambda rows, of: max(_values(rows, of), default=None)),
    "avg": (1, REAL, _average),
    "take_any": (1, "", lambda rows, of: of(rows[0]) if rows else None),
    "make_set": (1, OBJECT, lambda rows, of: sorted(set(_values(rows, of)))),
}
_VERBS: dict[str, Callable[[Plan, Parser], None]] = {
    "where": _where,
    "project": _project,
    "project-away": _project_away,
    "extend": _extend,
    "take": _take,
    "limit": _take,
    "order": _order,
    "sort": _order,
    "distinct": _distinct,
    "count": _count,
    "summarize": _summarize,
}
