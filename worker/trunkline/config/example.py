"""The commented example of a configuration, and the JSON schema that editors check one by."""

from importlib.resources import files
from pathlib import Path
from typing import Final

EXAMPLE: Final = "trunkline.example.toml"
SCHEMA: Final = "trunkline.schema.json"
_CHECKOUT: Final = Path(__file__).parents[3] / "deploy" / EXAMPLE  # an editable install has no copy of it


def example_text() -> str:
    """The example as it lies in `deploy`, and in the wheel beside this module."""
    packaged = files("trunkline.config") / EXAMPLE
    return (packaged if packaged.is_file() else _CHECKOUT).read_text("utf-8")


def schema_url() -> str:
    """Where the schema lies on this machine, as a URL: `file:///…/trunkline.schema.json`."""
    return Path(str(files("trunkline.config") / SCHEMA)).absolute().as_uri()


def with_schema(text: str) -> str:
    """The text of a configuration under a first line that tells editors (taplo, Even Better TOML) of the schema."""
    return f"#:schema {schema_url()}\n{text}"
