"""POST /admin/users/{id}/…: suspend, reactivate, delete, restore, unlock, password-reset. On to `services`."""

from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import inputs
from accounts.api.administration_answers import AdminUserAnswer, admin_user_answer
from accounts.api.lifecycle import LeavingAnswer, leaving_answer
from accounts.api.permissions import AT_ONCE, CHANGE, DELETE, AdminEndpoint, staff_of
from accounts.api.schema import ACCEPTED, LOCATION, refuses
from accounts.services import lifecycle
from accounts.services.administration import send_reset, unlock

RESTORED = "restored by an administrator"


class ReasonInput(inputs.StrictInput):
    """Why."""

    reason = inputs.ReasonField()


class SuspendInput(ReasonInput):
    """And until when: without that, for ever."""

    until = inputs.MomentAheadField(allow_null=True, default=None)


class DeleteInput(ReasonInput):
    """And whether without a way back."""

    immediately = inputs.StrictBoolean(default=False)


class SuspendView(AdminEndpoint):
    """Bar a user."""

    needs = {"POST": CHANGE}

    @extend_schema(
        operation_id="suspend_user",
        request=SuspendInput,
        responses=AdminUserAnswer,
        extensions=refuses("invalid-state", "last-admin"),
    )
    def post(self, request: Request, user_id: UUID) -> Response:
        """All access ends at once."""
        body, by = SuspendInput.parse(request), staff_of(request)
        now = timezone.now()
        return admin_user_answer(
            lifecycle.suspend(user_id=user_id, reason=body.reason, until=body.until, by=by, now=now)
        )


class ReactivateView(AdminEndpoint):
    """Let a user in again."""

    needs = {"POST": CHANGE}

    @extend_schema(
        operation_id="reactivate_user",
        request=ReasonInput,
        responses=AdminUserAnswer,
        extensions=refuses("invalid-state"),
    )
    def post(self, request: Request, user_id: UUID) -> Response:
        """The suspension is over."""
        body, by = ReasonInput.parse(request), staff_of(request)
        return admin_user_answer(lifecycle.reactivate(user_id=user_id, reason=body.reason, by=by, now=timezone.now()))


class DeleteView(AdminEndpoint):
    """Delete a user."""

    needs = {"POST": DELETE}

    @extend_schema(
        operation_id="delete_user",
        request=DeleteInput,
        parameters=[LOCATION],
        responses={202: LeavingAnswer},
        extensions=refuses("invalid-state", "last-admin"),
    )
    def post(self, request: Request, user_id: UUID) -> Response:
        """After a time in which that can be taken back or, with a permission of its own, without one."""
        body, by = DeleteInput.parse(request), staff_of(request)
        if body.immediately and not by.has_perm(AT_ONCE):
            raise PermissionDenied
        delete = lifecycle.delete_immediately if body.immediately else lifecycle.delete
        user = delete(user_id=user_id, reason=body.reason, by=by, now=timezone.now())
        return leaving_answer(user, Location=f"/api/v1/admin/users/{user_id}")


class RestoreUserView(AdminEndpoint):
    """Take the deletion of a user back."""

    needs = {"POST": CHANGE}

    @extend_schema(
        operation_id="restore_user", request=None, responses=AdminUserAnswer, extensions=refuses("invalid-state")
    )
    def post(self, request: Request, user_id: UUID) -> Response:
        """The account is what it was before."""
        inputs.NoBody.parse(request)
        by, now = staff_of(request), timezone.now()
        return admin_user_answer(lifecycle.restore(user_id=user_id, reason=RESTORED, by=by, now=now))


class UnlockView(AdminEndpoint):
    """Let a user try to sign in again."""

    needs = {"POST": CHANGE}

    @extend_schema(operation_id="unlock_user", request=ReasonInput, responses={204: None})
    def post(self, request: Request, user_id: UUID) -> Response:
        """The failures so far count no more."""
        body, by = ReasonInput.parse(request), staff_of(request)
        unlock(user_id=user_id, reason=body.reason, by=by, now=timezone.now())
        return Response(status=204)


class SendResetView(AdminEndpoint):
    """Have a user set a new password."""

    needs = {"POST": CHANGE}

    @extend_schema(operation_id="send_password_reset", request=None, responses={202: ACCEPTED})
    def post(self, request: Request, user_id: UUID) -> Response:
        """A link is mailed; nobody sets or sees the password of another."""
        inputs.NoBody.parse(request)
        send_reset(user_id=user_id, by=staff_of(request), now=timezone.now())
        return Response({}, status=202)
