"""Every error answer: which code and status stand for which error, and the one form they all have (RFC 9457).

DRF calls `answer_exception` for what a view raises; `usercenter.middleware` calls `problem` for errors outside it.
docs/problems.md explains each code. Nothing of the inside (types, messages, statements, paths) gets into an answer.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.encoding import escape_uri_path
from rest_framework import exceptions as drf
from rest_framework.request import Request

from accounts import links, observe, selectors, throttles, tokens
from accounts.api import authentication, inputs, parsers
from accounts.conf import AccountsSettings
from accounts.errors import Busy
from accounts.models import session
from accounts.models.user import InvalidState
from accounts.projections import profile_cache
from accounts.services import changes, credentials, idempotency, sessions, staff

MEDIA_TYPE = "application/problem+json"
ERRORS_MOST = 50
RETRY_AFTER_S = "2"


@dataclass(frozen=True, slots=True)
class Kind:
    """One entry of docs/problems.md."""

    code: str
    status: int
    title: str
    detail: str = ""


KINDS = {
    kind.code: kind
    for kind in (
        Kind("validation-error", 400, "Some fields are not valid"),
        Kind("malformed-request", 400, "The request cannot be read"),
        Kind("invalid-link", 400, "The link is not valid", "It was used, has expired, or a newer one was sent."),
        Kind("invalid-credentials", 401, "Wrong name or password", "No account has this name and password."),
        Kind("invalid-token", 401, "The access token is not valid", "Sign in to get a new one."),
        Kind("token-expired", 401, "The access token has expired", "Refresh the session to get a new one, or sign in."),
        Kind("session-revoked", 401, "The session has ended", "Sign in again."),
        Kind("refresh-token-reused", 401, "The refresh token was used before", "The session has ended. Sign in again."),
        Kind("forbidden", 403, "Not allowed"),
        Kind("account-suspended", 403, "The account is suspended"),
        Kind("account-pending-deletion", 403, "The account waits for its deletion"),
        Kind("reauthentication-required", 403, "Say again who you are", "Use a token of /users/reauthenticate."),
        Kind("not-found", 404, "Nothing is here"),
        Kind("method-not-allowed", 405, "This method is not possible here"),
        Kind("not-acceptable", 406, "No answer in the accepted form", "Answers are JSON."),
        Kind("username-taken", 409, "The username is taken"),
        Kind("email-taken", 409, "The e-mail address is taken"),
        Kind("invalid-state", 409, "The account's status does not allow this"),
        Kind("last-admin", 409, "The last superuser stays"),
        Kind("request-in-progress", 409, "The same request is being worked on", "Try again in a moment."),
        Kind("precondition-failed", 412, "Somebody else was quicker", "Read it again: it has another ETag now."),
        Kind("payload-too-large", 413, "The body is too large", f"At most {parsers.BODY_BYTES_MOST} bytes."),
        Kind("unsupported-media-type", 415, "The body's form is not supported", "Send application/json in UTF-8."),
        Kind("idempotency-key-reused", 422, "The Idempotency-Key came with another body before"),
        Kind("precondition-required", 428, "If-Match is missing", "Send the ETag of what you have read."),
        Kind("rate-limited", 429, "Too many tries", "Try again after the time in Retry-After."),
        Kind("internal-error", 500, "Something went wrong here", "It was logged under the request_id."),
        Kind("unavailable", 503, "Not available for the moment", "Try again in a moment."),
    )
}
BY_STATUS = {
    400: "malformed-request", 401: "invalid-token", 403: "forbidden", 404: "not-found", 405: "method-not-allowed",
    406: "not-acceptable", 413: "payload-too-large", 415: "unsupported-media-type", 503: "unavailable",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What an error is answered with; `detail` where there is more to say than the kind's own."""

    code: str
    detail: str = ""
    errors: tuple[inputs.FieldError, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


_BEARER = {"WWW-Authenticate": "Bearer"}
_BEARER_INVALID = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
_LATER = {"Retry-After": RETRY_AFTER_S}
_INTERNAL = Answer("internal-error")
_DATABASE_AWAY = Answer("unavailable", headers=_LATER)

ANSWERS: Mapping[type[Exception], Answer] = {
    changes.UsernameTaken: Answer(
        "username-taken", errors=(inputs.FieldError("/username", "username_taken", "This username is taken."),)
    ),
    credentials.InvalidCredentials: Answer("invalid-credentials", headers=_BEARER),
    credentials.AccountSuspended: Answer("account-suspended"),
    credentials.AccountPendingDeletion: Answer("account-pending-deletion"),
    tokens.InvalidToken: Answer("invalid-token", headers=_BEARER_INVALID),
    tokens.TokenExpired: Answer("token-expired", headers=_BEARER_INVALID),
    session.SessionRevoked: Answer("session-revoked", headers=_BEARER_INVALID),
    sessions.InvalidRefreshToken: Answer("invalid-token", "The refresh token is not valid.", headers=_BEARER_INVALID),
    sessions.RefreshTokenReused: Answer("refresh-token-reused", headers=_BEARER_INVALID),
    sessions.SessionNotFound: Answer("not-found"),
    links.InvalidLink: Answer("invalid-link"),
    InvalidState: Answer("invalid-state"),
    staff.LastAdmin: Answer("last-admin"),
    staff.NotAllowed: Answer("forbidden"),
    inputs.PreconditionRequired: Answer("precondition-required"),
    authentication.ReauthenticationRequired: Answer("reauthentication-required"),
    idempotency.KeyReused: Answer("idempotency-key-reused"),
    idempotency.RequestInProgress: Answer("request-in-progress", headers=_LATER),
    selectors.UserNotFound: Answer("not-found"),
    profile_cache.ProfileGone: Answer("not-found"),
    parsers.TooLarge: Answer("payload-too-large"),
    parsers.NotJson: Answer("unsupported-media-type"),
    drf.NotAuthenticated: Answer("invalid-token", "A bearer token is needed.", headers=_BEARER),
    drf.PermissionDenied: Answer("forbidden"),
    drf.NotFound: Answer("not-found"),
    drf.MethodNotAllowed: Answer("method-not-allowed"),
    drf.NotAcceptable: Answer("not-acceptable"),
    drf.UnsupportedMediaType: Answer("unsupported-media-type"),
    PermissionDenied: Answer("forbidden"),
    # Django's limits, as the one on how many parameters a query has.
    SuspiciousOperation: Answer("malformed-request"),
    Http404: Answer("not-found"),
    Busy: Answer("unavailable", headers=_LATER),
    OperationalError: _DATABASE_AWAY,
    InterfaceError: _DATABASE_AWAY,
}


def answer_exception(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """The answer to what a view raised: a refusal in its own words, anything else as 503 or 500 and a log line."""
    request: Request = context["request"]
    return problem(request, answer_and_log(exc))


def answer_and_log(exc: Exception) -> Answer:
    """What stands for this error, which the log has where it is ours."""
    answer = answer_of(exc)
    if answer is _INTERNAL or answer is _DATABASE_AWAY:
        # Somebody should look into it, unlike a queue that is full for a moment.
        observe.record_request_failed(exc, code=answer.code)
    return answer


def answer_of(exc: Exception) -> Answer:
    """What stands for this error."""
    match exc:
        case inputs.InputRefused():
            count = len(exc.errors)
            detail = "1 field needs attention." if count == 1 else f"{count} fields need attention."
            return Answer("validation-error", detail, exc.errors)
        case parsers.Malformed():
            return Answer("malformed-request", exc.detail)
        case changes.Stale():
            return Answer("precondition-failed", headers={"ETag": f'"{exc.version}"'})
        case changes.EmailTaken():
            place = inputs.pointer(exc.member)
            error = inputs.FieldError(place, "email_taken", "This e-mail address is taken.")
            return Answer("email-taken", errors=(error,))
        case throttles.RateLimited():
            return Answer("rate-limited", headers=_quota_headers(exc.over))
    found = next((answer for kind, answer in ANSWERS.items() if isinstance(exc, kind)), None)
    return found or _INTERNAL


def _quota_headers(over: throttles.Over) -> dict[str, str]:
    """Source: draft-ietf-httpapi-ratelimit-headers."""
    return {
        "Retry-After": str(over.again_in_s),
        "RateLimit-Policy": f'"{over.name}";q={over.most};w={over.within_s}',
        "RateLimit": f'"{over.name}";r=0;t={over.again_in_s}',
    }


def problem(request: HttpRequest | Request, answer: Answer) -> HttpResponse:
    """The answer as problem+json."""
    kind = KINDS[answer.code]
    body: dict[str, Any] = {
        "type": f"{AccountsSettings.current().public_url}/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": answer.detail or kind.detail or f"{kind.title}.",
        "instance": escape_uri_path(request.path),
        "code": kind.code,
        "request_id": getattr(request, "request_id", ""),
    }
    if answer.errors:
        body["errors"] = [error.as_json() for error in answer.errors[:ERRORS_MOST]]
    content = json.dumps(body, ensure_ascii=False).encode()
    headers = {"Content-Length": str(len(content)), **answer.headers}
    return HttpResponse(content, status=kind.status, content_type=MEDIA_TYPE, headers=headers)
