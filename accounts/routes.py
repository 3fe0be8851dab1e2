"""Which handlers each event goes to. Names are stored, so renaming a function is free."""

from accounts.event_types import UserLoggedIn, UserRegistered
from accounts.handlers import figures, login_log, security, settings, welcome
from events.routing import BatchHandler, Delivery, Handler, Routes, on


# Until the inbox brings whole batches.
def _alone(handler: BatchHandler) -> Handler:
    def handle(event: UserLoggedIn, delivery: Delivery) -> None:
        handler([(event, delivery)])

    return handle


ROUTES = Routes(
    on(UserRegistered, welcome.send_welcome, name="send-welcome"),
    on(UserRegistered, settings.initialise_settings, name="initialise-settings"),
    on(UserRegistered, figures.count_registration, name="count-registration"),
    on(UserLoggedIn, _alone(login_log.write_login_log), name="write-login-log"),
    on(UserLoggedIn, _alone(login_log.update_last_login), name="update-last-login"),
    on(UserLoggedIn, _alone(security.check_login), name="check-login"),
)
