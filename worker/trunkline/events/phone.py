"""Raw text to a number as the API knows it: `+E.164`, or under a trunk a DID or an extension verbatim.

Metadata and parsing are phonenumbers' (libphonenumber). What it would guess at is refused here with a reason instead:
an extension, a short code, a spreadsheet's float, letters that are not a vanity number.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, ValidationResult
from phonenumbers.shortnumberinfo import is_valid_short_number

from trunkline.errors import TrunklineError

Check: TypeAlias = Literal["possible", "valid"]

MAX_TEXT: Final = 120  # characters of raw text; the longest number is 15 digits
MAX_IDENTITY: Final = 64  # characters of a DID or an extension

_PLAIN: Final = re.compile(r"\+[1-9][0-9]{7,14}")
_URI: Final = re.compile(
    r"(?P<scheme>tel|sips?|im|pres|callto|skype|sms|whatsapp|mailto|https?):(?://)?(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_FLOAT: Final = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?e[+-]?[0-9]+|[+-]?[0-9]{6,}\.0+", re.IGNORECASE)
_INTERNATIONAL: Final = re.compile(r"([\s(\[]*)00(?=[\s()\[\]./-]*[1-9])")
_START: Final = re.compile(r"[\s(\[]*[+0-9]")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_EXTENSION: Final = re.compile(
    r"(?:\bext(?:ensi[oó]n|n)?|\bint(?:ern)?|\banexo|[x#;])[\s:.=]*[0-9]{1,20}#?\s*$", re.IGNORECASE
)
_IDENTITY: Final = re.compile(r"[\x21-\x7e]{1,64}")

_MIN_DIGITS: Final = 7  # of a number that an extension could follow
_WITH_EXTENSION: Final = re.compile(
    rf"(?:[().\-]*[0-9]){{{_MIN_DIGITS},}}[().\-]*(?:;?ext(?:ensi[oó]n|n)?|[x#;])[.:=]*[0-9]{{1,20}}#?",
    re.IGNORECASE,
)

_A_FLOAT: Final = "looks like a spreadsheet's number; format the column as text and export it again"
_NO_EXTENSION: Final = "has an extension, and the API attaches whole numbers only; send the number without it"
_ONLY_TRUNKS: Final = "a short code or an extension is taken only under a profile with a trunk_id"


class NumberRefused(TrunklineError):
    """Text that gives no number. `reason` is a sentence for people that doesn't repeat the text; `raw` is the text."""

    def __init__(self, raw: str, reason: str) -> None:
        super().__init__(reason)
        self.raw = raw
        self.reason = reason


def normalise(raw: str, *, region: str | None, check: Check) -> str:
    """The number in E.164: `+` and 2 to 15 digits. Raises NumberRefused for anything else, and nothing but that.

    `region` (two capital letters) reads numbers without a country code. `possible` asks for a length that the country
    has, `valid` for a range that it is known to use: the attach page's own +14150000000 is possible and not valid.
    """
    if _PLAIN.fullmatch(raw):
        return _e164(raw, raw, None, check)
    text = _readable(raw)
    if match := _URI.fullmatch(text):
        text = _from_uri(raw, match["scheme"], match["rest"])
    _refuse_guesses(raw, text)
    text = _INTERNATIONAL.sub(r"\1+", text, count=1) if _INTERNATIONAL.match(text) else text
    return _e164(raw, text, region, check)


def identity(raw: str, *, region: str | None, check: Check) -> str:
    """A number for a profile that is bound to a trunk. Raises NumberRefused only.

    As the API does: what begins with `+` is E.164; all else is a DID or an extension and kept verbatim (outer spaces
    aside), 1 to 64 printable ASCII characters without spaces. What is clearly a number that was mangled is refused.
    """
    text = _readable(raw)
    match = _URI.fullmatch(text)
    if match and match["scheme"].lower() in {"sip", "sips", "tel"}:
        return normalise(text, region=region, check=check)
    if text.startswith("+"):
        return normalise(text, region=region, check=check)
    verbatim = raw.strip()
    if not _IDENTITY.fullmatch(verbatim):
        raise NumberRefused(raw, f"is no DID or extension: 1 to {MAX_IDENTITY} ASCII characters without spaces")
    if _FLOAT.fullmatch(verbatim) and float(verbatim.replace(",", ".")) >= 10**_MIN_DIGITS:
        raise NumberRefused(raw, _A_FLOAT)
    if _WITH_EXTENSION.fullmatch(verbatim):
        raise NumberRefused(raw, _NO_EXTENSION)
    return verbatim


def spellings(number: str) -> tuple[str, ...]:
    """The ways a number in E.164 may stand in the books: as that, and as `identity` leaves one that came without a +.

    Those are its digits with the country code, and within the country, there also with what is dialled in front.
    """
    parsed = phonenumbers.parse(number, None)
    national = phonenumbers.national_significant_number(parsed)
    dialled = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    digits = "".join(filter(str.isdecimal, dialled))
    return tuple(dict.fromkeys((number, number.removeprefix("+"), national, digits)))


def regions() -> frozenset[str]:
    """The regions whose numbers can be read without a country code, as two capital letters."""
    return frozenset(phonenumbers.SUPPORTED_REGIONS)


def mask(number: str) -> str:
    """A number for a log: all but the last four characters hidden, a leading + kept."""
    hidden = max(len(number) - 4, 0)
    plus = "+" if number.startswith("+") and hidden else ""
    return plus + "•" * (hidden - len(plus)) + number[hidden:]


def _readable(raw: str) -> str:
    """The text without what cannot be seen, compatibility forms (full-width digits) as their plain ones."""
    if len(raw) > MAX_TEXT:
        raise NumberRefused(raw, f"is {len(raw)} characters long, which no phone number is")
    if any(unicodedata.category(char) == "No" for char in raw):
        raise NumberRefused(raw, "holds superscript or circled digits, which are not part of a number")
    text = "".join(map(_plain_digit, unicodedata.normalize("NFKC", raw))).strip().removeprefix("'")
    if not text:
        raise NumberRefused(raw, "is empty")
    return text


def _plain_digit(char: str) -> str:
    """A digit of any script as ASCII, nothing for an invisible mark, any other character as it is."""
    if char.isascii():
        return char
    return "" if unicodedata.category(char) == "Cf" else str(unicodedata.decimal(char, char))


def _from_uri(raw: str, scheme: str, rest: str) -> str:
    if scheme.lower() != "tel":
        raise NumberRefused(raw, f"is a {scheme.lower()}: address, not a phone number; send the number itself")
    number, *parameters = unquote(rest).strip().split(";")
    known = {name.strip().lower(): value.strip() for name, _, value in (each.partition("=") for each in parameters)}
    if "ext" in known or "isub" in known:
        raise NumberRefused(raw, _NO_EXTENSION)
    context = known.get("phone-context")
    if context is None or number.startswith("+"):
        return number
    if not context.startswith("+"):
        raise NumberRefused(
            raw, "is local to a private phone-context; send the whole number with its + and country code"
        )
    return context + number


def _refuse_guesses(raw: str, text: str) -> None:
    for found, reason in _guesses(text):
        if found:
            raise NumberRefused(raw, reason)


def _guesses(text: str) -> Iterator[tuple[object, str]]:
    """What phonenumbers would take a guess at, each with the reason to refuse it."""
    yield _FLOAT.fullmatch(text), _A_FLOAT
    yield not _START.match(text), "does not begin like a phone number: with +, a digit or a bracket"
    yield _EXTENSION.search(text), _NO_EXTENSION
    words = _LETTERS.findall(text)
    if words:
        letters = "".join(words)
        yield not letters.isascii() or max(map(len, words)) < 3, "has letters among its digits"
        yield set(letters.upper()) <= set("OIL"), "has the letters O, I or L where digits belong"


def _parsed(raw: str, text: str, region: str | None) -> PhoneNumber:
    try:
        return phonenumbers.parse(text, region)
    except NumberParseException as error:
        raise NumberRefused(raw, _why_not_parsed(error.error_type, text, region)) from None


def _why_not_parsed(kind: int, text: str, region: str | None) -> str:
    if kind == NumberParseException.INVALID_COUNTRY_CODE and "+" not in text and region is None:
        return "has no country code, and no region is set to read it by ([numbers] region); send it with + and the code"
    if kind == NumberParseException.INVALID_COUNTRY_CODE:
        return "begins with a country code that does not exist"
    if kind == NumberParseException.TOO_LONG:
        return "is too long to be a phone number"
    if kind in (NumberParseException.TOO_SHORT_NSN, NumberParseException.TOO_SHORT_AFTER_IDD):
        return f"is too short to be a phone number; {_ONLY_TRUNKS}"
    return "is not a phone number"


def _e164(raw: str, text: str, region: str | None, check: Check) -> str:
    parsed = _parsed(raw, text, region)
    national = phonenumbers.national_significant_number(parsed)
    number = f"+{parsed.country_code}{national}"
    reason = _why_not_possible(parsed, national)
    if parsed.extension:
        reason = _NO_EXTENSION
    elif parsed.country_code != 1 and _LETTERS.search(text):
        reason = "has letters among its digits; only under country code 1 are they read as keypad digits"
    elif reason is None and number != text and not _settled(raw, number):
        reason = "is not a phone number; its leading zeros can be read in two ways"
    elif reason is None and check == "valid" and not phonenumbers.is_valid_number(parsed):
        reason = 'is in no range that is known to be in use; check = "possible" would take it'
    if reason is not None:
        raise NumberRefused(raw, reason)
    return number


def _settled(raw: str, number: str) -> bool:
    """Whether a number reads as itself, so that reading it twice is reading it once."""
    again = _parsed(raw, number, None)
    return number == f"+{again.country_code}{phonenumbers.national_significant_number(again)}"


def _why_not_possible(parsed: PhoneNumber, national: str) -> str | None:
    if len(national) <= 6 and is_valid_short_number(parsed) and not phonenumbers.is_valid_number(parsed):
        return f"is a short code; {_ONLY_TRUNKS}"
    verdict = phonenumbers.is_possible_number_with_reason(parsed)
    if verdict != ValidationResult.IS_POSSIBLE:
        return _IMPOSSIBLE.get(verdict, "has a length that its country does not use")
    if len(str(parsed.country_code)) + len(national) > 15:
        return "has more than the 15 digits of E.164"
    return None


_IMPOSSIBLE: Final = {
    ValidationResult.TOO_SHORT: f"is too short to be a phone number; {_ONLY_TRUNKS}",
    ValidationResult.TOO_LONG: "is too long for its country; one that begins with a country code needs its +",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "lacks its area code",
    ValidationResult.INVALID_COUNTRY_CODE: "begins with a country code that does not exist",
}
