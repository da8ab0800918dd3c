"""Source of the secrets: the environment, and the files named in the configuration."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from trunkline.errors import Mistake
from trunkline.schema import Secret, SecretUnresolved, shown_variable

_SUFFIXED: Final = re.compile(r"[\w./-]{1,200}\.(?:txt|key|pem|secret|token|password|pw|env|conf)", re.ASCII)


def _surely_a_path(name: str, path: Path) -> bool:
    """True if the folder or the suffix shows that `name` is no secret written in place of a file's name."""
    try:
        return _SUFFIXED.fullmatch(name) is not None or ("/" in name and path.parent.is_dir())
    except (OSError, ValueError):
        return False


class SecretSource:
    """Resolves references to secrets, each once. With `optional`, an absent one is empty and told in `missing`."""

    def __init__(self, env: Mapping[str, str], folder: Path, *, optional: bool) -> None:
        self.missing: list[Mistake] = []
        self._env = env
        self._folder = folder
        self._optional = optional
        self._resolved: dict[str, Secret] = {}

    def __call__(self, reference: Mapping[str, str]) -> Secret:
        """The secret of {"env": NAME} or {"file": PATH}, a relative path being relative to the configuration.

        Raises SecretUnresolved, which says what to set.
        """
        return self._kept(reference, self._value)

    def if_there(self, reference: Mapping[str, str]) -> Secret:
        """The secret, empty if it is absent: for secrets that only some processes need and check themselves."""
        try:
            return self._kept(reference, self._read)
        except SecretUnresolved:
            ((kind, name),) = reference.items()
            return Secret(f"{kind}:{name}", SecretStr(""))

    def _kept(self, reference: Mapping[str, str], read: Callable[[str, str], str]) -> Secret:
        ((kind, name),) = reference.items()
        ref = f"{kind}:{name}"
        if ref not in self._resolved:
            self._resolved[ref] = Secret(ref, SecretStr(read(kind, name)))
        return self._resolved[ref]

    def _read(self, kind: str, name: str) -> str:
        if kind == "env":
            return self._from_env(name)
        return self._from_file(name)

    def _value(self, kind: str, name: str) -> str:
        try:
            return self._read(kind, name)
        except SecretUnresolved as unresolved:
            if not self._optional:
                raise
            self.missing.append(Mistake("secrets", str(unresolved)))
            return ""

    def _from_env(self, name: str) -> str:
        if value := self._env.get(name):
            return value
        lacking = "not set"
        if name in self._env:
            lacking = "empty"
        raise SecretUnresolved(f"{shown_variable(name)} is {lacking}; set it")

    def _from_file(self, name: str) -> str:
        try:
            path = self._folder / Path(name).expanduser()
            value = path.read_text("utf-8").rstrip("\r\n")
        except OSError as error:
            shown = "named here"
            if _surely_a_path(name, path):
                shown = str(path)
            raise SecretUnresolved(f"the file {shown} can't be read: {error.strerror}") from None
        except (ValueError, RuntimeError):
            raise SecretUnresolved("the file named here has no usable path or is not text in UTF-8") from None
        if not value:
            raise SecretUnresolved(f"the file {path} is empty; write the secret into it")
        return value
