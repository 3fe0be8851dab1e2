"""What counts as one name: the rules and canonical forms of usernames, e-mail addresses and what else is typed.

Used by every door that takes a name (the API's inputs, the commands, the admin and its sign-in). The unique columns
hold the canonical forms, so two spellings of one name are one name. Pure.
Sources: UTS 39 (one script a name), UAX 31 table 5 (scripts in use), RFC 8265 (width and case), RFC 5321.
"""

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from zoneinfo import available_timezones

import regex
from django.utils.dateparse import parse_datetime
from email_validator import EmailNotValidError, validate_email

from accounts.errors import FieldRefused

USERNAME_LEAST, USERNAME_MOST = 3, 64
EMAIL_MOST = 254
DISPLAY_NAME_MOST = 100
LOCALE_MOST = 35
REASON_MOST = 200
# Nothing longer is normalised: NFKC of a huge text costs seconds. Composition may still shorten what fits.
TYPED_MOST = 4 * USERNAME_MOST

RESERVED = frozenset({
    "abuse", "admin", "administrator", "anonymous", "api", "hostmaster", "me", "null", "postmaster", "root",
    "security", "staff", "support", "system", "undefined", "usercenter", "webmaster",
})  # fmt: skip

# What UTS 39 takes as one script: Japanese, Chinese with phonetics and Korean each write several together.
_SCRIPTS = (
    ("Latin",), ("Cyrillic",), ("Greek",), ("Arabic",), ("Armenian",), ("Bengali",), ("Devanagari",), ("Ethiopic",),
    ("Georgian",), ("Gujarati",), ("Gurmukhi",), ("Hebrew",), ("Kannada",), ("Khmer",), ("Lao",), ("Malayalam",),
    ("Myanmar",), ("Oriya",), ("Sinhala",), ("Tamil",), ("Telugu",), ("Thaana",), ("Thai",), ("Tibetan",),
    ("Han", "Hiragana", "Katakana"), ("Han", "Bopomofo"), ("Han", "Hangul"),
)  # fmt: skip
# Phonetic letters look like others (U+0251 like a) and are in no name, but for these of living alphabets.
_PHONETIC = r"[\p{block=IPA_Extensions}\p{block=Phonetic_Extensions}--[əɓɔɖɗɛɣɨɩɲʉʊʋʒ]]"
_UNSEEN = r"\p{Default_Ignorable_Code_Point}"


def _letters(scripts: tuple[str, ...]) -> str:
    of = "".join(rf"\p{{script={name}}}" for name in scripts)
    long_vowel = "ー" if "Katakana" in scripts else ""
    return rf"[[\p{{L}}\p{{M}}]&&[{of}]--{_UNSEEN}--{_PHONETIC}]{long_vowel}"


_ANY_SCRIPT = regex.compile(rf"(?V1)[{''.join(_letters(scripts) for scripts in _SCRIPTS)}0-9._-]+")
_ONE_SCRIPT = regex.compile("(?V1)" + "|".join(rf"[{_letters(scripts)}0-9._-]+" for scripts in _SCRIPTS))
_BEGINNING = regex.compile(r"[\p{L}0-9]")
# Control characters, line breaks, changes of direction and the byte order mark, in words that JSON Schema knows too.
_NOT_IN_A_LINE = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
_NO_LINE = regex.compile(rf"[{_NOT_IN_A_LINE}\p{{Cs}}]")
_LOCALE = regex.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
# The same for the description of the API (JSON Schema's patterns).
LINE_PATTERN = f"^[^{_NOT_IN_A_LINE}]*$"
LINE_NOT_BLANK_PATTERN = rf"^[^{_NOT_IN_A_LINE}]*[^{_NOT_IN_A_LINE}\s][^{_NOT_IN_A_LINE}]*$"
LOCALE_PATTERN = f"^{_LOCALE.pattern}$"
# Percent and bang once told mail servers to pass a message on; an encoded word reads as another address (RFC 2047).
_ROUTING = regex.compile(r"[%!]|=\?")


@dataclass(frozen=True, slots=True)
class Username:
    """A name by the rules: `text` is shown, `canonical` is unique."""

    text: str
    canonical: str


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An address by the rules: `text` is written to (local part as typed), `canonical` is unique."""

    text: str
    canonical: str


def parse_username(typed: str) -> Username:
    """The name that was typed, reserved or not. Raises FieldRefused."""
    if len(typed) > TYPED_MOST:
        raise _too_long("username", USERNAME_MOST)
    text = unicodedata.normalize("NFKC", typed).strip()
    if len(text) < USERNAME_LEAST:
        raise FieldRefused("username_too_short", f"At least {USERNAME_LEAST} characters.", min=USERNAME_LEAST)
    if len(text) > USERNAME_MOST:
        raise _too_long("username", USERNAME_MOST)
    if not _ANY_SCRIPT.fullmatch(text) or not _BEGINNING.match(text):
        raise FieldRefused(
            "username_characters", "Letters, digits, dot, underscore and hyphen, beginning with one of the first two."
        )
    if not _ONE_SCRIPT.fullmatch(text):
        raise FieldRefused("username_mixed_scripts", "Letters of one script only.")
    return Username(text, canonical_text(text))


def refuse_reserved(username: Username) -> None:
    """Raises FieldRefused for a name that would pass for the service itself."""
    if username.canonical in RESERVED:
        raise FieldRefused("username_reserved", "This name is reserved.")


def parse_email(typed: str) -> EmailAddress:
    """The address that was typed; only its form is looked at. Raises FieldRefused."""
    if len(typed) > TYPED_MOST:
        raise FieldRefused("invalid_email", "Enter a valid e-mail address.")
    try:
        # `test_environment` lets the reserved domain .test pass: mail to it bounces like any other.
        found = validate_email(
            typed.strip(), check_deliverability=False, allow_smtputf8=False, strict=True, test_environment=True
        )
    except EmailNotValidError:
        raise FieldRefused("invalid_email", "Enter a valid e-mail address.") from None
    text = f"{found.local_part}@{found.ascii_domain.lower()}"
    if len(text) > EMAIL_MOST or _ROUTING.search(found.local_part):
        raise FieldRefused("invalid_email", "Enter a valid e-mail address.")
    return EmailAddress(text, canonical_text(text))


def parse_display_name(typed: str) -> str:
    """The name to show a person by, trimmed; empty is fine. Raises FieldRefused."""
    if len(typed) > DISPLAY_NAME_MOST:
        raise _too_long("display_name", DISPLAY_NAME_MOST)
    if _NO_LINE.search(typed):
        raise FieldRefused("display_name_characters", "No control characters, line breaks or changes of direction.")
    return unicodedata.normalize("NFC", typed).strip()


def parse_locale(typed: str) -> str:
    """A language tag such as `en` or `zh-Hant-TW` (RFC 5646, its form alone). Raises FieldRefused."""
    if len(typed) > LOCALE_MOST or not _LOCALE.fullmatch(typed):
        raise FieldRefused("invalid_locale", "A language tag such as en or pt-BR.")
    return typed


def parse_time_zone(typed: str) -> str:
    """A name of the time zone database, such as `Europe/Zurich`. Raises FieldRefused."""
    if typed not in _time_zones():
        raise FieldRefused("invalid_time_zone", "A time zone such as Europe/Zurich or UTC.")
    return typed


@cache
def _time_zones() -> frozenset[str]:
    """Each look at the database opens all of its files."""
    return frozenset(available_timezones())


def parse_reason(typed: str) -> str:
    """Why something is done, in a line, trimmed. Raises FieldRefused."""
    if len(typed) > REASON_MOST:
        raise _too_long("reason", REASON_MOST)
    if _NO_LINE.search(typed):
        raise FieldRefused("reason_characters", "No control characters, line breaks or changes of direction.")
    if not typed.strip():
        raise FieldRefused("blank", "This field may not be blank.")
    return typed.strip()


def parse_moment(typed: str) -> datetime:
    """A moment as RFC 3339 has it, with its offset; in UTC. Raises FieldRefused."""
    try:
        moment = parse_datetime(typed)
        # In UTC, where the year 0 or 10000 is none that could be looked for.
        in_utc = moment.astimezone(UTC) if moment and moment.tzinfo else None
    except (ValueError, OverflowError):
        in_utc = None
    if in_utc is None:
        raise FieldRefused("invalid_time", "A time such as 2026-11-28T09:00:00Z.")
    return in_utc


def parse_moment_ahead(typed: str, *, now: datetime) -> datetime:
    """As `parse_moment`, of a time that is still to come."""
    moment = parse_moment(typed)
    if moment <= now:
        raise FieldRefused("invalid_time", "A time that lies ahead.")
    return moment


def canonical_identifier(typed: str) -> str | None:
    """What a person signs in with, as the unique columns hold it; None when it can be nobody's.

    With an `@` it is an e-mail address, without one a username: no username has an `@`.
    """
    if len(typed) > TYPED_MOST:
        return None
    text = unicodedata.normalize("NFKC", typed).strip()
    if "@" not in text:
        return canonical_text(text)
    try:
        # Not folded before: a domain has a folding of its own.
        return parse_email(text).canonical
    except FieldRefused:
        return None


def canonical_text(text: str) -> str:
    """NFKC and casefold, and NFKC again since folding may undo it (Unicode's NFKC_Casefold)."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded).strip()


def _too_long(field: str, most: int) -> FieldRefused:
    return FieldRefused(f"{field}_too_long", f"At most {most} characters.", max=most)
