"""Arguments by name: checked and converted when an execution is started, given back when it is called.

The first `skip` positional parameters (the context) are the engine's own and never part of the input.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from types import GenericAlias
from typing import Any, Union

import msgspec
from django.utils.functional import Promise

from django_workflows.codec.hints import Kind, UnresolvedHint, describe, hints_of, reader_for, remembered
from django_workflows.codec.native import DECODER, decode_hook
from django_workflows.codec.payloads import MAX_BYTES, MAX_DEPTH, SCALARS, read_back, round_trip, to_json
from django_workflows.exceptions import InvalidInput, PayloadError

# The place of an error that belongs to no parameter, as in Django's forms.
WHOLE_INPUT = "__all__"

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_NAMEABLE = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_RAW_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A parameter of a function; `hint` is that of all that is stored under its name."""

    name: str
    kind: Any
    default: Any
    hint: Any

    @property
    def required(self) -> bool:
        return self.default is Parameter.empty and self.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The parameters that a caller may fill, in order; `rest` is the `*args`, `keywords` the `**kwargs`.

    `reserved` names are those of skipped parameters, which `**kwargs` cannot hold.
    """

    arguments: tuple[Argument, ...]
    positional: tuple[Argument, ...]
    rest: Argument | None
    keywords: Argument | None
    nameable: frozenset[str]
    reserved: frozenset[str]


@remembered
def signature_of(fn: Callable[..., Any], skip: int = 0) -> Signature:
    """The parameters of `fn` after the first `skip` positional ones; any at all where Python cannot tell."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):  # some builtins
        parameters = [Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD)]
    own = [parameter for parameter in parameters if parameter.kind in _POSITIONAL][:skip]
    hints = hints_of(fn)
    arguments = tuple(_argument(p, hints.get(p.name, Any)) for p in parameters if p not in own)
    keywords = next((a for a in arguments if a.kind is Parameter.VAR_KEYWORD), None)
    # A positional-only parameter can be named unless the name may belong to `**kwargs`.
    kinds = _NAMEABLE if keywords else (*_NAMEABLE, Parameter.POSITIONAL_ONLY)
    return Signature(
        arguments=arguments,
        positional=tuple(a for a in arguments if a.kind in _POSITIONAL),
        rest=next((a for a in arguments if a.kind is Parameter.VAR_POSITIONAL), None),
        keywords=keywords,
        nameable=frozenset(a.name for a in arguments if a.kind in kinds),
        reserved=frozenset(p.name for p in own if p.kind in kinds),
    )


def _argument(parameter: Parameter, hint: Any) -> Argument:
    hint = _hint(parameter, hint)
    if parameter.kind is Parameter.VAR_POSITIONAL:
        hint = GenericAlias(list, (hint,))
    if parameter.kind is Parameter.VAR_KEYWORD:
        hint = GenericAlias(dict, (str, hint))
    return Argument(name=parameter.name, kind=parameter.kind, default=parameter.default, hint=hint)


def _hint(parameter: Parameter, hint: Any) -> Any:
    """The declared hint; a default of None implies that None may be given."""
    if parameter.default is not None or isinstance(hint, UnresolvedHint):
        return hint
    try:
        return Union[hint, None]  # noqa: UP007  # a hint may be an object that knows no `|`
    except TypeError:  # or be no type at all
        return hint


def bind_arguments(
    fn: Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    skip: int = 0,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
) -> dict[str, Any]:
    """The arguments of a call by parameter name, each as the function will see it.

    Extra positional arguments are a list under the name of `*args`, extra keywords a dict under that of `**kwargs`.
    Defaults are not filled in. Both typed objects and their JSON are accepted, so that the input of an HTTP request
    can be given as `kwargs`; for the same reason a positional-only parameter can be named. Raises `InvalidInput` with
    all that is wrong, by parameter.
    """
    signature = signature_of(fn, skip)
    errors: dict[str, list[str]] = {}
    given = _place(signature, args, kwargs or {}, errors)
    bound: dict[str, Any] = {}
    for argument in signature.arguments:
        if argument.name in given:
            try:
                bound[argument.name] = _convert(given[argument.name], argument.hint, max_bytes, max_depth)
            except (PayloadError, _Misfit) as exc:
                errors.setdefault(argument.name, []).append(str(exc))
        elif argument.required:
            errors.setdefault(argument.name, []).append("This argument is required.")
    if errors:
        raise InvalidInput(errors)
    return bound


def decode_arguments(fn: Callable[..., Any], text: str | bytes, *, skip: int = 0) -> tuple[list[Any], dict[str, Any]]:
    """The `(args, kwargs)` to call `fn` with after its first `skip` parameters, from the JSON of bound arguments.

    Raises `PayloadError` when the text is no JSON object, `InvalidInput` when the function takes other arguments now.
    """
    try:
        raw: dict[str, msgspec.Raw] = _RAW_DECODER.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise PayloadError(f"The stored input is not the JSON object it should be: {exc}") from exc
    signature = signature_of(fn, skip)
    errors: dict[str, list[str]] = {}
    values: dict[str, Any] = {}
    for argument in signature.arguments:
        if argument.name in raw:
            try:
                values[argument.name] = _read(bytes(raw.pop(argument.name)), argument.hint)
            except _Misfit as exc:
                errors[argument.name] = [str(exc)]
        elif argument.required:
            errors[argument.name] = ["This argument is required."]
    unexpected = _unexpected(signature)
    errors.update({name: [unexpected] for name in raw})
    if errors:
        raise InvalidInput(errors)
    return _as_call(signature, values)


def call_arguments(fn: Callable[..., Any], values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The `(args, kwargs)` to call `fn` with, from JSON by name. Raises `InvalidInput`."""
    return _as_call(signature_of(fn), bind_arguments(fn, (), values))


class _Misfit(ValueError):
    """A value is not of the type that its parameter declares."""


def _place(
    signature: Signature, args: Sequence[Any], kwargs: Mapping[str, Any], errors: dict[str, list[str]]
) -> dict[str, Any]:
    """Each given value under the name of its parameter, as Python would place it."""
    positional, rest, keywords = signature.positional, signature.rest, signature.keywords
    given: dict[str, Any] = {argument.name: value for argument, value in zip(positional, args, strict=False)}
    if surplus := list(args[len(positional) :]):
        if rest:
            given[rest.name] = surplus
        else:
            errors[WHOLE_INPUT] = [f"At most {len(positional)} positional arguments are taken, {len(args)} were given."]
    unexpected = _unexpected(signature)
    for name, value in kwargs.items():
        if name in signature.nameable and name in given:
            errors.setdefault(name, []).append("This argument is given twice, by position and by name.")
        elif name in signature.nameable:
            given[name] = value
        elif keywords and name not in signature.reserved:
            given.setdefault(keywords.name, {})[name] = value
        else:
            errors.setdefault(str(name), []).append(unexpected)
    return given


def _unexpected(signature: Signature) -> str:
    names = ", ".join(argument.name for argument in signature.arguments) or "none"
    return f"There is no such argument. The arguments are: {names}."


def _convert(value: Any, hint: Any, max_bytes: int, max_depth: int) -> Any:
    """The value as the function will see it, or `_Misfit`."""
    if isinstance(value, Promise):
        value = str(value)
    if hint is Any or (type(value) is hint and hint in SCALARS):
        return to_json(value, max_bytes, max_depth)[1]
    reader = reader_for(hint)
    if reader.kind is Kind.UNREADABLE:
        return round_trip(value, hint, max_bytes=max_bytes, max_depth=max_depth)[1]
    # `convert` tells a datetime from a text, which look alike in JSON; JSON tells what will be read back.
    if not (isinstance(hint, type) and isinstance(value, hint)):
        try:
            value = msgspec.convert(value, hint, dec_hook=decode_hook, str_keys=True)
        except Exception as exc:  # constructors of user classes run in there
            raise _Misfit(str(exc)) from exc
    data = to_json(value, max_bytes, max_depth)[0]
    return read_back(value, data, reader) if reader.kind is Kind.TYPED else _read(data, hint)


def _read(data: bytes, hint: Any) -> Any:
    reader = reader_for(hint)
    if reader.decoder is None:
        return DECODER.decode(data)
    try:
        return reader.decoder.decode(data)
    except Exception as exc:  # constructors of user classes run in there
        raise _Misfit(f"{exc}. The type is {describe(hint)}.") from exc


def _as_call(signature: Signature, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    args: list[Any] = []
    for argument in signature.positional:
        args.append(values.pop(argument.name, argument.default))
    if signature.rest:
        args.extend(values.pop(signature.rest.name, ()))
    if signature.keywords:
        values.update(values.pop(signature.keywords.name, {}))
    return args, values
