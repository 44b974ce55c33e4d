"""Type hints: what a function declares, and how to bring a value of that type back from JSON."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ParamSpec, TypeVar

import msgspec
from msgspec import inspect as shapes

from django_workflows.codec.native import decode_hook, is_pydantic

_CACHE_SIZE = 4096

P = ParamSpec("P")
R = TypeVar("R")


class Kind(IntEnum):
    PLAIN = 0  # made of JSON types only: the text alone says it all
    TYPED = 1  # msgspec and the hooks bring the type back
    UNREADABLE = 2  # an arbitrary class, a union that JSON cannot tell apart, an unresolved name


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How values of one hint are brought back; `problem` says why an unreadable hint has no `decoder`."""

    hint: Any
    kind: Kind
    decoder: msgspec.json.Decoder[Any] | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class UnresolvedHint:
    """A hint that is only a text: its name does not exist where the function was defined."""

    text: str

    def __str__(self) -> str:
        return self.text


def remembered(make: Callable[P, R]) -> Callable[P, R]:
    """Call `make` once per argument; each time for unhashable ones, such as `Annotated[int, {"unit": "s"}]`."""
    cached = functools.lru_cache(_CACHE_SIZE)(make)

    @functools.wraps(make)
    def remember(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return cached(*args, **kwargs)  # type: ignore[arg-type]  # that they may be unhashable is the point
        except TypeError:
            return make(*args, **kwargs)

    return remember


@remembered
def reader_for(hint: Any) -> Reader:
    """How values of this hint are brought back."""
    if isinstance(hint, UnresolvedHint):
        problem = f"the name in {hint.text!r} is not found: import it at module level, outside `if TYPE_CHECKING`"
        return Reader(hint=hint, kind=Kind.UNREADABLE, problem=problem)
    try:
        kind = _kind(shapes.type_info(hint), frozenset())
        decoder = msgspec.json.Decoder(hint, dec_hook=decode_hook)
    except Exception as exc:  # a hint is any object, and evaluating its fields' hints runs foreign code
        return Reader(hint=hint, kind=Kind.UNREADABLE, problem=str(exc))
    if kind is Kind.UNREADABLE:
        return Reader(hint=hint, kind=kind, problem=f"JSON cannot hold a {describe(hint)}")
    return Reader(hint=hint, kind=kind, decoder=decoder)


def describe(hint: Any) -> str:
    """A hint as an author writes it."""
    return hint.__qualname__ if isinstance(hint, type) else str(hint)


_JSON_SHAPES = (
    shapes.AnyType,
    shapes.NoneType,
    shapes.BoolType,
    shapes.IntType,
    shapes.FloatType,
    shapes.StrType,
    shapes.LiteralType,
)


def _kind(shape: shapes.Type, seen: frozenset[type]) -> Kind:
    """The kind of the outer containers and what they hold; classes with fields are typed, whatever their fields."""
    if isinstance(shape, _JSON_SHAPES):
        return Kind.PLAIN
    if isinstance(shape, shapes.ListType):
        return _kind(shape.item_type, seen)
    if isinstance(shape, shapes.DictType):
        plain_keys = isinstance(shape.key_type, shapes.AnyType | shapes.StrType | shapes.LiteralType)
        return max(Kind.PLAIN if plain_keys else Kind.TYPED, _kind(shape.value_type, seen))
    if isinstance(shape, shapes.UnionType):
        return max(_kind(member, seen) for member in shape.types)
    if isinstance(shape, shapes.TypedDictType):
        # A field of its own type is as plain as the other fields.
        inner = seen | {shape.cls}
        return max((_kind(f.type, inner) for f in shape.fields if shape.cls not in seen), default=Kind.PLAIN)
    if isinstance(shape, shapes.SetType | shapes.FrozenSetType | shapes.VarTupleType):
        return max(Kind.TYPED, _kind(shape.item_type, seen))
    if isinstance(shape, shapes.TupleType):
        return max((Kind.TYPED, *(_kind(item, seen) for item in shape.item_types)))
    if isinstance(shape, shapes.CustomType):
        return _class_kind(shape.cls)
    return Kind.TYPED


def _class_kind(cls: type) -> Kind:
    if cls is object or cls is collections.abc.Iterable:
        return Kind.PLAIN
    return Kind.TYPED if is_pydantic(cls) else Kind.UNREADABLE


def hint_of(fn: Callable[..., Any]) -> Any:
    """The type that a call of `fn`, awaited if need be, gives back; Any when it is missing or None."""
    return hints_of(fn).get("return", Any)


@remembered
def hints_of(fn: Callable[..., Any]) -> dict[str, Any]:
    """The resolved hints of the parameters and of `return`. Names that cannot be resolved are `UnresolvedHint`s."""
    target = _annotated(fn)
    try:
        hints = typing.get_type_hints(target, include_extras=True)
    except Exception:  # resolving evaluates foreign text: any error may come out of it
        hints = {name: _resolve_one(target, hint) for name, hint in inspect.get_annotations(target).items()}
    if isinstance(fn, type):
        hints["return"] = fn
    if "return" in hints:
        hints["return"] = _awaited(hints["return"])
    return hints


def _annotated(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function that carries the annotations."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    fn = inspect.unwrap(fn)
    if inspect.isroutine(fn):
        return fn
    carrier: Callable[..., Any] = getattr(fn, "__init__" if isinstance(fn, type) else "__call__")
    return carrier


def _resolve_one(target: Callable[..., Any], hint: Any) -> Any:
    namespace = getattr(target, "__globals__", {})
    shim = types.SimpleNamespace(__annotations__={"hint": hint})
    try:
        return typing.get_type_hints(shim, globalns=namespace, include_extras=True)["hint"]
    except Exception:  # as above
        return UnresolvedHint(str(hint))


def _awaited(hint: Any) -> Any:
    if typing.get_origin(hint) in (collections.abc.Coroutine, collections.abc.Awaitable):
        hint = typing.get_args(hint)[-1] if typing.get_args(hint) else Any
    return Any if hint in (None, type(None), typing.NoReturn, typing.Never) else hint
