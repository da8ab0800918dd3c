"""Requests to the SIP endpoints as Bland's documentation has them.

These rules stand here a second time, beside `profiles/` and `bland/attach/`, on purpose: the sandbox would not notice a
mistake in rules that it shared with the worker.

Sources: docs.bland.ai, "Attach SIP Configuration", "Update SIP Configuration", "Detach SIP Configuration".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MAX_NUMBERS = 100
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_DID = re.compile(r"[!-~]{1,64}")  # printable ASCII without a blank
_SEPARATORS = str.maketrans("", "", " ().-")
_HOST = r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:;[^\s]*)?"
_SIP_URI = rf"^sips?:(?:[^\s@]+@)?{_HOST}$"
_SIP_URI_OR_HOST = rf"^(?:sips?:)?(?:[^\s@]+@)?{_HOST}$"


@dataclass(frozen=True, slots=True)
class Invalid:
    """A request that is answered 400: a sentence for each mistake, and the numbers as far as they could be read."""

    mistakes: tuple[str, ...]
    numbers: tuple[str, ...] = ()


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RegisterAuth(_Body):
    username: str = Field(min_length=1)
    password: str = Field(min_length=8, max_length=256)


class Options(_Body):
    port: int | None = Field(default=None, ge=1, le=65535)
    transport: Literal["udp", "tcp", "tls"] | None = None
    secure_media: bool | None = None
    sip_username: str | None = None
    sip_password: str | None = None


class HeaderItem(_Body):
    """One mapping; which fields of a `uui` item are required isn't documented, so none is."""

    type: Literal["custom", "uui"]
    key: str | None = None
    value: str | None = None
    passthrough: bool | None = None
    target: str | None = None
    purpose: str | None = None
    encoding: Literal["hex", "ascii"] | None = None
    content: str | None = None

    @model_validator(mode="after")
    def _custom_is_a_pair(self) -> Self:
        if self.type == "custom" and (self.key is None or self.value is None):
            raise ValueError("a custom header needs key and value")
        return self


class Headers(_Body):
    direction: Literal["inbound", "outbound"]
    headers: list[HeaderItem]


class Inbound(_Body):
    type: Literal["inbound"]
    auth_mode: Literal["ip", "register"] = "ip"
    register_auth: RegisterAuth | None = None
    sip_endpoint: str | None = Field(default=None, pattern=_SIP_URI_OR_HOST)
    headers: Headers | None = None
    options: Options | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.auth_mode == "register" and self.register_auth is None:
            raise ValueError("register_auth is required when auth_mode is register")
        _headers_agree(self.type, self.headers)
        return self


class Outbound(_Body):
    type: Literal["outbound"]
    sip_endpoint: str | None = Field(default=None, pattern=_SIP_URI)
    headers: Headers | None = None
    options: Options | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        _headers_agree(self.type, self.headers)
        return self


def _headers_agree(own_type: str, headers: Headers | None) -> None:
    if headers is not None and headers.direction != own_type:
        raise ValueError("headers.direction must be the direction's own type")


Direction = Annotated[Inbound | Outbound, Field(discriminator="type")]


class AttachRequest(_Body):
    """The body of POST /v1/sip/attach: one number or up to 100, and one or both directions for all of them."""

    phone_number: str | None = None
    phone_numbers: list[str] | None = Field(default=None, min_length=1, max_length=MAX_NUMBERS)
    directions: list[Direction] = Field(min_length=1)
    service: Literal["sip"]
    trunk_id: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.phone_number is None) == (self.phone_numbers is None):
            raise ValueError("use either phone_number or phone_numbers, not both")
        types = [direction.type for direction in self.directions]
        if len(set(types)) != len(types):
            raise ValueError("a number has at most one inbound and one outbound configuration")
        for direction in self.directions:
            if direction.type == "outbound" and direction.sip_endpoint is None and self.trunk_id is None:
                raise ValueError("sip_endpoint is required for outbound unless trunk_id is given")
        return self

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers as they were sent, repeated ones too."""
        return (self.phone_number,) if self.phone_number is not None else tuple(self.phone_numbers or ())

    def login(self) -> RegisterAuth | None:
        """The login of a direction that registers."""
        return next((auth for direction in self.directions if (auth := login_of(direction))), None)


class UpdateRequest(_Body):
    """The body of POST /v1/sip/update: one direction of one number."""

    phone_number: str
    updates: Direction


class _WhichDirection(_Body):
    type: Literal["inbound", "outbound"]


class DetachRequest(_Body):
    """The body of POST /v1/sip/detach: one number, one or both directions."""

    phone_number: str
    directions: list[_WhichDirection] = Field(min_length=1)
    service: Literal["sip"]


_Request = TypeVar("_Request", AttachRequest, UpdateRequest, DetachRequest)


def read(kind: type[_Request], body: bytes) -> _Request | Invalid:
    """The request in a body, or every mistake in it. The sentences never repeat what was sent."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        return Invalid(tuple(f"{_place(each['loc'])}{each['msg']}" for each in details), _numbers_in(body))


def _numbers_in(body: bytes) -> tuple[str, ...]:
    """The numbers of a body that is wrong in some way, so that a call with 101 of them is seen as such."""
    try:
        raw = json.loads(body)
    except ValueError:
        return ()
    several = raw.get("phone_numbers") if isinstance(raw, dict) else None
    return tuple(each for each in several if isinstance(each, str)) if isinstance(several, list) else ()


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc) + ": " if loc else ""


def login_of(direction: Inbound | Outbound) -> RegisterAuth | None:
    """The login with which a PBX registers, where the direction asks for that."""
    return direction.register_auth if isinstance(direction, Inbound) and direction.auth_mode == "register" else None


def fields_of(direction: Inbound | Outbound) -> dict[str, Any]:
    """A direction's fields as they were sent."""
    return direction.model_dump(exclude_unset=True)


def identity(raw: str, *, trunk: bool) -> str | None:
    """The number as the API keeps it, None if it is malformed.

    What begins with + is read as E.164; anything else is kept as it is, and only where a trunk is given.
    """
    if _E164.fullmatch(raw):
        return raw
    if raw.startswith("+"):
        bare = raw.translate(_SEPARATORS)
        return bare if _E164.fullmatch(bare) else None
    return raw if trunk and _DID.fullmatch(raw) else None
