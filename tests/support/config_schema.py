"""The JSON schema of `trunkline.toml`, for editors: made from the models that read the file.

It says what an editor can use: names, types, bounds, defaults. What spans several fields only `trunkline check` says.
`python tests/support/config_schema.py` writes it to where the package has it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from trunkline.config.parser import SECTIONS
from trunkline.config.sections import Account, ServerSettings, StoreSettings, WorkerSettings
from trunkline.events.intake import NumberRules
from trunkline.events.number_traits import TYPES
from trunkline.events.routing import Route
from trunkline.profiles.directions import CustomHeader, UuiHeader
from trunkline.profiles.profile import BatchRules, Profile, RetryRules
from trunkline.schema import NAME, Table
from trunkline_producers.carriers import ApiTable
from trunkline_producers.sources.config import CaseTable, SourceTable
from trunkline_producers.sources.presets import KEY_FIELDS, presets
from trunkline_producers.verify.config import SCHEMES
from trunkline_producers.verify.jwt import DIGESTS
from trunkline_producers.verify.keys import KeyTable
from trunkline_producers.webhooks.expressions import MAX_LENGTH

FILE: Final = Path(__file__).parents[2] / "worker/trunkline/config/trunkline.schema.json"
ONE: Final[Mapping[str, type[Table]]] = {
    "store": StoreSettings, "batch": BatchRules, "retry": RetryRules, "worker": WorkerSettings,
    "numbers": NumberRules, "server": ServerSettings,
}  # fmt: skip
NAMED: Final[Mapping[str, type[Table]]] = {"accounts": Account, "profiles": Profile}


REFERENCE: Final = {
    "type": "object",
    "description": 'A secret is never written in the file: { env = "NAME" } or { file = "PATH" }.',
    "properties": {"env": {"type": "string", "minLength": 1}, "file": {"type": "string", "minLength": 1}},
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
}
TEXT_OR_REFERENCE: Final = {"anyOf": [{"type": "string"}, REFERENCE]}
TEXTS: Final = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
WRITTEN: Final[Mapping[str, dict[str, Any]]] = {  # what may be written where a function reads it, by its name
    "read_secret": REFERENCE,
    "_redis_url": TEXT_OR_REFERENCE,
    "_url": TEXT_OR_REFERENCE,
    "_public": TEXT_OR_REFERENCE,
    "_path": {"type": "string", "minLength": 1},
    "_texts": TEXTS,
    "_message": TEXTS,
    "_pairs": {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
    "_expression": {"type": "string", "maxLength": MAX_LENGTH, "description": "A JMESPath expression."},
    "_event_id": {"type": "string", "description": 'A JMESPath expression, or "header:NAME".'},
    "_algorithms": {"type": "array", "items": {"enum": list(DIGESTS)}, "minItems": 1},
}
MODELS: Final[Mapping[str, tuple[type[Table], ...]]] = {"_header": (CustomHeader, UuiHeader)}  # or one of these


class _Generator(GenerateJsonSchema):
    """Pydantic's, with unknown fields refused, and an error for a field of which nobody said what may be written."""

    ignored_warning_kinds: ClassVar[Any] = {"skipped-choice", "non-serializable-default"}

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        return super().model_schema(schema) | {"additionalProperties": False}

    def function_plain_schema(self, schema: Any) -> JsonSchemaValue:
        name = schema["function"]["function"].__name__
        if name in MODELS:
            return {"anyOf": [self.generate_inner(each.__pydantic_core_schema__) for each in MODELS[name]]}
        if name not in WRITTEN:
            raise TypeError(f"say in WRITTEN or MODELS what may be written where {name} reads it")
        return dict(WRITTEN[name])

    def nullable_schema(self, schema: Any) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])  # TOML has no null: what is not set is left out

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        made = super().default_schema(schema)
        return made if made.get("default", "") is not None else {k: v for k, v in made.items() if k != "default"}

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False


def config_schema() -> dict[str, Any]:
    """The schema of the whole file."""
    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {section: _of(model, definitions) for section, model in ONE.items()}
    properties |= {section: _table_of(_of(model, definitions), NAME.pattern) for section, model in NAMED.items()}
    properties["routes"] = {"type": "array", "items": _of(Route, definitions)}
    one = {"enum": list(TYPES)}
    definitions["When"]["properties"]["type"] = {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}
    properties["sources"] = _table_of(_source(definitions), "[A-Za-z0-9._-]{1,64}")
    for model in NAMED.values():
        _without_name(definitions[model.__name__])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "trunkline.toml",
        "description": "The configuration of trunkline.",
        "type": "object",
        "properties": {section: properties[section] for section in SECTIONS},
        "additionalProperties": False,
        "$defs": dict(sorted(definitions.items())),
    }


def _of(model: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    """A reference to the model's schema, which joins the definitions with all that it needs."""
    made = model.model_json_schema(schema_generator=_Generator)
    definitions |= made.pop("$defs", {})
    definitions[model.__name__] = made
    return {"$ref": f"#/$defs/{model.__name__}"}


def _table_of(value: object, names: str) -> dict[str, Any]:
    return {"type": "object", "propertyNames": {"pattern": f"^{names}$"}, "additionalProperties": value}


def _without_name(definition: dict[str, Any]) -> None:
    """The name of an account or a profile is that of its table."""
    del definition["properties"]["name"]
    definition["required"] = [each for each in definition.get("required", []) if each != "name"]


def _source(definitions: dict[str, Any]) -> dict[str, Any]:
    """A source over its type, which may give each of its fields: so none is required."""
    _of(SourceTable, definitions)
    case = _of(CaseTable, definitions)
    _of(ApiTable, definitions)
    key = _of(KeyTable, definitions)
    definitions["ApiTable"]["required"] = ["key"]
    source = definitions["SourceTable"]
    keys = {"anyOf": [definitions["KeyTable"]["properties"]["key"], key]}
    source["properties"] |= {
        **definitions["CaseTable"]["properties"],
        "type": {"enum": sorted(presets()), "default": "generic", "description": _titles()},
        "events": {"type": "array", "items": case, "maxItems": 32},
        "verify": _verify(definitions),
        "api": {"$ref": "#/$defs/ApiTable"},
        **{field: {"anyOf": [{"type": "array", "items": keys, "minItems": 1}, keys]} for field in KEY_FIELDS},
        **_settings(),
    }
    del source["required"]
    return {"$ref": "#/$defs/SourceTable"}


def _titles() -> str:
    return "\n".join(f"{name}: {preset['title']}" for name, preset in sorted(presets().items()))


def _settings() -> dict[str, Any]:
    """What the types leave to the section: one field each, of whatever types ask for it."""
    found: dict[str, list[str]] = {}
    for name, preset in sorted(presets().items()):
        for setting, declared in preset.get("settings", {}).items():
            about = declared["about"] if isinstance(declared, Mapping) else declared
            found.setdefault(setting, []).append(f"{name}: {about}")
    texts = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    return {setting: texts | {"description": "\n".join(about)} for setting, about in found.items()}


def _verify(definitions: dict[str, Any]) -> dict[str, Any]:
    """The fields of every scheme: a type may give some of them, so which are needed is not said here."""
    fields: dict[str, list[Any]] = {}
    for model in SCHEMES.values():
        made = model.model_json_schema(schema_generator=_Generator)
        definitions |= made.get("$defs", {})
        for name, field in made["properties"].items():
            without_default = {key: value for key, value in field.items() if key != "default"}
            if without_default not in fields.setdefault(name, []):
                fields[name].append(without_default)
    properties = {name: found[0] if len(found) == 1 else {"anyOf": found} for name, found in fields.items()}
    properties["scheme"] = {"enum": list(SCHEMES)}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def as_text() -> str:
    """The file's text."""
    return json.dumps(config_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(as_text(), "utf-8")
