"""user.logged_in: is there anything unusual about it? What is found goes to the security log."""

from accounts.event_types import UserLoggedIn
from accounts.models import LoginRecord, SecurityRecord
from accounts.models.login_record import network_of
from events.routing import Delivery


def check_login(event: UserLoggedIn, delivery: Delivery) -> None:
    """Note a device and network that no earlier login of the user came from, once an event.

    Earlier is judged by `at` and without this event's own record, so it makes no difference whether the login log
    has it already. A first login has nothing to compare with; an erased address neither.
    """
    if event.ip is not None and _is_new(event):
        found = SecurityRecord(
            event_id=delivery.event_id,
            kind=SecurityRecord.Kind.NEW_DEVICE,
            user_id=event.user_id,
            at=event.at,
            device=event.device,
            ip=event.ip,
        )
        SecurityRecord.objects.bulk_create([found], ignore_conflicts=True)


def _is_new(event: UserLoggedIn) -> bool:
    earlier = LoginRecord.objects.filter(user_id=event.user_id, at__lt=event.at)
    same = earlier.filter(device=event.device, network=network_of(event.ip))
    return earlier.exists() and not same.exists()
