"""Stand-ins for carriers' APIs: the documented pages of some numbers, as callables for `http_servers.answering`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import parse_qs, urlsplit

from support.http_servers import Reply

KEY: Final = "KEY0123456789"
ACCOUNT: Final = "AC" + "0" * 32
Answer = Callable[[str], Reply]


def number_sid(number: str) -> str:
    return "PN" + number.removeprefix("+").rjust(32, "0")


def us_numbers(count: int, first: int = 0) -> list[str]:
    return [f"+1415555{first + n:04d}" for n in range(count)]


def answer_json(document: object, status: int = 200) -> Reply:
    return status, {"Content-Type": "application/json"}, json.dumps(document).encode()


def answer_xml(text: str) -> Reply:
    return 200, {"Content-Type": "application/xml"}, f'<?xml version="1.0"?>{text}'.encode()


def troubled(answer: Answer, troubles: dict[int, Reply]) -> Answer:
    """The same API, which at some requests (counted from 0) answers something else."""
    turn = -1

    def answered(path: str) -> Reply:
        nonlocal turn
        turn += 1
        return troubles.get(turn) or answer(path)

    return answered


def telnyx(numbers: Sequence[str], order: str = "order-1", honours_filter: bool = True) -> Answer:
    """`GET /phone_numbers`, `/porting_orders/{id}` (which shows its first 50) and `/porting_phone_numbers`."""

    def listed(path: str) -> Reply:
        asked = query(path)
        number, size = int(asked["page[number]"]), int(asked["page[size]"])
        here = numbers[(number - 1) * size : number * size]
        if urlsplit(path).path.endswith("/porting_phone_numbers"):
            other: list[dict[str, object]] = (
                [] if honours_filter else [{"phone_number": "13035550987", "porting_order_id": "another"}]
            )
            items: list[dict[str, object]] = [
                {"phone_number": n.removeprefix("+"), "porting_order_id": order} for n in here
            ]
            items += other
        else:
            items = [telnyx_number(n) for n in here]
        pages = -(-len(numbers) // size)
        meta = {"page_number": number, "page_size": size, "total_pages": pages, "total_results": len(numbers)}
        return answer_json({"data": items, "meta": meta})

    def one(path: str) -> Reply:
        if not path.endswith(f"/{order}"):
            return answer_json({"errors": [{"code": "10005", "title": "Resource not found"}]}, 404)
        shown = [{"phone_number": n} for n in numbers[:50]]
        return answer_json({"data": {"id": order, "phone_numbers": shown, "porting_phone_numbers_count": len(numbers)}})

    return lambda path: one(path) if "/porting_orders/" in path else listed(path)


def telnyx_number(number: str) -> dict[str, object]:
    return {
        "id": number.removeprefix("+"), "record_type": "phone_number", "phone_number": number, "status": "active",
        "connection_id": "1293384261075731499", "customer_reference": "MY REF 001", "tags": ["tag"],
        "purchased_at": "2019-10-23T18:10:00.000Z", "created_at": "2019-10-23T18:10:00.000Z",
    }  # fmt: skip


def twilio(numbers: Sequence[str], bought: Sequence[str] = (), elsewhere: str = "") -> Answer:
    """`IncomingPhoneNumbers`, one by one and in pages, and the audit log; `elsewhere` goes in front of every link."""
    base = f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers"

    def listed(path: str) -> Reply:
        asked = query(path)
        page, size = int(asked.get("Page", "0")), int(asked["PageSize"])
        items = [twilio_number(n) for n in numbers[page * size : (page + 1) * size]]
        more = (page + 1) * size < len(numbers)
        link = f"{elsewhere}{base}.json?PageSize={size}&Page={page + 1}&PageToken=PA{page}" if more else None
        return answer_json({"incoming_phone_numbers": items, "page": page, "page_size": size, "next_page_uri": link})

    def events(path: str) -> Reply:
        kind = query(path)["EventType"]
        items = [twilio_event(n) for n in bought] if kind == "phone-number.created" else []
        return answer_json(
            {"events": items, "meta": {"page": 0, "page_size": 50, "key": "events", "next_page_url": None}}
        )

    def answered(path: str) -> Reply:
        where = urlsplit(path).path
        if where == "/v1/Events":
            return events(path)
        if where == f"{base}.json":
            return listed(path)
        for number in numbers:
            if where == f"{base}/{number_sid(number)}.json":
                return answer_json(twilio_number(number))
        return answer_json({"code": 20404, "message": f"The requested resource {where} was not found"}, 404)

    return answered


def twilio_number(number: str, voice: bool = True) -> dict[str, object]:
    return {
        "account_sid": ACCOUNT, "sid": number_sid(number), "phone_number": number, "friendly_name": "Front desk",
        "capabilities": {"mms": True, "sms": True, "voice": voice}, "origin": "twilio", "status": "in-use",
        "date_created": "Thu, 30 Jul 2015 23:19:04 +0000", "trunk_sid": None,
    }  # fmt: skip


def twilio_event(number: str) -> dict[str, object]:
    return {
        "sid": "AE" + number.removeprefix("+").rjust(32, "0"), "event_type": "phone-number.created",
        "event_date": "2026-11-22T16:48:25Z", "resource_sid": number_sid(number), "resource_type": "phone-number",
        "account_sid": ACCOUNT, "event_data": {}, "description": None, "source": "web",
    }  # fmt: skip


def bandwidth(numbers: Sequence[str], listing: str = "tns", links: bool = True) -> Answer:
    """The token, and one of the two listings, the other being forbidden; `links` False gives none to the next page."""

    def listed(path: str) -> Reply:
        asked = query(path)
        page, size = int(asked["page"]), int(asked["size"])
        here = [n.removeprefix("+1") for n in numbers[(page - 1) * size : page * size]]
        url = f"https://dashboard.bandwidth.com:443/v1.0/tns?page={page + 1}&amp;size={size}"
        more = links and page * size < len(numbers)
        link = (
            f'<Links><first>(a link)</first><next>Link=&lt;{url}&gt;;rel="next";</next></Links>' if more else "<Links/>"
        )
        if listing == "tns":
            items = "".join(
                f"<TelephoneNumber><City>CARY</City><FullNumber>{n}</FullNumber><Status>Inservice</Status></TelephoneNumber>"
                for n in here
            )
            count = f"<TelephoneNumberCount>{len(numbers)}</TelephoneNumberCount>"
            return answer_xml(
                f"<TelephoneNumbersResponse>{count}{link}<TelephoneNumbers>{items}</TelephoneNumbers></TelephoneNumbersResponse>"
            )
        items = "".join(f"<TelephoneNumber>{n}</TelephoneNumber>" for n in here)
        counts = f"<TotalCount>{len(numbers)}</TotalCount>{link}<TelephoneNumbers><Count>{len(here)}</Count>"
        return answer_xml(f"<TNs>{counts}{items}</TelephoneNumbers></TNs>")

    def answered(path: str) -> Reply:
        if path.endswith("/v1/oauth2/token"):
            return answer_json({"access_token": "tok-1", "expires_in": 3600, "token_type": "Bearer"})
        return listed(path) if urlsplit(path).path.endswith("/tns") == (listing == "tns") else (403, {}, b"")

    return answered


def didww(numbers: Sequence[str]) -> Answer:
    """`GET /dids`."""

    def answered(path: str) -> Reply:
        asked = query(path)
        number, size = int(asked["page[number]"]), int(asked["page[size]"])
        items = [
            {"id": f"did-{n}", "type": "dids", "attributes": {"number": n.removeprefix("+"), "blocked": False}}
            for n in numbers[(number - 1) * size : number * size]
        ]
        return answer_json({"data": items, "meta": {"total_records": len(numbers), "api_version": "2026-04-16"}})

    return answered


def query(path: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
