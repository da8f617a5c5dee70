"""Which columns of the tables within an expression something is made of."""

from __future__ import annotations

from typing import Any

import ibis.expr.operations as ops
from ibis.common.graph import Graph


def find_needed(root: Any) -> dict[Any, set[str]]:
    """Return the columns of each table of an expression that something is made of.

    Parameters
    ----------
    root : ibis operation
        The table that is wanted, with all its columns.

    Returns
    -------
    dict
        Every table that the expression reads, itself among them, to names of its columns.
    """
    in_order, _ = Graph.from_bfs(root).toposort()
    tables = [node for node in in_order if isinstance(node, ops.Relation)]
    needed: dict[Any, set[str]] = {table: set() for table in tables} | {root: set(root.schema)}
    for node in reversed(tables):  # what reads a table comes before it
        for table in _passed_on(node):
            needed[table] |= needed[node] & set(table.schema)
        for value in _values_of(node, needed[node]):
            for column in value.find(ops.Field, filter=ops.Value):
                needed[column.rel].add(column.name)
            for among in value.find(ops.InSubquery, filter=ops.Value):
                needed[among.rel] |= set(among.rel.schema)
    return needed


def _passed_on(node: Any) -> list[Any]:
    """Return the tables whose columns a table has under the same names."""
    if isinstance(node, ops.Union):
        return [node.left, node.right]
    passes = (ops.Filter, ops.Sort, ops.Limit, ops.DropColumns, ops.JoinReference)
    return [node.parent] if isinstance(node, passes) else []


def _values_of(node: Any, names: set[str]) -> list[Any]:
    """Return the values that the columns of these names, and the rows, of a table are made of."""
    if isinstance(node, ops.Filter):
        return list(node.predicates)
    if isinstance(node, ops.Sort):
        return list(node.keys)
    if isinstance(node, ops.Aggregate):
        return [*node.groups.values(), *(value for name, value in node.metrics.items() if name in names)]
    if isinstance(node, ops.JoinChain):
        keys = [predicate for link in node.rest for predicate in link.predicates]
        return [*keys, *(value for name, value in node.values.items() if name in names)]
    if isinstance(node, ops.Project):
        return [value for name, value in node.values.items() if name in names]
    return []
