"""GET and POST /admin/users, GET and PATCH /admin/users/{id}. From `user_listing`, and on to `services`."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import user_listing
from accounts.api import inputs
from accounts.api.administration_answers import AdminUserAnswer, AdminUserPage, admin_user_answer
from accounts.api.idempotency import IDEMPOTENCY_KEY, request_key_of
from accounts.api.pages import CountedParameters, ParameterBoolean, page_of
from accounts.api.permissions import ADD, CHANGE, VIEW, AdminEndpoint, staff_of
from accounts.api.schema import IF_MATCH, refuses
from accounts.errors import FieldRefused
from accounts.models import User
from accounts.names import EMAIL_MOST
from accounts.services.administration import change_user, told_to_staff
from accounts.services.registration import NewUser, create_by_staff

_GROUP_MOST = 150  # as Django has it


class SearchField(inputs.Text):
    """How a name begins."""

    described = {"pattern": r"^[^\x00]*[^\x00\x1c-\x1f\x85\s][^\x00]*$", "maxLength": EMAIL_MOST}

    def to_internal_value(self, data: Any) -> str:
        """Raises FieldRefused."""
        typed: str = super().to_internal_value(data)
        if len(typed) > EMAIL_MOST:
            raise FieldRefused("search_too_long", f"At most {EMAIL_MOST} characters.", max=EMAIL_MOST)
        if not typed.strip():
            raise FieldRefused("blank", "This field may not be blank.")
        return typed.strip()


class GroupField(inputs.Text):
    """A group by its name."""

    described = {"pattern": inputs.NO_NUL, "maxLength": _GROUP_MOST}

    def to_internal_value(self, data: Any) -> Group:  # type: ignore[override]  # the stubs know strings alone
        """Raises FieldRefused."""
        return _groups([super().to_internal_value(data)])[0]


class GroupsField(serializers.ListField):
    """Groups by their names."""

    child = serializers.CharField()

    def to_internal_value(self, data: Any) -> Sequence[Group]:  # type: ignore[override]  # the stubs know lists alone
        """Raises FieldRefused."""
        if not isinstance(data, list) or not all(isinstance(name, str) for name in data):
            raise FieldRefused("invalid_type", "Must be a list of strings.")
        return _groups(data)


class UserParameters(CountedParameters):
    """Which users, in which order: those of whom all of this is so. Times are from when (included) to when (not)."""

    search = SearchField(default=None, help_text="How the username or the e-mail address begins, or a whole id.")
    status = serializers.ChoiceField(
        User.Status.choices, default=None, help_text="Without it, all but those who are deleted."
    )
    email_verified = ParameterBoolean(default=None)
    created_from = inputs.MomentField(default=None)
    created_to = inputs.MomentField(default=None)
    last_login_before = inputs.MomentField(default=None, help_text="Of those who have signed in at all.")
    group = GroupField(default=None)
    ordering = serializers.ChoiceField(list(user_listing.ORDERINGS), default="-created_at")


class CreateUserInput(inputs.StrictInput):
    """Who is to have an account."""

    username = inputs.UsernameField()
    email = inputs.EmailField()
    display_name = inputs.DisplayNameField(allow_blank=True, default="")
    locale = inputs.LocaleField(default="en")
    time_zone = inputs.TimeZoneField(default="UTC")
    groups = GroupsField(default=list)


class ChangeUserInput(inputs.StrictInput):
    """What is to be another; the rest stays. `groups` are all that the user is to be in."""

    display_name = inputs.DisplayNameField(allow_blank=True, allow_null=True, required=False)
    locale = inputs.LocaleField(required=False)
    time_zone = inputs.TimeZoneField(required=False)
    username = inputs.UsernameField(required=False)
    email = inputs.EmailField(required=False)
    groups = GroupsField(required=False)


class UsersView(AdminEndpoint):
    """All users."""

    Parameters = UserParameters
    needs = {"GET": VIEW, "POST": ADD}

    @extend_schema(operation_id="list_users", parameters=[UserParameters], responses=AdminUserPage)
    def get(self, request: Request) -> Response:
        """Page by page, however many there are."""
        wanted = {name: value for name, value in vars(self.query).items() if name in _FILTERS}
        found, by = user_listing.ordered(user_listing.Filters(**wanted), self.query.ordering)
        return page_of(request, self.query, found, by=by, answers=told_to_staff)

    @extend_schema(
        operation_id="create_user",
        request=CreateUserInput,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: AdminUserAnswer},
        extensions=refuses("username-taken", "email-taken"),
    )
    def post(self, request: Request) -> Response:
        """Make a user, who sets a password by the link that is mailed."""
        body, by = CreateUserInput.parse(request), staff_of(request)
        names = {name: value for name, value in vars(body).items() if name != "groups"}
        with inputs.refusal_about("groups"):
            user = create_by_staff(
                new=NewUser(**names),
                groups=body.groups,
                by=by,
                now=timezone.now(),
                key=request_key_of(request, f"create-user {by.pk}"),
            )
        return admin_user_answer(user, status=201, Location=f"/api/v1/admin/users/{user.pk}")


class UserView(AdminEndpoint):
    """One user."""

    needs = {"GET": VIEW, "PATCH": CHANGE}

    @extend_schema(operation_id="get_user", responses=AdminUserAnswer)
    def get(self, request: Request, user_id: UUID) -> Response:
        """With an ETag; also one who is deleted."""
        return admin_user_answer(user_listing.user_with_id(user_id))

    @extend_schema(
        operation_id="change_user",
        request=ChangeUserInput,
        parameters=[IF_MATCH],
        responses=AdminUserAnswer,
        extensions=refuses("username-taken", "email-taken"),
    )
    def patch(self, request: Request, user_id: UUID) -> Response:
        """Change some members. Another address has to be shown to be the user's; the former one is told."""
        expected = inputs.expected_of(request)
        changes = vars(ChangeUserInput.parse(request))
        by, now = staff_of(request), timezone.now()
        with inputs.refusal_about("groups"):
            user = change_user(user_id=user_id, changes=changes, expected=expected, by=by, now=now)
        return admin_user_answer(user)


_FILTERS = user_listing.Filters.__slots__


def _groups(names: Sequence[str]) -> Sequence[Group]:
    groups = user_listing.groups_named(names)
    if len(groups) < len(set(names)):
        raise FieldRefused("unknown_group", "There is no such group.")
    return groups
