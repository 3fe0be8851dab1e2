"""What requests may carry: strict types, no unknown member, and every field's error at once.

A view declares a `StrictInput` and calls its `parse`; DRF's serializer is used for its fields and because
drf-spectacular reads them. An error is either DRF's own or a `FieldRefused` of the rules in `names` and `passwords`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any, ClassVar

from django.utils import timezone
from rest_framework import serializers
from rest_framework.fields import SkipField, empty
from rest_framework.request import Request

from accounts import names, passwords
from accounts.conf import PASSWORD_LEAST
from accounts.errors import FieldRefused, Refused
from accounts.hashers import PASSWORD_MOST

ECHO_MOST = 64
NO_NUL = r"^[^\x00]*$"
_ETAG = re.compile(r'"([1-9][0-9]{0,17})"')


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing to mend. `place` is a JSON Pointer into the body or, as `member` says, a parameter or a header."""

    place: str
    code: str
    detail: str
    params: Mapping[str, Any] = field(default_factory=dict)
    member: str = "pointer"

    @classmethod
    def of(cls, name: str, refused: FieldRefused) -> "FieldError":
        """A rule that this member of the body breaks."""
        return cls(pointer(name), refused.code, refused.detail, refused.params)

    def as_json(self) -> dict[str, Any]:
        """The member of `errors` in an answer."""
        told = {self.member: self.place, "code": self.code, "detail": self.detail}
        return told | {"params": dict(self.params)} if self.params else told


class InputRefused(Refused):
    """Some fields are not valid; `errors` has all of them."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        super().__init__()
        self.errors = tuple(errors)


class StrictInput(serializers.Serializer[Any]):
    """The base of all inputs. Optional fields must have a default, so that each name is always there."""

    @classmethod
    def parse(cls, request: Request) -> Any:
        """The body's values, one attribute a field. Raises InputRefused, and what the parser raises."""
        sent: dict[str, Any] = request.data  # type: ignore[assignment]  # our parser reads objects only
        form = cls()
        values, errors = form.checked(sent)
        errors += [] if errors else form.refuse_together(values)
        if errors:
            raise InputRefused(errors)
        return SimpleNamespace(**values)

    def checked(self, sent: Mapping[str, Any]) -> tuple[dict[str, Any], list[FieldError]]:
        """What was sent as values, and everything that is wrong with it."""
        values: dict[str, Any] = {}
        errors = [_unknown(name) for name in sent if name not in self.fields]
        for name, its_field in self.fields.items():
            try:
                values[name] = its_field.run_validation(sent.get(name, empty))
            except SkipField:
                continue
            except FieldRefused as refused:
                errors.append(FieldError.of(name, refused))
            except serializers.ValidationError as error:
                errors += _told_by_drf(name, error)
        return values, errors

    def refuse_together(self, values: Mapping[str, Any]) -> list[FieldError]:
        """What is wrong with fields that are each fine; an input overrides it."""
        return []


class NoBody(StrictInput):
    """For actions that take nothing; an empty object, or no body at all, is nothing."""


class PreconditionRequired(Refused):
    """A change must say by If-Match which version it is meant for."""


def expected_of(request: Request) -> frozenset[int] | None:
    """The versions that If-Match names; None for `*`, whichever is there. Raises PreconditionRequired.

    A weak tag, or none of ours, matches nothing (RFC 9110, 13.1.1).
    """
    given = request.headers.get("If-Match")
    if given is None:
        raise PreconditionRequired
    if given.strip() == "*":
        return None
    tags = (_ETAG.fullmatch(tag.strip()) for tag in given.split(","))
    return frozenset(int(tag[1]) for tag in tags if tag)


class NoParameters(StrictInput):
    """What a query may carry, for most endpoints: nothing. Others have a class of their own."""

    @classmethod
    def parse_query(cls, request: Request) -> Any:
        """The values of the query string, one attribute a field. Raises InputRefused."""
        sent = request.query_params
        values, errors = cls().checked({name: sent[name] for name in sent})
        errors += [FieldError(pointer(name), "repeated", "Once only.") for name in sent if len(sent.getlist(name)) > 1]
        if errors:
            raise InputRefused(replace(error, place=error.place[1:], member="parameter") for error in errors)
        return SimpleNamespace(**values)


class Text(serializers.CharField):
    """A JSON string as it was sent: no number taken for one, nothing trimmed.

    `described` is for the description (JSON Schema): nothing that it refuses is taken, while a rule may refuse more. A
    `format` of our own names such a rule.
    """

    described: ClassVar[Mapping[str, Any]] = {"pattern": NO_NUL}

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> Any:
        """Raises FieldRefused for anything but a string."""
        if not isinstance(data, str):
            raise FieldRefused("invalid_type", "Must be a string.")
        return data


class UsernameField(Text):
    """A username that may be taken by anyone: `names.Username`."""

    described = {
        "format": "username",
        "maxLength": names.TYPED_MOST,
        "description": (
            f"{names.USERNAME_LEAST} to {names.USERNAME_MOST} letters of one script, digits, dots, underscores and "
            "hyphens, beginning with a letter or digit; counted and compared in its canonical form."
        ),
    }

    def to_internal_value(self, data: Any) -> Any:
        """Raises FieldRefused."""
        username = names.parse_username(super().to_internal_value(data))
        names.refuse_reserved(username)
        return username


class EmailField(Text):
    """An e-mail address: `names.EmailAddress`."""

    described = {"format": "email", "maxLength": names.TYPED_MOST}

    def to_internal_value(self, data: Any) -> Any:
        """Raises FieldRefused."""
        return names.parse_email(super().to_internal_value(data))


class DisplayNameField(Text):
    """The name to show; may be empty, which null is another word for where `allow_null` says so (RFC 7396)."""

    described = {"pattern": names.LINE_PATTERN, "maxLength": names.DISPLAY_NAME_MOST}

    def run_validation(self, data: Any = empty) -> Any:
        """Raises FieldRefused."""
        return super().run_validation("" if data is None and self.allow_null else data)

    def to_internal_value(self, data: Any) -> str:
        """Raises FieldRefused."""
        return names.parse_display_name(super().to_internal_value(data))


class LocaleField(Text):
    """A language tag."""

    described = {"pattern": names.LOCALE_PATTERN, "maxLength": names.LOCALE_MOST}

    def to_internal_value(self, data: Any) -> str:
        """Raises FieldRefused."""
        return names.parse_locale(super().to_internal_value(data))


class TimeZoneField(Text):
    """A name of the time zone database."""

    described = {"format": "time-zone", "pattern": NO_NUL, "description": "As the time zone database names it."}

    def to_internal_value(self, data: Any) -> str:
        """Raises FieldRefused."""
        return names.parse_time_zone(super().to_internal_value(data))


class ReasonField(Text):
    """Why staff does something: the user is told."""

    described = {"pattern": names.LINE_NOT_BLANK_PATTERN, "maxLength": names.REASON_MOST}

    def to_internal_value(self, data: Any) -> str:
        """Raises FieldRefused."""
        return names.parse_reason(super().to_internal_value(data))


class StrictBoolean(serializers.BooleanField):
    """True or false, and no word or number for either."""

    def to_internal_value(self, data: Any) -> bool:
        """Raises FieldRefused."""
        if not isinstance(data, bool):
            raise FieldRefused("invalid_type", "Must be true or false.")
        return data


class MomentField(serializers.DateTimeField):
    """A moment as RFC 3339 has it, with its offset."""

    def to_internal_value(self, value: Any) -> datetime:
        """Raises FieldRefused."""
        return names.parse_moment(value if isinstance(value, str) else "")


class MomentAheadField(MomentField):
    """As `MomentField`, of a time that is still to come."""

    def to_internal_value(self, value: Any) -> datetime:
        """Raises FieldRefused."""
        return names.parse_moment_ahead(value if isinstance(value, str) else "", now=timezone.now())


class NewPasswordField(Text):
    """A password to set: by the rule of `passwords`."""

    described = {
        "format": "password",
        "pattern": NO_NUL,
        "minLength": PASSWORD_LEAST,
        "maxLength": PASSWORD_MOST,
        "description": "By the rule that `GET /api/v1/users/password/policy` tells.",
    }

    def to_internal_value(self, data: Any) -> str:
        """Raises FieldRefused."""
        password: str = super().to_internal_value(data)
        passwords.refuse_weak(password)
        return password


@contextmanager
def refusal_about(name: str) -> Iterator[None]:
    """A rule that only the service can look at, told as one of this member. Raises InputRefused."""
    try:
        yield
    except FieldRefused as refused:
        raise InputRefused([FieldError.of(name, refused)]) from None


def pointer(name: str) -> str:
    """The JSON Pointer to a member (RFC 6901); a very long name is cut."""
    return "/" + name[:ECHO_MOST].replace("~", "~0").replace("/", "~1")


def _unknown(name: str) -> FieldError:
    return FieldError(pointer(name), "unknown_field", "There is no such field here.")


def _told_by_drf(name: str, error: serializers.ValidationError) -> list[FieldError]:
    details: Any = error.detail
    return [FieldError(pointer(name), detail.code, str(detail)) for detail in details]
