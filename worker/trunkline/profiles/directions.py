"""The direction objects of an attach request: every field of the page by its own name, with the page's rules.

The page is https://docs.bland.ai/api-v1/post/sip-attach; what it leaves open about header items (which of the `uui`
fields are required) is left open here.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo

from trunkline.profiles.sip_uri import endpoint_fault
from trunkline.schema import Fault, Secret, SecretField, Table, Text, fault, plain

_SIP_NAME: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+", re.ASCII)  # a token of RFC 3261


def _of_lawful_length(secret: Secret) -> Secret:
    length = len(secret.value.get_secret_value())
    if length and not 8 <= length <= 256:  # nothing at all: it was not to be had, and that is said elsewhere
        raise fault(f"must be 8 to 256 characters long; what {secret.ref} holds is not")
    return secret


class RegisterAuth(Table):
    """What a PBX registers with; the password has 8 to 256 characters."""

    what: ClassVar[str] = "register_auth"
    username: Text
    password: Annotated[SecretField, AfterValidator(_of_lawful_length)]


class Options(Table):
    """Connection options of a direction."""

    what: ClassVar[str] = "options"
    port: int | None = Field(default=None, ge=1, le=65535)
    transport: Literal["udp", "tcp", "tls"] | None = None
    secure_media: bool | None = None
    sip_username: Text | None = None
    sip_password: SecretField | None = None


class CustomHeader(Table):
    """A SIP header and a variable: inbound `key` is the header, outbound `value`; with `passthrough` a literal pair."""

    what: ClassVar[str] = "a custom header"
    type: Literal["custom"]
    key: Text
    value: Text
    passthrough: bool | None = None


class UuiHeader(Table):
    """User-to-User information, decoded into the variable `target` (inbound) or encoded from it (outbound)."""

    what: ClassVar[str] = "a uui header"
    type: Literal["uui"]
    target: Text | None = None
    purpose: Text | None = None
    encoding: Literal["hex", "ascii"] | None = None
    content: Text | None = None


def _header(value: object, info: ValidationInfo) -> CustomHeader | UuiHeader:
    if isinstance(value, CustomHeader | UuiHeader):
        return value
    if not isinstance(value, Mapping):
        raise fault('must be a table with type = "custom" or type = "uui"')
    if value.get("type") == "uui":
        return UuiHeader.model_validate(value, context=info.context)
    if value.get("type") == "custom":
        return CustomHeader.model_validate(value, context=info.context)
    raise fault('must have type = "custom" or type = "uui"')


class Headers(Table):
    """A header block: its direction is its parent's, its items map SIP headers to variables or back."""

    what: ClassVar[str] = "headers"
    direction: Literal["inbound", "outbound"]
    headers: tuple[Annotated[CustomHeader | UuiHeader, PlainValidator(_header)], ...] = Field(strict=False)

    @classmethod
    def rules(cls, raw: Mapping[str, object]) -> Iterator[Fault]:
        """What names a SIP header must be one."""
        for index, item in enumerate(items_of(raw.get("headers"))):
            side = "key" if raw.get("direction") == "inbound" or part_of(item, "passthrough") is True else "value"
            name = part_of(item, side)
            if part_of(item, "type") == "custom" and isinstance(name, str) and name and not _SIP_NAME.fullmatch(name):
                yield ("headers", index, side), "is not a SIP header's name: no spaces, colons or letters beyond ASCII"


class Direction(Table):
    """One direction object of the page, inbound or outbound; fields that are not set are not sent."""

    what: ClassVar[str] = "a direction"
    type: Literal["inbound", "outbound"]
    auth_mode: Literal["ip", "register"] | None = None
    register_auth: RegisterAuth | None = None
    sip_endpoint: str | None = None
    headers: Headers | None = None
    options: Options | None = None

    @classmethod
    def rules(cls, raw: Mapping[str, object]) -> Iterator[Fault]:
        """What the page asks of a direction beyond its fields' types."""
        inbound = raw.get("type") != "outbound"
        yield from _register_faults(raw) if inbound else _outbound_auth_faults(raw)
        endpoint = raw.get("sip_endpoint")
        if isinstance(endpoint, str) and (wrong := endpoint_fault(endpoint, bare_host=inbound)):
            yield ("sip_endpoint",), wrong
        theirs = part_of(raw.get("headers"), "direction")
        known, ours = ("inbound", "outbound"), raw.get("type")  # what is given may be anything, even unhashable
        if theirs in known and ours in known and theirs != ours:
            yield ("headers", "direction"), f'must be "{ours}" like the direction it belongs to'

    def as_fields(self, secret: Callable[[Secret], object]) -> dict[str, object]:
        """The direction object of a request: the fields that are set, `secret` giving what stands for a secret."""
        return plain(self, secret)


def _register_faults(raw: Mapping[str, object]) -> Iterator[Fault]:
    registers, given = raw.get("auth_mode") == "register", raw.get("register_auth") is not None
    if registers and not given:
        yield ("register_auth",), 'is required with auth_mode = "register": a username and a password'
    if given and not registers:
        yield ("auth_mode",), 'must be "register" where register_auth is given'


def _outbound_auth_faults(raw: Mapping[str, object]) -> Iterator[Fault]:
    for key in ("auth_mode", "register_auth"):
        if raw.get(key) is not None:
            yield (key,), "is a field of inbound directions; outbound takes options.sip_username and sip_password"


def items_of(value: object) -> Sequence[object]:
    """A list as given, or nothing where something else stands: the type is told of elsewhere."""
    return value if isinstance(value, list | tuple) else ()


def part_of(holder: object, key: str) -> object:
    """A field of a table as given or of a model already made; None where there is none."""
    return holder.get(key) if isinstance(holder, Mapping) else getattr(holder, key, None)
