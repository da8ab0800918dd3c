"""The table `[sources.NAME.api]`: a carrier's API."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field

from trunkline.http.urls import http_url, on_loopback
from trunkline.schema import SecretField, Table, Text, fault

TWILIO_AUDIT_LOG: Final = "https://monitor.twilio.com"


def carrier_url(text: str) -> str:
    """A base URL without its last slash. Raises a mistake for http to another machine, as a key is sent there."""
    url = http_url(text)
    if url.startswith("http:") and not on_loopback(url):
        raise fault("is http, so the key would travel in clear; use https")
    return url


class ApiTable(Table):
    """A carrier's API: its URL and key, the time-out of a request in seconds, and how many numbers a page has.

    `account` is Twilio's account SID or Bandwidth's account number, `user` Twilio's API key SID (default: the account
    SID) or Bandwidth's client id. Only Bandwidth has `auth`, only Twilio `audit_url`.
    """

    what: ClassVar[str] = "a carrier's API"
    url: Annotated[str, AfterValidator(carrier_url)]
    key: SecretField
    user: Text | None = None
    account: Annotated[Text, Field(pattern=r"^[A-Za-z0-9_-]+$")] | None = None
    timeout_s: float = Field(default=20.0, gt=0, le=600)
    page_size: int = Field(default=250, ge=1, le=2500)
    auth: Literal["oauth2", "basic"] = "oauth2"
    audit_url: Annotated[str, AfterValidator(carrier_url)] = TWILIO_AUDIT_LOG
