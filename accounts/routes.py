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
from events.routing import RetryPolicy, Routes, on, on_batch, unhandled

# A dead letter holds back none of the user's later events where each stands for itself (a login, a mail, a line of a
# log, one more in a sum) or is a hint at the row, which is read as it is now (the profile, the status, a webhook).
# What comes once a user, and writes or destroys what the others stand on, says nothing: whatever came next would wait.
_ALONE = RetryPolicy(after_death="continue")

ROUTES = Routes(
    on(UserRegistered, welcome.send_welcome, name="send-welcome", retry=_ALONE, only_ours=True),
    on(UserRegistered, settings.initialise_settings, name="initialise-settings"),
    on_batch(UserRegistered, figures.count_registrations, name="count-registration", retry=_ALONE),
    on_batch(UserLoggedIn, login_log.write_login_log, name="write-login-log", retry=_ALONE),
    on_batch(UserLoggedIn, login_log.update_last_login, name="update-last-login", retry=_ALONE),
    on_batch(UserLoggedIn, security.check_login, name="check-login", retry=_ALONE),
    on(UserPasswordChanged, warnings.mail_password_changed, name="mail-password-changed", retry=_ALONE, only_ours=True),
    on(UserPasswordChanged, warnings.log_password_changed, name="log-password-changed", retry=_ALONE),
    on(UserSecurityAlert, warnings.mail_alert, name="mail-alert", retry=_ALONE, only_ours=True),
    on(UserSecurityAlert, warnings.log_alert, name="log-alert", retry=_ALONE),
    on(UserStatusChanged, status.tell_status, name="tell-status", retry=_ALONE, only_ours=True),
    on(UserStatusChanged, cache.refresh_profile, name="refresh-profile-status", retry=_ALONE),
    on(UserStatusChanged, webhooks.sync, name="sync-webhooks-status", retry=_ALONE, only_ours=True),
    on(UserDeleted, cleanup.clean_up, name="clean-up", only_ours=True),
    on(UserDeleted, webhooks.tell_deleted, name="sync-webhooks-deleted", retry=_ALONE, only_ours=True),
    on(UserUpdated, cache.refresh_profile, name="refresh-profile", retry=_ALONE),
    on(UserUpdated, webhooks.sync, name="sync-webhooks", retry=_ALONE, only_ours=True),
    unhandled(UserLoggedOut, because="the session's row has ended already; other services may follow it"),
)
