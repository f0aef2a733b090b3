"""What a setting must be, in words; imported by who has to complain."""

from msgspec import inspect


def wanted(kind: object) -> str:
    """What a value of an annotated type must be, in words: ``a whole number from 1 to 65535``."""
    known = inspect.type_info(kind)
    if isinstance(known, inspect.Metadata):
        extra = known.extra_json_schema or {}
        if "description" in extra:
            return str(extra["description"])
        known = known.type
    match known:
        case inspect.UnionType(types=types):
            (one,) = (part for part in types if not isinstance(part, inspect.NoneType))
            return f"{_kind_of(one)}, or nothing"
        case _:
            return _kind_of(known)


def _kind_of(known: inspect.Type) -> str:
    match known:
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=least, le=most):
            return f"a whole number{_span(least, None, most)}"
        case inspect.FloatType(ge=least, gt=above, le=most):
            return f"a number{_span(least, above, most)}"
        case _:
            return "a text"


def _span(least: float | None, above: float | None, most: float | None) -> str:
    """The numbers that are meant; ``above`` is one that is too small itself."""
    if above is not None:
        return f" above {above:.10g}" + ("" if most is None else f", at most {most:.10g}")
    return "" if least is None or most is None else f" from {least:.10g} to {most:.10g}"
