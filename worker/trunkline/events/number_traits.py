"""What is known of a number by its digits: country, area and type, by phonenumbers' tables."""

from functools import cached_property
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType

TYPES: Final = {
    "fixed_line": PhoneNumberType.FIXED_LINE,
    "mobile": PhoneNumberType.MOBILE,
    "fixed_line_or_mobile": PhoneNumberType.FIXED_LINE_OR_MOBILE,
    "toll_free": PhoneNumberType.TOLL_FREE,
    "premium_rate": PhoneNumberType.PREMIUM_RATE,
    "shared_cost": PhoneNumberType.SHARED_COST,
    "voip": PhoneNumberType.VOIP,
    "personal_number": PhoneNumberType.PERSONAL_NUMBER,
    "pager": PhoneNumberType.PAGER,
    "uan": PhoneNumberType.UAN,
    "voicemail": PhoneNumberType.VOICEMAIL,
}
_UNDECIDED: Final = "fixed_line_or_mobile"  # all of North America: the digits don't tell
_TYPES_OF: Final = {kind: frozenset({name}) for name, kind in TYPES.items()} | {
    TYPES[_UNDECIDED]: frozenset({_UNDECIDED, "fixed_line", "mobile"})
}


class Traits:
    """The traits of one number in E.164, as `normalise` gives it; each is looked up when first asked for, and once."""

    def __init__(self, number: str) -> None:
        self.number = number

    @cached_property
    def country(self) -> str:
        """The region: `US`, `GB`; `001` for non-geographic.

        A number in no known range counts for the main country of its country code.
        """
        region = phonenumbers.region_code_for_number(self._parsed)
        return region or phonenumbers.region_code_for_country_code(self._parsed.country_code or 0)

    @cached_property
    def types(self) -> frozenset[str]:
        """The words of TYPES that hold for it; none for a number in no known range."""
        return _TYPES_OF.get(phonenumbers.number_type(self._parsed), frozenset())

    @cached_property
    def areas(self) -> frozenset[str]:
        """The geocoder's description in English and its parts, case-folded: "san francisco, ca", "san francisco", "ca".

        It is the country's name for most mobile numbers, and nothing for numbers without a place. The first time costs
        0.3 s and 100 MB: the geocoder's tables are loaded.
        """
        from phonenumbers import geocoder  # noqa: PLC0415 - large, and few routes ask

        described = geocoder.description_for_number(self._parsed, "en")
        # a number in no known range, which numbers.check = "possible" takes, still has an area code
        described = (described or geocoder.description_for_valid_number(self._parsed, "en")).casefold()
        return frozenset({described, *(part.strip() for part in described.split(","))} - {""})

    @cached_property
    def _parsed(self) -> PhoneNumber:
        return phonenumbers.parse(self.number, None)
