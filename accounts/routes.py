"""Which handlers each event goes to. Names are stored, so renaming a function is free."""

from accounts.event_types import UserLoggedIn, UserRegistered
from accounts.handlers import figures, login_log, security, settings, welcome
from events.routing import Routes, on, on_batch

ROUTES = Routes(
    on(UserRegistered, welcome.send_welcome, name="send-welcome", only_ours=True),
    on(UserRegistered, settings.initialise_settings, name="initialise-settings"),
    on(UserRegistered, figures.count_registration, name="count-registration"),
    on_batch(UserLoggedIn, login_log.write_login_log, name="write-login-log"),
    on_batch(UserLoggedIn, login_log.update_last_login, name="update-last-login"),
    on_batch(UserLoggedIn, security.check_login, name="check-login"),
)
