"""The admin's forms of a user. What is typed goes by the rules of the API, and then to a service.

Only doing it tells whether it can be done, so a form that is cleaned has done it: what the service refuses stands
beside the field, as any other error does, and nothing was changed then.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.utils import timezone

from accounts import names
from accounts.admin.refusals import field_of, told
from accounts.errors import FieldRefused, Refused
from accounts.models import User
from accounts.services import administration, registration
from accounts.services.registration import NewUser


class RuledField(forms.CharField):
    """A line of text by a rule of `names`, which gives the value."""

    def __init__(self, rule: Callable[[str], Any], **options: Any) -> None:
        super().__init__(strip=False, **options)
        self.rule = rule

    def clean(self, value: Any) -> Any:
        """Raises ValidationError with the rule's words."""
        typed = super().clean(value)
        try:
            return self.rule(typed)
        except FieldRefused as refused:
            raise forms.ValidationError(refused.detail, code=refused.code) from None


class ServiceForm(forms.ModelForm):  # type: ignore[type-arg]  # it takes no parameter at run time
    """`by` is who is signed in. Afterwards `instance` is the user that the service gave."""

    by: User

    username = RuledField(names.parse_username)
    email = RuledField(names.parse_email, label="E-mail")
    display_name = RuledField(names.parse_display_name, required=False)

    class Meta:
        model = User
        # Of the others none is Django's to look at or to write: the rules and the service do.
        fields = ["groups"]

    def __init__(
        self, data: Any = None, files: Any = None, *, instance: User | None = None, initial: Any = None
    ) -> None:
        shown = [name for name in self.base_fields if name != "groups"]
        known = {name: getattr(instance, name) for name in shown} if instance else {}
        super().__init__(data, files, instance=instance, initial={**known, **(initial or {})})

    def clean_username(self) -> Any:
        """A reserved name may stay; nobody else gets one here."""
        username = self.cleaned_data["username"]
        if "username" in self.changed_data:
            try:
                names.refuse_reserved(username)
            except FieldRefused as refused:
                raise forms.ValidationError(refused.detail, code=refused.code) from None
        return username

    def clean(self) -> dict[str, Any]:
        """Done, or refused. Django's own look at uniqueness is left out: only the constraint can tell."""
        if not self.errors:
            try:
                self.instance = self.done(self.cleaned_data)
            except Refused as refused:
                self.add_error(field_of(refused), told(refused))
        return self.cleaned_data

    def done(self, values: Mapping[str, Any]) -> User:
        """Call the service."""
        raise NotImplementedError


class NewUserForm(ServiceForm):
    """Somebody new, who is mailed a link to set a password by."""

    def done(self, values: Mapping[str, Any]) -> User:
        """Publishes user.registered."""
        new = NewUser(username=values["username"], email=values["email"], display_name=values["display_name"])
        return registration.create_by_staff(new=new, groups=values["groups"], by=self.by, now=timezone.now())


class UserForm(ServiceForm):
    """Another profile or address, or other groups; meant for the version that was shown."""

    locale = RuledField(names.parse_locale)
    time_zone = RuledField(names.parse_time_zone)
    version = forms.IntegerField(widget=forms.HiddenInput)

    def done(self, values: Mapping[str, Any]) -> User:
        """Publishes user.updated where something differs."""
        changes = {name: values[name] for name in self.changed_data if name != "version"}
        return administration.change_user(
            user_id=self.instance.pk,
            changes=changes,
            expected=frozenset([values["version"]]),
            by=self.by,
            now=timezone.now(),
        )


class UserWithRightsForm(UserForm):
    """For superusers, who say who else may enter the admin."""

    is_staff = forms.BooleanField(required=False, label="Staff")
    is_superuser = forms.BooleanField(required=False, label="Superuser")
