"""The paths of the API, under /api/v1/."""

from django.urls import path

from accounts.api.addresses import ChangeEmailView, ConfirmEmailView, ResendView, UndoEmailView, VerifyEmailView
from accounts.api.lifecycle import RestoreView
from accounts.api.logs import LoginLogView, SecurityLogView
from accounts.api.password_policy import PasswordPolicyView
from accounts.api.passwords import ChangePasswordView, ConfirmResetView, ResetPasswordView
from accounts.api.profile import MeView, ProfileView
from accounts.api.registration import RegisterView
from accounts.api.sessions import LogoutAllView, LogoutView, RefreshView, SessionsView, SessionView
from accounts.api.settings import SettingsView
from accounts.api.sign_in import LoginView, ReauthenticateView

urlpatterns = [
    path("users/register", RegisterView.as_view(), name="register"),
    path("users/login", LoginView.as_view(), name="login"),
    path("users/refresh", RefreshView.as_view(), name="refresh"),
    path("users/logout", LogoutView.as_view(), name="logout"),
    path("users/logout-all", LogoutAllView.as_view(), name="logout-all"),
    path("users/reauthenticate", ReauthenticateView.as_view(), name="reauthenticate"),
    path("users/restore", RestoreView.as_view(), name="restore"),
    path("users/email/change/confirm", ConfirmEmailView.as_view(), name="confirm-email"),
    path("users/email/change/undo", UndoEmailView.as_view(), name="undo-email"),
    path("users/email/verify", VerifyEmailView.as_view(), name="verify-email"),
    path("users/email/verify/resend", ResendView.as_view(), name="resend-verification"),
    path("users/password/policy", PasswordPolicyView.as_view(), name="password-policy"),
    path("users/password/reset", ResetPasswordView.as_view(), name="reset-password"),
    path("users/password/reset/confirm", ConfirmResetView.as_view(), name="confirm-reset"),
    path("users/me", MeView.as_view(), name="me"),
    path("users/me/email", ChangeEmailView.as_view(), name="change-email"),
    path("users/me/settings", SettingsView.as_view(), name="settings"),
    path("users/me/password", ChangePasswordView.as_view(), name="change-password"),
    path("users/me/sessions", SessionsView.as_view(), name="sessions"),
    path("users/me/sessions/<uuid:session_id>", SessionView.as_view(), name="session"),
    path("users/me/login-log", LoginLogView.as_view(), name="login-log"),
    path("users/me/security-log", SecurityLogView.as_view(), name="security-log"),
    path("users/<uuid:user_id>/profile", ProfileView.as_view(), name="profile"),
]
