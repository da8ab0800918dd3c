"""The body of an attach request: exactly the documented fields, and the only place where a secret is revealed."""

from collections.abc import Sequence

from trunkline.profiles.profile import Profile
from trunkline.schema import Secret


def request_body(profile: Profile, numbers: Sequence[str]) -> dict[str, object]:
    """The JSON of `POST /v1/sip/attach` for 1 to 100 numbers: `phone_number` for one, `phone_numbers` for several.

    It holds secrets in clear: send it, and never log or keep it. Raises ValueError for no number, more than 100, or one
    that is there twice. https://docs.bland.ai/api-v1/post/sip-attach
    """
    if not 1 <= len(numbers) <= 100:
        raise ValueError(f"a call takes 1 to 100 numbers, not {len(numbers)}")
    if len(set(numbers)) != len(numbers):
        raise ValueError("a call names each number once")
    body: dict[str, object] = {"phone_number": numbers[0]} if len(numbers) == 1 else {"phone_numbers": list(numbers)}
    body["directions"] = [direction.as_fields(_revealed) for direction in profile.directions]
    body["service"] = profile.service
    if profile.trunk_id is not None:
        body["trunk_id"] = profile.trunk_id
    return body


def _revealed(secret: Secret) -> str:
    return secret.value.get_secret_value()
