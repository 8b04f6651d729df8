"""Choosing exams by an expression such as `source == 'silver' and age > 60`, without executing anything.

The text is parsed to a syntax tree and only comparisons of columns with constants, `and`, `or`, `not` and `in` are
computed. An unknown value makes a comparison unknown, and an exam is chosen only where the whole is true, so neither
`age > 60` nor `not age > 60` chooses an exam of unknown age; `age == None` does.
"""

from __future__ import annotations

import ast
import operator
import warnings
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    import pandas

_LONGEST = 1000
_OPERATORS = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_HELP = "write for instance \"source == 'silver' and field_strength == 3 and age > 60\""


def select(frame: pandas.DataFrame, expression: str) -> pandas.DataFrame:
    """The rows of `frame` for which `expression` is true, in their order.

    Columns are compared with `== != < <= > >=`, also chained (`20 < age <= 60`), with `in` and `not in` a list of
    values, and `'T2' in series_description` looks for a part of a text. A column of truth values stands alone.

    Raises
    ------
    InputError : one sentence about what is not understood; for an unknown column it lists those that there are.
    """
    tree = _parse(expression)
    try:
        chosen = _condition(tree, frame, expression)
    except RecursionError:
        raise InputError(f"The query {expression!r} is nested too deeply; {_HELP}.") from None
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"The query {expression!r} compares things of different kinds ({error}).") from None
    return frame[chosen.fillna(False).to_numpy(dtype=bool)]


def _parse(expression: str) -> ast.expr:
    if not expression.strip() or len(expression) > _LONGEST:
        raise InputError(f"A query has between 1 and {_LONGEST} characters; {_HELP}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or type(error).__name__
        raise InputError(f"The query {expression!r} is not understood ({reason}); {_HELP}.") from None


def _condition(node: ast.expr, frame: pandas.DataFrame, text: str) -> pandas.Series:
    """Truth per row as a nullable boolean column."""
    if isinstance(node, ast.BoolOp):
        parts = [_condition(value, frame, text) for value in node.values]
        result = parts[0]
        for part in parts[1:]:
            result = result & part if isinstance(node.op, ast.And) else result | part
        return result
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return ~_condition(node.operand, frame, text)
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        parts = [
            _compare(op, left, right, frame, text)
            for op, left, right in zip(node.ops, sides[:-1], sides[1:], strict=True)
        ]
        result = parts[0]
        for part in parts[1:]:
            result = result & part
        return result
    if isinstance(node, ast.Name):
        column = _column(node.id, frame, text)
        if column.dtype == "boolean":
            return column
    raise _refused(node, text)


def _compare(op: ast.cmpop, left: ast.expr, right: ast.expr, frame: pandas.DataFrame, text: str) -> pandas.Series:
    first, second = _operand(left, frame, text), _operand(right, frame, text)
    columns = [value for value in (first, second) if _is_column(value)]
    if not columns:
        raise InputError(f"The query {text!r} compares constants with each other; name a column.")
    if isinstance(op, (ast.In, ast.NotIn)):
        found = _within(first, second, left if _is_column(first) else right, text)
        return ~found if isinstance(op, ast.NotIn) else found
    if isinstance(first, (list, tuple)) or isinstance(second, (list, tuple)):
        raise InputError(f"The query {text!r} compares a column with a list; write `in` instead.")
    if first is None or second is None:
        if isinstance(op, (ast.Eq, ast.Is)):
            return columns[0].isna().astype("boolean")
        if isinstance(op, (ast.NotEq, ast.IsNot)):
            return columns[0].notna().astype("boolean")
    if type(op) not in _OPERATORS or first is None or second is None:
        raise InputError(f"The query {text!r} uses an operator that does not fit; {_HELP}.")
    return _OPERATORS[type(op)](first, second).astype("boolean")


def _within(first: Any, second: Any, node: ast.expr, text: str) -> pandas.Series:
    if _is_column(first) and isinstance(second, (list, tuple)):
        found = first.isin([value for value in second if value is not None]).astype("boolean")
        found = found.mask(first.isna())
        return found.mask(first.isna(), True) if None in second else found
    if isinstance(first, str) and _is_column(second) and second.dtype == "string":
        return second.str.contains(first, regex=False).astype("boolean")
    raise _refused(node, text)


def _operand(node: ast.expr, frame: pandas.DataFrame, text: str) -> Any:
    if isinstance(node, ast.Name):
        return _column(node.id, frame, text)
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float, bool, type(None))):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _operand(node.operand, frame, text)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return -value
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [_operand(element, frame, text) for element in node.elts]
        if all(isinstance(value, (str, int, float, bool, type(None))) for value in values):
            return values
    raise _refused(node, text)


def _column(name: str, frame: pandas.DataFrame, text: str) -> pandas.Series:
    if name not in frame.columns:
        raise InputError(f"The query {text!r} names the unknown column {name!r}; there are {', '.join(frame.columns)}.")
    # Only pandas' nullable types keep "unknown" apart from "false" in a comparison.
    return frame[name].convert_dtypes()


def _is_column(value: Any) -> bool:
    return hasattr(value, "dtype")


def _refused(node: ast.expr, text: str) -> InputError:
    return InputError(f"The query {text!r} holds {ast.unparse(node)!r}, which is not a condition on columns; {_HELP}.")
