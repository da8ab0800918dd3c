"""Messages of the vendors that sign the URL together with the fields of a form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from trunkline_producers.verify.encoding import Pairs, cut, form_fields, octets, only, query_fields
from trunkline_producers.verify.scheme import Reason, Unverified
from trunkline_producers.webhooks.request import WebhookRequest


def twilio(request: WebhookRequest) -> Iterator[bytes]:
    """The URL, with or without a port, and the form's fields sorted, each value of a name once.

    What is no form is covered by its SHA-256 in the query. https://www.twilio.com/docs/usage/webhooks/webhooks-security
    """
    claimed = only(query_fields(request), "bodySHA256")
    fields = form_fields(request)
    if claimed is None and fields is None:
        raise Unverified(Reason.bad_signature, "the body is no form, and the URL does not have its bodySHA256")
    if claimed is not None and not compare_digest(claimed.lower(), octets(sha256(request.body).hexdigest())):
        raise Unverified(Reason.bad_signature, "the body is not the one that the URL's bodySHA256 was made of")
    tail = _joined(sorted(set(fields or ())))
    url = cut(request.url)
    for each in dict.fromkeys((request.url, url.with_port(""), url.with_port(url.port or url.default_port))):
        yield octets(each) + tail


def didww(request: WebhookRequest) -> Iterator[bytes]:
    """The URL with its port always written out, and the fields sorted; a GET has its fields in the query.

    https://doc.didww.com/api3/2022-05-10/callbacks-details.html
    """
    url = cut(request.url)
    fields = _form(request)
    yield octets(url.with_port(url.port or url.default_port)) + _joined(sorted(fields))
    if not request.body and request.method.upper() == "GET":
        for each in (url, url._replace(rest="")):
            yield octets(each.with_port(url.port or url.default_port)) + _joined(sorted(query_fields(request)))


def plivo_v2(request: WebhookRequest) -> Iterator[bytes]:
    """The URL without its query, and the nonce. The body is not covered by it: prefer v3."""
    url = cut(request.url)
    yield octets(url._replace(rest="").with_port(url.port)) + _nonce(request, "x-plivo-signature-v2-nonce")


def plivo_v3(request: WebhookRequest) -> Iterator[bytes]:
    """The URL with its query sorted, the form's fields sorted, and the nonce, dots between them.

    https://github.com/plivo/plivo-python/blob/master/plivo/utils/signature_v3.py
    """
    url = cut(request.url)
    fields = _form(request)
    query = b"&".join(name + b"=" + value for name, value in sorted(query_fields(request)))
    message = octets(url._replace(rest="").with_port(url.port))
    if query or fields:
        message += b"?" + query
    if query and fields:
        message += b"."
    yield message + _joined(sorted(fields)) + b"." + _nonce(request, "x-plivo-signature-v3-nonce")


def _form(request: WebhookRequest) -> Pairs:
    fields = form_fields(request)
    if fields is None:
        raise Unverified(Reason.bad_signature, "only the fields of a form are signed, and the body is no form")
    return fields


def _nonce(request: WebhookRequest, header: str) -> bytes:
    nonce = request.headers.get(header)
    if not nonce:
        raise Unverified(Reason.missing_signature, f"the header {header} is missing")
    return octets(nonce)


def _joined(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(name + value for name, value in fields)


FORMS: Final[Mapping[str, Callable[[WebhookRequest], Iterator[bytes]]]] = {
    "twilio": twilio,
    "didww": didww,
    "plivo-v2": plivo_v2,
    "plivo-v3": plivo_v3,
}
