"""Chilean mobile numbers, as lists write them and as networks send them. Pure."""

import re
import unicodedata

import phonenumbers

from hub.devices.import_fields import FieldError

# Chilean mobiles and landlines are one kind to phonenumbers: only the shape tells who can read an SMS.
_MOBILE = re.compile(r"\+569[0-9]{8}\Z")
# Any phone that a person may have written; stops letters, which phonenumbers would dial as a keypad does.
_WRITTEN = re.compile(r"\+?[0-9][0-9 ().\-/]*\Z|\([0-9][0-9 ().\-/]*\Z")
MAX_SENDER_CHARS = 40


def normal_phone(text: str) -> str:
    """A Chilean mobile as E.164; raises :class:`FieldError` for anything that gets no SMS."""
    written = " ".join(unicodedata.normalize("NFKC", text).split())
    if not written:
        raise FieldError("falta el teléfono", "Escriba el celular, por ejemplo +56987654321.")
    if not _WRITTEN.match(written):
        raise FieldError("el teléfono tiene caracteres que no son de un número", "Escriba solo el número.")
    digits = re.sub(r"[^0-9+]", "", written)
    if _is_short(digits):
        raise FieldError(
            f"{digits} es un número de emergencia o de servicio", "Escriba el celular de la persona."
        )
    # "09-8765 4321" is how mobiles were dialled until 2018; kept, the 0 makes a number of ten digits
    national = digits[1:] if digits.startswith("0") and not digits.startswith("00") else digits
    try:
        number = phonenumbers.parse(national, "CL")
    except phonenumbers.NumberParseException:
        raise FieldError("el teléfono no es un número posible", "Revise las cifras.") from None
    phone = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if not phonenumbers.is_valid_number(number) or not _MOBILE.match(phone):
        raise FieldError(
            "el teléfono no es un celular chileno que exista",
            "Debe tener la forma +569 y ocho cifras; los fijos no reciben SMS.",
        )
    return phone


def _is_short(digits: str) -> bool:
    number = phonenumbers.PhoneNumber(country_code=56, national_number=int(digits.lstrip("+") or 0))
    return len(digits) <= 5 or phonenumbers.is_valid_short_number_for_region(number, "CL")


def sender_of(number: str) -> tuple[str, bool]:
    """The number of a text that came in, and whether it is a Chilean mobile, which alone gets answers.

    Networks send national and international forms of one number, services a name or a short number.
    """
    try:
        return normal_phone(number), True
    except FieldError:
        kept = "".join(c for c in number if c.isprintable())
        return kept[:MAX_SENDER_CHARS] or "?", False


def masked(phone: str) -> str:
    """``+569 •••• 4321``: enough to tell two numbers apart, too little to call one."""
    return f"{phone[:4]} •••• {phone[-4:]}" if _MOBILE.match(phone) else phone
