"""Mobile numbers in one form."""

from __future__ import annotations

import phonenumbers
from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError


class PhoneInvalid(DomainError):
    code = "customers.phone_invalid"
    message = _("This is not a mobile phone number.")


def normalize_phone(text: str) -> str:
    """Return a mobile number in E.164 form; without a country code it is China's. Raises PhoneInvalid."""
    try:
        number = phonenumbers.parse(text, "CN")
    except phonenumbers.NumberParseException:
        raise PhoneInvalid from None
    mobile = {phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE}
    if not phonenumbers.is_valid_number(number) or phonenumbers.number_type(number) not in mobile:
        raise PhoneInvalid
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def masked_phone(phone: str) -> str:
    """Return a number with its middle hidden, for who may know that it is theirs: "138****0001"."""
    number = phone.removeprefix("+86")
    return f"{number[:3]}****{number[-4:]}" if len(number) > 7 else "****"
