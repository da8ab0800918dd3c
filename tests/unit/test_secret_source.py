"""Where secrets come from, and what is said where one is not to be had."""

from pathlib import Path

import pytest

from trunkline.config.secret_source import SecretSource
from trunkline.schema import SecretUnresolved


def test_a_secret_is_read_from_the_environment_or_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(" pass phrase \r\n")
    source = SecretSource({"KEY": "value"}, tmp_path, optional=False)

    assert source({"env": "KEY"}).value.get_secret_value() == "value"
    assert source({"file": "key"}).value.get_secret_value() == " pass phrase "
    assert source({"file": str(tmp_path / "key")}).ref == f"file:{tmp_path / 'key'}"


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ({"env": "NOT_SET"}, "environment variable NOT_SET is not set"),
        ({"env": "EMPTY"}, "environment variable EMPTY is empty"),
        ({"file": "absent.key"}, "absent.key can't be read: No such file"),
        ({"file": "absent"}, "file named here can't be read: No such file"),  # it may be the secret itself
        ({"file": "empty"}, "is empty; write the secret into it"),
        ({"file": "binary"}, "is not text in UTF-8"),
        ({"file": "a\x00b"}, "no usable path"),
    ],
)
def test_what_is_not_to_be_had_is_told_of_by_its_name(tmp_path: Path, reference: dict[str, str], why: str) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff")

    with pytest.raises(SecretUnresolved, match=why):
        SecretSource({"EMPTY": ""}, tmp_path, optional=False)(reference)


def test_a_secret_written_where_its_name_belongs_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SecretUnresolved) as caught:
        SecretSource({}, tmp_path, optional=False)({"env": "planted-secret-1"})

    assert "planted" not in str(caught.value)


def test_an_optional_secret_is_empty_and_told_of_once(tmp_path: Path) -> None:
    source = SecretSource({}, tmp_path, optional=True)

    assert source({"env": "KEY"}).value.get_secret_value() == ""
    assert source({"env": "KEY"}).ref == "env:KEY"
    assert [mistake.message for mistake in source.missing] == ["the environment variable KEY is not set; set it"]
