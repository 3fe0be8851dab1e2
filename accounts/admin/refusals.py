"""What a service refuses, in words for who works in the admin, and the field of a form that it is about."""

from accounts.errors import FieldRefused, Refused
from accounts.models.session import SessionRevoked
from accounts.models.user import InvalidState
from accounts.selectors import UserNotFound
from accounts.services.changes import EmailTaken, Stale, UsernameTaken
from accounts.services.staff import LastAdmin, NotAllowed

_TOLD: dict[type[Refused], str] = {
    UsernameTaken: "Another user has this name.",
    EmailTaken: "Another user has this address, or may have it back.",
    Stale: "Somebody else has changed this user meanwhile: load the page again and look.",
    NotAllowed: "Not to yourself, not to a superuser unless you are one, and no group that you are not in.",
    SessionRevoked: "Your session has ended: sign in again.",
    LastAdmin: "The last active superuser stays.",
    UserNotFound: "There is no such user any more.",
}
_ABOUT: dict[type[Refused], str] = {UsernameTaken: "username", EmailTaken: "email"}


def told(refused: Refused) -> str:
    """A sentence. Raises what it was given where a service is not known to refuse that."""
    if isinstance(refused, FieldRefused):
        return refused.detail
    if isinstance(refused, InvalidState):
        return f"Not while the status is {refused}."
    if type(refused) not in _TOLD:
        raise refused
    return _TOLD[type(refused)]


def field_of(refused: Refused) -> str | None:
    """The form's field, or None where it is about all of it."""
    return _ABOUT.get(type(refused))
