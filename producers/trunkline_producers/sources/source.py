"""Reading of `[sources.*]`: every section as a Source, every mistake at its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from trunkline.config.sections import ServerSettings
from trunkline.errors import Mistake
from trunkline.schema import mistakes_of
from trunkline.text import did_you_mean
from trunkline_producers.carriers import ApiTable, read_api
from trunkline_producers.sources.config import Answer, SourceTable
from trunkline_producers.sources.presets import KEY_FIELDS, overlaid, presets
from trunkline_producers.verify import Key, PathToken, Scheme, read_keys, read_scheme
from trunkline_producers.verify.keys import NO_KEYS
from trunkline_producers.webhooks.mapping import Case

RESERVED: Final = ("api", "cli", "import")  # sources of events that come another way: ids must not meet
_ELSEWHERE: Final = ("verify", "api", *KEY_FIELDS)  # fields that SourceTable does not read
_OF_A_POLLED: Final = {"type", "api", "profile", "region"}
_WITHOUT_NUMBER: Final = ("native", "cloudevents")  # formats whose events have a place for their number
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)  # as the `source` of an event


@dataclass(frozen=True, slots=True)
class Source:
    """One source as the receiver needs it. Without `cases` its events are trunkline's own."""

    name: str
    type: str
    table: SourceTable
    scheme: Scheme
    keys: tuple[Key, ...]
    cases: tuple[Case, ...]
    api: ApiTable | None = None

    @property
    def answer(self) -> Answer:
        """The answer to a delivery that was taken in."""
        return self.table.answer


def read_sources(
    tables: Mapping[str, Mapping[str, object]], server: ServerSettings, *, need_secrets: bool
) -> tuple[dict[str, Source], list[Mistake]]:
    """The sources by name, and every mistake. With `need_secrets` an absent secret is a mistake."""
    sources: dict[str, Source] = {}
    mistakes: list[Mistake] = []
    for name, table in tables.items():
        source, found = _read(name, table, server, need_secrets=need_secrets)
        mistakes += found
        if source and not found:
            sources[name] = source
    return sources, mistakes


def only_polled(written: Mapping[str, object]) -> bool:
    """True for a section with an API and no keys: `trunkline reconcile` asks its carrier, and nobody posts."""
    return "api" in written and not any(key in written for key in ("verify", *KEY_FIELDS))


def _read(
    name: str, written: Mapping[str, object], server: ServerSettings, *, need_secrets: bool
) -> tuple[Source | None, list[Mistake]]:
    place = f"sources.{name}"
    if not _NAME.fullmatch(name):
        return None, [Mistake(place, "must have a name of 1 to 64 letters, digits, dots, dashes or underscores")]
    if name in RESERVED:
        text = f"is what trunkline calls events of its own ({', '.join(RESERVED)}); choose another name"
        return None, [Mistake(place, text)]
    kind = written.get("type", "generic")
    if not isinstance(kind, str) or kind not in presets():
        known = f"is no type of source{did_you_mean(str(kind), presets())}; trunkline sources list shows them all"
        return None, [Mistake(f"{place}.type", known)]
    if only_polled(written):
        return None, _mistakes_of_a_polled(written, place)
    whole, mistakes = overlaid(presets()[kind], written, place)
    source, found = _source(name, whole, server, need_secrets=need_secrets)
    return source, [*mistakes, *found]


def _mistakes_of_a_polled(written: Mapping[str, object], place: str) -> list[Mistake]:
    """The mistakes of a section that is only polled; an absent secret is told by the command that needs it."""
    _, mistakes = read_api(written, place)
    for key in written:
        if key not in _OF_A_POLLED:
            mistakes.append(Mistake(f"{place}.{key}", "is of a webhook, which needs keys beside it"))
    api = written["api"]
    if isinstance(api, Mapping) and "key" in api:
        return [mistake for mistake in mistakes if not mistake.place.endswith(".api.key")]
    return mistakes


def _source(
    name: str, whole: Mapping[str, Any], server: ServerSettings, *, need_secrets: bool
) -> tuple[Source | None, list[Mistake]]:
    """The source of a section that is complete, and its mistakes; None if there is no telling what it is."""
    place = f"sources.{name}"
    mistakes: list[Mistake] = []
    table: SourceTable | None = None
    try:
        table = SourceTable.model_validate({key: value for key, value in whole.items() if key not in _ELSEWHERE})
    except ValidationError as error:
        mistakes += mistakes_of(error, place)
    scheme, found = _scheme(whole.get("verify"), f"{place}.verify")
    mistakes += found
    keys, found = _keys(whole, scheme, place, need_secrets=need_secrets)
    mistakes += found
    api, found = read_api(whole, place)
    mistakes += [mistake for mistake in found if need_secrets or not mistake.place.endswith(".api.key")]
    if table is None:
        return None, mistakes
    if scheme is not None:
        mistakes += _disagreements_on_urls(table, scheme, server, place)
    mistakes += _disagreements(table, place)
    if scheme is None:
        return None, mistakes
    cases = tuple(case.case() for case in table.events)
    if cases and all(case.fetch for case in cases) and "api" not in whole:
        text = f'is required, since its webhooks only name an order: [{place}.api] with key = {{ env = "NAME" }}'
        mistakes.append(Mistake(f"{place}.api", text))
    return Source(name, table.type, table, scheme, keys, cases, api), mistakes


def _scheme(raw: object, place: str) -> tuple[Scheme | None, list[Mistake]]:
    if raw is None:
        text = 'is required: how deliveries are verified, as in { scheme = "hmac", header = "X-Signature" }'
        return None, [Mistake(place, text)]
    if not isinstance(raw, Mapping):
        return None, [Mistake(place, "must be a table")]
    return read_scheme(raw, place)


def _keys(
    whole: Mapping[str, Any], scheme: Scheme | None, place: str, *, need_secrets: bool
) -> tuple[tuple[Key, ...], list[Mistake]]:
    written = [key for key in KEY_FIELDS if key in whole]
    if len(written) > 1:
        return (), [Mistake(f"{place}.{written[1]}", f"stands beside {written[0]}; use one of them")]
    if scheme is None:  # it would say how keys are read, so only their absence can be told
        if written or "verify" not in whole:
            return (), []
        return (), [Mistake(f"{place}.keys", NO_KEYS)]
    if not written:
        return read_keys((), scheme, f"{place}.keys", need_secrets=need_secrets)
    raw = whole[written[0]]
    if not isinstance(raw, list):
        raw = [raw]
    return read_keys(raw, scheme, f"{place}.{written[0]}", need_secrets=need_secrets)


def _disagreements_on_urls(table: SourceTable, scheme: Scheme, server: ServerSettings, place: str) -> Iterator[Mistake]:
    """Check that the URL is known if it is signed, and that none is set if it holds the token."""
    if scheme.uses_url and not table.url and not server.public_url:
        text = (
            "signs the URL that it calls: set public_url under [server] (https://hooks.example.com), "
            "or the whole url here where a proxy changes the path"
        )
        yield Mistake(place, text)
    if table.url and isinstance(scheme, PathToken):
        text = "can't stand beside the scheme path-token, whose token is in the path that is called here"
        yield Mistake(f"{place}.url", text)


def _disagreements(table: SourceTable, place: str) -> Iterator[Mistake]:
    """Check that the format and the cases agree on the place of the number."""
    if table.format not in _WITHOUT_NUMBER and not table.events:
        text = "is required: a JMESPath expression that finds the number, or a list of them, in an event"
        yield Mistake(f"{place}.number", text)
    if table.format == "native" and table.events:
        yield Mistake(f"{place}.format", "is native, whose events say themselves where their number is")
