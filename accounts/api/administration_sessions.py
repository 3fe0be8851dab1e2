"""GET and DELETE under /admin/users/{id}/sessions: all, or one. From `selectors`, and on to `services.sessions`."""

from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import user_listing
from accounts.api.pages import PageParameters
from accounts.api.permissions import CHANGE, VIEW, AdminEndpoint, staff_of
from accounts.api.sessions import SessionAnswer, SessionPage, session_answer, session_page
from accounts.services.sessions import end_all_by_staff, end_one_by_staff


class UserSessionsView(AdminEndpoint):
    """Where a user is signed in."""

    Parameters = PageParameters
    needs = {"GET": VIEW, "DELETE": CHANGE}

    @extend_schema(operation_id="list_user_sessions", parameters=[PageParameters], responses=SessionPage)
    def get(self, request: Request, user_id: UUID) -> Response:
        """Open sessions, the newest first."""
        return session_page(request, self.query, user_listing.user_with_id(user_id).pk)

    @extend_schema(operation_id="end_user_sessions", request=None, responses={204: None})
    def delete(self, request: Request, user_id: UUID) -> Response:
        """End all of them."""
        end_all_by_staff(user_id=user_id, by=staff_of(request), now=timezone.now())
        return Response(status=204)


class UserSessionView(AdminEndpoint):
    """One session of a user."""

    needs = {"GET": VIEW, "DELETE": CHANGE}

    @extend_schema(operation_id="get_user_session", responses=SessionAnswer)
    def get(self, request: Request, user_id: UUID, session_id: UUID) -> Response:
        """An open one."""
        return session_answer(request, user_listing.user_with_id(user_id).pk, session_id)

    @extend_schema(operation_id="end_user_session", request=None, responses={204: None})
    def delete(self, request: Request, user_id: UUID, session_id: UUID) -> Response:
        """End it."""
        end_one_by_staff(user_id=user_id, session_id=session_id, by=staff_of(request), now=timezone.now())
        return Response(status=204)
