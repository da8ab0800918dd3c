"""Reads `[sources.*]`: each section over the preset of its type, every mistake at its place."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pydantic import ValidationError

from trunkline.config.sections import ServerSettings
from trunkline.errors import Mistake
from trunkline.schema import mistakes_of
from trunkline.text import did_you_mean
from trunkline_producers.carriers import ApiTable, read_api
from trunkline_producers.sources.config import Answer, CaseTable, SourceTable
from trunkline_producers.verify import Key, PathToken, Scheme, read_keys, read_scheme
from trunkline_producers.verify.keys import NO_KEYS
from trunkline_producers.webhooks.mapping import Case

RESERVED: Final = ("api", "cli", "import")  # sources of events that come another way: ids must not meet
KEY_FIELDS: Final = ("keys", "public_keys", "key")
_CASE_FIELDS: Final = tuple(CaseTable.model_fields)
_ELSEWHERE: Final = ("verify", "api", *KEY_FIELDS)  # fields that others than SourceTable read
_WITHOUT_NUMBER: Final = ("native", "cloudevents")  # formats whose events say themselves where their number is
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)  # as the events' `source`
_SETTING: Final = re.compile(r"(\${1,2})([a-z_]+)", re.ASCII)
_EXPRESSIONS: Final = {*_CASE_FIELDS, "batch", "require"}


@dataclass(frozen=True, slots=True)
class Source:
    """One source as the receiver needs it. `cases` empty: its events are trunkline's own."""

    name: str
    type: str
    table: SourceTable
    scheme: Scheme
    keys: tuple[Key, ...]
    cases: tuple[Case, ...]
    api: ApiTable | None = None

    @property
    def answer(self) -> Answer:
        """What a delivery that was taken in is answered with."""
        return self.table.answer


@dataclass(frozen=True, slots=True)
class Setting:
    """What a section says where its preset leaves something open. `whole`: dots in it belong to the field's name."""

    value: str | list[str]
    whole: bool = False

    def as_literal(self) -> str:
        """The value as JMESPath has it."""
        return "`" + json.dumps(self.value).replace("`", "\\`") + "`"

    def as_path(self) -> str:
        """The fields' names, quoted."""
        steps = [self.value] if self.whole else str(self.value).split(".")
        return ".".join(json.dumps(step) for step in steps)


@cache
def presets() -> Mapping[str, Mapping[str, Any]]:
    """The types that are known by name, from the package's data."""
    text = (files("trunkline_producers.sources") / "presets.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def read_sources(
    tables: Mapping[str, Mapping[str, object]], server: ServerSettings, *, need_secrets: bool
) -> tuple[dict[str, Source], list[Mistake]]:
    """The sources by name, and every mistake. `need_secrets`: a secret that is not there is one of them."""
    sources: dict[str, Source] = {}
    mistakes: list[Mistake] = []
    for name, table in tables.items():
        source, found = _read(name, table, server, need_secrets=need_secrets)
        mistakes += found
        if source and not found:
            sources[name] = source
    return sources, mistakes


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
    preset = presets().get(kind) if isinstance(kind, str) else None
    if preset is None:
        known = f"is no type of source{did_you_mean(str(kind), presets())}; trunkline sources list shows them all"
        return None, [Mistake(f"{place}.type", known)]
    if only_polled(written):
        return None, _poll_mistakes(written, place)
    settings, mistakes = _settings(preset, written, place)
    whole, found = _overlaid(preset, written, place)
    whole = {key: _filled(key, value, settings) for key, value in whole.items()}
    mistakes += found
    table: SourceTable | None = None
    try:
        table = SourceTable.model_validate({key: value for key, value in whole.items() if key not in _ELSEWHERE})
    except ValidationError as error:
        mistakes += mistakes_of(error, place)
    scheme, found = _scheme(whole.get("verify"), place)
    mistakes += found
    keys, found = _keys(whole, scheme, place, need_secrets=need_secrets)
    mistakes += found
    api, found = read_api(whole, place)
    mistakes += [mistake for mistake in found if need_secrets or not mistake.place.endswith(".api.key")]
    if table is not None:
        mistakes += _disagreements(table, scheme, server, place)
    if scheme is None or table is None:
        return None, mistakes
    cases = tuple(case.case() for case in table.events)
    if cases and all(case.fetch for case in cases) and "api" not in whole:
        text = f'is required, since its webhooks only name an order: [{place}.api] with key = {{ env = "NAME" }}'
        mistakes.append(Mistake(f"{place}.api", text))
    return Source(name, table.type, table, scheme, keys, cases, api), mistakes


def only_polled(written: Mapping[str, object]) -> bool:
    """A section with an API and nothing of a webhook: its carrier is asked (`trunkline reconcile`), nobody posts."""
    return "api" in written and not any(key in written for key in ("verify", *KEY_FIELDS))


def _poll_mistakes(written: Mapping[str, object], place: str) -> list[Mistake]:
    """What is wrong with such a section; whether its key is there is for whoever asks with it to say."""
    _, mistakes = read_api(written, place)
    known = {"type", "api", "profile", "region"}
    unknown = [key for key in written if key not in known]
    mistakes += [Mistake(f"{place}.{key}", "is of a webhook, which needs keys beside it") for key in unknown]
    return [mistake for mistake in mistakes if not mistake.place.endswith(".api.key") or "key" not in _part(written)]


def _part(written: Mapping[str, object]) -> Mapping[str, object]:
    api = written["api"]
    return api if isinstance(api, Mapping) else {}


def _settings(
    preset: Mapping[str, Any], written: Mapping[str, object], place: str
) -> tuple[dict[str, Setting], list[Mistake]]:
    """What the preset's expressions leave to the section: each setting's value."""
    values: dict[str, Setting] = {}
    mistakes: list[Mistake] = []
    for name, declared in preset.get("settings", {}).items():
        about = declared if isinstance(declared, Mapping) else {"about": declared}
        value = written.get(name, about.get("default"))
        values[name] = Setting("missing")  # so that the expressions read, and only this is told
        several = [value] if isinstance(value, str) else value
        if value is None:
            mistakes.append(Mistake(f"{place}.{name}", f"is required: {about['about']}"))
        elif "list" not in about and not (isinstance(value, str) and value):
            mistakes.append(Mistake(f"{place}.{name}", "must be text in quotes"))
        elif (
            not isinstance(several, list) or not several or not all(each and isinstance(each, str) for each in several)
        ):
            mistakes.append(Mistake(f"{place}.{name}", "must be a list of texts in quotes"))
        else:
            values[name] = Setting(several if "list" in about else several[0], whole="whole" in about)
    return values, mistakes


def _overlaid(
    preset: Mapping[str, Any], written: Mapping[str, object], place: str
) -> tuple[dict[str, Any], list[Mistake]]:
    """The section's fields over its preset's; an event's fields in the section itself are its only event."""
    declared = preset.get("settings", {})
    given = {key: value for key, value in written.items() if key not in declared and key not in _CASE_FIELDS}
    flat = {key: value for key, value in written.items() if key in _CASE_FIELDS}
    mistakes = []
    if flat and "events" in given:
        mistakes.append(Mistake(f"{place}.events", f"stands beside {', '.join(flat)}; use one of them"))
    elif flat:
        given["events"] = [flat]
    whole = {key: value for key, value in preset.items() if key not in {"settings", "title"}}
    verify = _merged(whole.get("verify"), given.get("verify"))
    if any(key in given for key in KEY_FIELDS) or (verify is not None and verify is given.get("verify")):
        whole = {key: value for key, value in whole.items() if key not in KEY_FIELDS}  # they are of another scheme
    return whole | {"type": "generic"} | given | ({} if verify is None else {"verify": verify}), mistakes


def _merged(preset: object, given: object) -> object:
    """The section's `verify` over the preset's, unless it names another scheme."""
    if not isinstance(preset, Mapping) or not isinstance(given, Mapping):
        return preset if given is None else given
    return {**preset, **given} if given.get("scheme", preset.get("scheme")) == preset.get("scheme") else given


def _filled(key: str, value: object, settings: Mapping[str, Setting]) -> object:
    """Expressions with `$name` as the setting's value and `$$name` as a field's name."""
    if not settings or key not in {*_EXPRESSIONS, "events"}:
        return value
    if isinstance(value, Mapping):
        return {inner: _filled(key, item, settings) for inner, item in value.items()}
    if isinstance(value, list):
        return [_filled(key, item, settings) for item in value]
    return _put(value, settings) if isinstance(value, str) else value


def _put(text: str, settings: Mapping[str, Setting]) -> str:
    """`$name` becomes the value as a literal of JMESPath, `$$name` the fields' names in it, quoted."""

    def put(found: re.Match[str]) -> str:
        setting = settings.get(found[2])
        if setting is None:
            return found[0]
        return setting.as_literal() if found[1] == "$" else setting.as_path()

    return _SETTING.sub(put, text)


def _scheme(raw: object, place: str) -> tuple[Scheme | None, list[Mistake]]:
    if raw is None:
        text = 'is required: how deliveries are verified, as in { scheme = "hmac", header = "X-Signature" }'
        return None, [Mistake(f"{place}.verify", text)]
    if not isinstance(raw, Mapping):
        return None, [Mistake(f"{place}.verify", "must be a table")]
    return read_scheme(raw, f"{place}.verify")


def _keys(
    whole: Mapping[str, Any], scheme: Scheme | None, place: str, *, need_secrets: bool
) -> tuple[tuple[Key, ...], list[Mistake]]:
    written = [key for key in KEY_FIELDS if key in whole]
    if len(written) > 1:
        return (), [Mistake(f"{place}.{written[1]}", f"stands beside {written[0]}; use one of them")]
    if scheme is None:  # which says how keys are read, so of these only their lack can be told
        lacking = [] if written or "verify" not in whole else [Mistake(f"{place}.keys", NO_KEYS)]
        return (), lacking
    if not written:
        return read_keys((), scheme, f"{place}.keys", need_secrets=need_secrets)
    raw = whole[written[0]]
    return read_keys(
        raw if isinstance(raw, list) else [raw], scheme, f"{place}.{written[0]}", need_secrets=need_secrets
    )


def _disagreements(table: SourceTable, scheme: Scheme | None, server: ServerSettings, place: str) -> list[Mistake]:
    mistakes = []
    if scheme and scheme.uses_url and not table.url and not server.public_url:
        text = (
            "signs the URL that it calls: set public_url under [server] (https://hooks.example.com), "
            "or the whole url here where a proxy changes the path"
        )
        mistakes.append(Mistake(place, text))
    if table.url and isinstance(scheme, PathToken):
        text = "can't stand beside the scheme path-token, whose token is in the path that is called here"
        mistakes.append(Mistake(f"{place}.url", text))
    if table.format not in _WITHOUT_NUMBER and not table.events:
        text = "is required: a JMESPath expression that finds the number, or a list of them, in an event"
        mistakes.append(Mistake(f"{place}.number", text))
    if table.format == "native" and table.events:
        mistakes.append(Mistake(f"{place}.format", "is native, whose events say themselves where their number is"))
    return mistakes
