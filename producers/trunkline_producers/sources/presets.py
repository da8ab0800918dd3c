"""The built-in types of sources, and a section laid over the preset of its type."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from trunkline.errors import Mistake
from trunkline_producers.sources.config import CaseTable

KEY_FIELDS: Final = ("keys", "public_keys", "key")
_CASE_FIELDS: Final = tuple(CaseTable.model_fields)
_SETTING: Final = re.compile(r"(\${1,2})([a-z_]+)", re.ASCII)
_EXPRESSIONS: Final = {*_CASE_FIELDS, "batch", "require", "events"}

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """A section's value for what its preset leaves open. `whole`: dots in it belong to the name of the field."""

    value: str | list[str]
    whole: bool = False

    def as_literal(self) -> str:
        """The value as a literal of JMESPath."""
        return "`" + json.dumps(self.value).replace("`", "\\`") + "`"

    def as_path(self) -> str:
        """The names of the fields, quoted."""
        steps = [self.value]
        if not self.whole:
            steps = [*str(self.value).split(".")]
        return ".".join(map(json.dumps, steps))


@cache
def presets() -> Mapping[str, Mapping[str, Any]]:
    """The built-in types of sources by name, from the package's data."""
    text = (files("trunkline_producers.sources") / "presets.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def overlaid(preset: Mapping[str, Any], written: Mapping[str, object], place: str) -> tuple[Fields, list[Mistake]]:
    """The fields of a section over those of its preset, with its settings filled in, and every mistake."""
    settings, mistakes = _settings(preset, written, place)
    given, found = _given(preset, written, place)
    whole = {key: value for key, value in preset.items() if key not in {"settings", "title"}}
    verify = _verify(whole.get("verify"), given.get("verify"))
    if verify is not None:
        of_another_scheme = verify is given.get("verify")
        given["verify"] = verify
        if of_another_scheme or any(key in given for key in KEY_FIELDS):
            whole = {key: value for key, value in whole.items() if key not in KEY_FIELDS}
    whole = {"type": "generic", **whole, **given}
    return {key: _filled(key, value, settings) for key, value in whole.items()}, [*mistakes, *found]


def _given(preset: Mapping[str, Any], written: Mapping[str, object], place: str) -> tuple[Fields, list[Mistake]]:
    """The section without its settings; an event's fields in the section itself become its only event."""
    declared = preset.get("settings", {})
    given = {key: value for key, value in written.items() if key not in declared and key not in _CASE_FIELDS}
    flat = {key: value for key, value in written.items() if key in _CASE_FIELDS}
    if flat and "events" in given:
        return given, [Mistake(f"{place}.events", f"stands beside {', '.join(flat)}; use one of them")]
    if flat:
        given["events"] = [flat]
    return given, []


def _verify(preset: object, given: object) -> object:
    """The section's `verify` over the preset's, unless it names another scheme."""
    if given is None:
        return preset
    if not isinstance(preset, Mapping) or not isinstance(given, Mapping):
        return given
    if given.get("scheme", preset.get("scheme")) != preset.get("scheme"):
        return given
    return {**preset, **given}


def _settings(
    preset: Mapping[str, Any], written: Mapping[str, object], place: str
) -> tuple[dict[str, Setting], list[Mistake]]:
    """The section's value for each setting of its preset."""
    values: dict[str, Setting] = {}
    mistakes: list[Mistake] = []
    for name, declared in preset.get("settings", {}).items():
        about = declared
        if not isinstance(about, Mapping):
            about = {"about": declared}
        try:
            values[name] = _setting(written.get(name, about.get("default")), about)
        except ValueError as error:
            mistakes.append(Mistake(f"{place}.{name}", str(error)))
            values[name] = Setting("missing")  # so that the expressions can be read and this alone is told
    return values, mistakes


def _setting(value: object, about: Mapping[str, str]) -> Setting:
    """Read one setting. Raises ValueError with the mistake."""
    if value is None:
        raise ValueError(f"is required: {about['about']}")
    if "list" not in about:
        if not isinstance(value, str) or not value:
            raise ValueError("must be text in quotes")
        return Setting(value, whole="whole" in about)
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value or not all(each and isinstance(each, str) for each in value):
        raise ValueError("must be a list of texts in quotes")
    return Setting(value, whole="whole" in about)


def _filled(key: str, value: object, settings: Mapping[str, Setting]) -> object:
    """Expressions with `$name` as the setting's value and `$$name` as a field's name."""
    if not settings or key not in _EXPRESSIONS:
        return value
    if isinstance(value, Mapping):
        return {inner: _filled(key, item, settings) for inner, item in value.items()}
    if isinstance(value, list):
        return [_filled(key, item, settings) for item in value]
    if isinstance(value, str):
        return _SETTING.sub(lambda found: _put(found, settings), value)
    return value


def _put(found: re.Match[str], settings: Mapping[str, Setting]) -> str:
    """`$name` as a literal of JMESPath, `$$name` as the quoted names of fields; another name as it is."""
    setting = settings.get(found[2])
    if setting is None:
        return found[0]
    if found[1] == "$":
        return setting.as_literal()
    return setting.as_path()
