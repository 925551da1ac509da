"""Conditions over figures, as `--fail-if` takes them: `cost_usd > baseline * 1.02 and adequacy_low < 0.9`.

Numbers, names of figures, `+ - * /`, comparisons, `and`, `or`, `not` and parentheses, with the precedence of Python,
whose parser reads them; nothing is ever evaluated as Python. Numbers are exact decimals.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from router.core.naming import allowed
from router.errors import RequestError, RouterError

LONGEST: Final = 300
"""Characters of a condition: more than a person writes, and too few to nest beyond the parser's depth."""

_SUMS: Final[Mapping[type[ast.operator], Callable[[Decimal, Decimal], Decimal]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_ORDER: Final[Mapping[type[ast.cmpop], Callable[[Decimal, Decimal], bool]]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_GRAMMAR: Final = "numbers, names of figures, + - * /, comparisons, and, or, not, ( )"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that was read and can be asked of figures.

    Attributes:
        text: as it was written.
    """

    text: str
    _tree: ast.expr

    @property
    def names(self) -> frozenset[str]:
        """The figures that it asks for."""
        return frozenset(node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name))

    def holds(self, figures: Mapping[str, Decimal | None], /) -> bool:
        """Returns whether it holds.

        Raises:
            RouterError: it needs a figure that is unknown, or divides by zero.
        """
        try:
            return _truth(self._tree, figures, self.text)
        except ArithmeticError as error:
            raise RouterError(f"{self.text!r} cannot be judged: it divides by zero, or its numbers overflow") from error


def condition(text: str, names: frozenset[str], /) -> Condition:
    """Returns the condition that a text says.

    Args:
        text: as the user wrote it.
        names: of the figures there are.

    Raises:
        RequestError: it is none; says what is allowed.
    """
    if len(text) > LONGEST:
        raise RequestError(f"the condition has {len(text):,} characters; {LONGEST:,} are allowed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # the parser warns of what only looks like a condition: "1and 2"
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RequestError(f"{text!r} is no condition; allowed: {_GRAMMAR}") from error
    if not _is_truth(tree):
        raise RequestError(f"{text!r} is no condition but a number: compare it, as in 'cost_usd > baseline * 1.02'")
    _check(tree, text, names)
    return Condition(text, tree)


def _is_truth(node: ast.expr) -> bool:
    return isinstance(node, ast.Compare | ast.BoolOp) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    )


def _check(node: ast.expr, text: str, names: frozenset[str]) -> None:
    """Refuses what is not in the grammar, and truths where numbers are wanted."""
    match node:
        case ast.BoolOp(values=inner):
            wants_truth = True
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner, wants_truth = [operand], True
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _ORDER for op in ops):
            inner, wants_truth = [left, *others], False
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _SUMS:
            inner, wants_truth = [left, right], False
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner, wants_truth = [operand], False
        case ast.Name(id=name):
            if name not in names:
                raise RequestError(f"there is no figure {name!r}; {allowed(name, sorted(names))}")
            return
        case ast.Constant(value=value) if isinstance(value, int | float) and not isinstance(value, bool):
            return
        case _:
            raise RequestError(f"{ast.get_source_segment(text.strip(), node)!r} is not allowed; allowed: {_GRAMMAR}")
    for one in inner:
        if _is_truth(one) is not wants_truth:
            part = ast.get_source_segment(text.strip(), one)
            raise RequestError(f"{part!r} is {'a number' if wants_truth else 'no number'} in {text!r}")
        _check(one, text, names)


def _truth(node: ast.expr, figures: Mapping[str, Decimal | None], text: str) -> bool:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_truth(value, figures, text) for value in values)
        case ast.BoolOp(values=values):
            return any(_truth(value, figures, text) for value in values)
        case ast.UnaryOp(operand=operand):
            return not _truth(operand, figures, text)
        case ast.Compare(left=left, ops=ops, comparators=others):
            numbers = [_number(one, figures, text) for one in (left, *others)]
            pairs = zip(ops, numbers, numbers[1:], strict=False)
            return all(_ORDER[type(op)](one, other) for op, one, other in pairs)
    raise AssertionError("only conditions come here")


def _number(node: ast.expr, figures: Mapping[str, Decimal | None], text: str) -> Decimal:
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            return _SUMS[type(op)](_number(left, figures, text), _number(right, figures, text))
        case ast.UnaryOp(operand=operand):
            return -_number(operand, figures, text)
        case ast.Name(id=name):
            value = figures.get(name)
            if value is None:
                raise RouterError(f"{text!r} cannot be judged: {name} is unknown for this log")
            return value
    constant: Any = ast.literal_eval(node)
    return (
        Decimal(ast.get_source_segment(text.strip(), node) or constant)
        if isinstance(constant, float)
        else Decimal(constant)
    )
