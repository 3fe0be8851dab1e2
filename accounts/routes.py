"""Which handlers each event goes to. Names are stored, so renaming a function is free."""

from accounts.event_types import (
    UserDeleted,
    UserLoggedIn,
    UserLoggedOut,
    UserPasswordChanged,
    UserRegistered,
    UserSecurityAlert,
    UserStatusChanged,
    UserUpdated,
)
from accounts.handlers import (
    cache,
    cleanup,
    figures,
    login_log,
    security,
    settings,
    status,
    warnings,
    webhooks,
    welcome,
)
from events.routing import Routes, on, on_batch, unhandled

ROUTES = Routes(
    on(UserRegistered, welcome.send_welcome, name="send-welcome", only_ours=True),
    on(UserRegistered, settings.initialise_settings, name="initialise-settings"),
    on(UserRegistered, figures.count_registration, name="count-registration"),
    on_batch(UserLoggedIn, login_log.write_login_log, name="write-login-log"),
    on_batch(UserLoggedIn, login_log.update_last_login, name="update-last-login"),
    on_batch(UserLoggedIn, security.check_login, name="check-login"),
    on(UserPasswordChanged, warnings.mail_password_changed, name="mail-password-changed", only_ours=True),
    on(UserPasswordChanged, warnings.log_password_changed, name="log-password-changed"),
    on(UserSecurityAlert, warnings.mail_alert, name="mail-alert", only_ours=True),
    on(UserSecurityAlert, warnings.log_alert, name="log-alert"),
    on(UserStatusChanged, status.tell_status, name="tell-status", only_ours=True),
    on(UserStatusChanged, cache.refresh_profile, name="refresh-profile-status"),
    on(UserStatusChanged, webhooks.sync, name="sync-webhooks-status", only_ours=True),
    on(UserDeleted, cleanup.clean_up, name="clean-up", only_ours=True),
    on(UserDeleted, webhooks.tell_deleted, name="sync-webhooks-deleted", only_ours=True),
    on(UserUpdated, cache.refresh_profile, name="refresh-profile"),
    on(UserUpdated, webhooks.sync, name="sync-webhooks", only_ours=True),
    unhandled(UserLoggedOut, because="the session's row has ended already; other services may follow it"),
)
