"""Base of the configuration tables: frozen models that report every mistake at its place, and never its value."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final, Self, TypeGuard

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    PlainValidator,
    SecretStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from trunkline.errors import Mistake, TrunklineError
from trunkline.text import did_you_mean

Loc = tuple[str | int, ...]
Fault = tuple[Loc, str]

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_SURELY_A_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)
NOT_A_REFERENCE: Final = 'a secret is never written in the file; write { env = "NAME" } or { file = "PATH" }'

_SENTENCES: Final = {
    "mistake": "{text}",
    "missing": "is required",
    "literal_error": "must be {expected}",
    "string_type": "must be text in quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "too_short": "must have at least {min_length} of them",
    "too_long": "must have at most {max_length} of them",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must not contain control characters",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


class SecretUnresolved(TrunklineError):
    """A secret that is named in the configuration and absent. The text names the reference, never a value."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as it is configured: `ref` says where it comes from (`env:NAME`, `file:PATH`), `value` what it is.

    Two secrets are equal if their references are: a changed value is not a changed configuration.
    """

    ref: str
    value: SecretStr = field(compare=False, repr=False)

    def as_table(self) -> dict[str, str]:
        """The reference as it is written in the file: {"env": "NAME"} or {"file": "PATH"}."""
        kind, _, name = self.ref.partition(":")
        return {kind: name}


Resolve = Callable[[Mapping[str, str]], Secret]  # takes {"env": NAME} or {"file": PATH}; raises SecretUnresolved


def refuse_secrets(reference: Mapping[str, str]) -> Secret:
    """The resolver that refuses every secret."""
    raise SecretUnresolved(f"{_spelled(reference)} can't be resolved here")


def fault(message: str) -> PydanticCustomError:
    """A mistake to raise from a validator; the text may hold braces."""
    return PydanticCustomError("mistake", "{text}", {"text": message})


def shown_variable(name: str) -> str:
    """ "the environment variable NAME", without the name if it may be the secret itself, written in its place."""
    if not _SURELY_A_VARIABLE.fullmatch(name):
        name = "named here"
    return f"the environment variable {name}"


def read_secret(value: object, info: ValidationInfo) -> Secret:
    """The validator of a secret: takes a Secret, or a reference that the context's `resolve` turns into one."""
    if isinstance(value, Secret):
        return value
    if not isinstance(value, Mapping) or not is_reference(value):
        raise fault(NOT_A_REFERENCE)
    ((kind, name),) = value.items()
    resolve: Resolve = (info.context or {}).get("resolve", refuse_secrets)
    try:
        return resolve({kind: name})
    except SecretUnresolved as unresolved:
        raise fault(str(unresolved)) from None


def is_reference(value: Mapping[object, object]) -> TypeGuard[Mapping[str, str]]:
    """True for a reference to a secret: { env = "NAME" } or { file = "PATH" }."""
    if len(value) != 1:
        return False
    ((kind, name),) = value.items()
    return kind in {"env", "file"} and isinstance(name, str) and bool(name)


def secrets_within(value: object) -> Iterator[Secret]:
    """Every Secret in a model, or in a table as it was read, however deep."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_within(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from secrets_within(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from secrets_within(item)


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise fault("must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or a digit")
    return value


Name = Annotated[str, AfterValidator(_name)]
SecretField = Annotated[Secret, PlainValidator(read_secret)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Table(BaseModel):
    """A table of the configuration. Fields and cross-field `rules` are all looked at before anything is raised."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True, allow_inf_nan=False)
    what: ClassVar[str] = "this table"

    @classmethod
    def rules(cls, raw: Mapping[str, object]) -> Iterable[Fault]:
        """Check what spans several fields, by the values as given: places within the table, and sentences."""
        del raw
        return ()

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, cls):
            return data
        if not isinstance(data, Mapping):
            raise fault(f"must be a table, not {_kind(data)}")
        faults = [*_unknown(cls, data), *cls.rules(data)]
        try:
            made = handler(dict(data))
        except ValidationError as error:
            faults += [(each["loc"], _sentence(each)) for each in error.errors(include_url=False, include_input=False)]
        if faults:
            lines = [InitErrorDetails(type=fault(text), loc=loc, input=None) for loc, text in dict.fromkeys(faults)]
            raise ValidationError.from_exception_data(cls.__name__, lines, hide_input=True)
        return made


def rising(raw: Mapping[str, object], first: tuple[str, float], last: tuple[str, float]) -> Iterator[Fault]:
    """The fault of a last value below the first; each is a field's name and its default."""
    low, high = raw.get(*first), raw.get(*last)
    if isinstance(low, int | float) and isinstance(high, int | float) and high < low:
        yield (last[0],), f"is {high:g} and must be at least {first[0]}, which is {low:g}"


def mistakes_of(error: ValidationError, place: str) -> list[Mistake]:
    """The mistakes in a validation error, in the order they were found, each under `place`."""
    return [Mistake(_joined(each["loc"]), _sentence(each)).under(place) for each in error.errors(include_url=False)]


def plain(table: Table, secret: Callable[[Secret], object]) -> dict[str, object]:
    """The fields that are set, by their own names, in JSON's types; `secret` replaces a secret."""

    def flat(value: object) -> object:
        if isinstance(value, Secret):
            return secret(value)
        if isinstance(value, Table):
            return plain(value, secret)
        if isinstance(value, tuple):
            return [flat(item) for item in value]
        return value

    set_fields = ((name, getattr(table, name)) for name in type(table).model_fields)
    return {name: flat(value) for name, value in set_fields if value is not None}


def _unknown(cls: type[Table], data: Mapping[str, object]) -> Iterator[Fault]:
    for key in data:
        if key not in cls.model_fields:
            yield (str(key),), f"is not a field of {cls.what}{did_you_mean(str(key), cls.model_fields)}"


def _joined(loc: Loc) -> str:
    place = ""
    for step in loc:
        if isinstance(step, int):
            place += f"[{step}]"
        elif place:
            place += f".{step}"
        else:
            place = step
    return place


def _sentence(details: ErrorDetails) -> str:
    """Pydantic's error as a sentence for the author of the file. Never holds what was written."""
    known = _SENTENCES.get(details["type"])
    if known is None:
        return details["msg"].replace("Input should", "must", 1)
    return known.format_map(details.get("ctx", {}))


def _kind(value: object) -> str:
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        return "text"
    return "a single value"


def _spelled(reference: Mapping[str, str]) -> str:
    return ", ".join(f"{kind}:{name}" for kind, name in reference.items())
