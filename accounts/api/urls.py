"""The paths of the API, under /api/v1/."""

from django.urls import path

from accounts.api.profile import MeView, ProfileView
from accounts.api.registration import RegisterView
from accounts.api.sign_in import LoginView

urlpatterns = [
    path("users/register", RegisterView.as_view(), name="register"),
    path("users/login", LoginView.as_view(), name="login"),
    path("users/me", MeView.as_view(), name="me"),
    path("users/<uuid:user_id>/profile", ProfileView.as_view(), name="profile"),
]
