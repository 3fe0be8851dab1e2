"""The paths of the API, under /api/v1/."""

from django.urls import path

from accounts.api.addresses import ChangeEmailView, ConfirmEmailView, ResendView, UndoEmailView, VerifyEmailView
from accounts.api.administration import UsersView, UserView
from accounts.api.administration_events import UserEventsView
from accounts.api.administration_lifecycle import (
    DeleteView,
    ReactivateView,
    RestoreUserView,
    SendResetView,
    SuspendView,
    UnlockView,
)
from accounts.api.administration_logs import UserLoginLogView, UserSecurityLogView
from accounts.api.administration_sessions import UserSessionsView, UserSessionView
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
    path("admin/users", UsersView.as_view(), name="admin-users"),
    path("admin/users/<uuid:user_id>", UserView.as_view(), name="admin-user"),
    path("admin/users/<uuid:user_id>/suspend", SuspendView.as_view(), name="suspend-user"),
    path("admin/users/<uuid:user_id>/reactivate", ReactivateView.as_view(), name="reactivate-user"),
    path("admin/users/<uuid:user_id>/delete", DeleteView.as_view(), name="delete-user"),
    path("admin/users/<uuid:user_id>/restore", RestoreUserView.as_view(), name="restore-user"),
    path("admin/users/<uuid:user_id>/unlock", UnlockView.as_view(), name="unlock-user"),
    path("admin/users/<uuid:user_id>/password-reset", SendResetView.as_view(), name="send-password-reset"),
    path("admin/users/<uuid:user_id>/sessions", UserSessionsView.as_view(), name="user-sessions"),
    path("admin/users/<uuid:user_id>/sessions/<uuid:session_id>", UserSessionView.as_view(), name="user-session"),
    path("admin/users/<uuid:user_id>/login-log", UserLoginLogView.as_view(), name="user-login-log"),
    path("admin/users/<uuid:user_id>/security-log", UserSecurityLogView.as_view(), name="user-security-log"),
    path("admin/users/<uuid:user_id>/events", UserEventsView.as_view(), name="user-events"),
]
