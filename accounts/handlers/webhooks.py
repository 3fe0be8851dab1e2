"""user.updated, user.status_changed, user.deleted: systems beside this one are told. `outside` sends it later."""

from accounts import receivers
from accounts.conf import AccountsSettings
from accounts.event_types import UserDeleted, UserStatusChanged, UserUpdated
from accounts.models import User
from accounts.outside import notices, webhooks
from events.routing import Delivery


def sync(event: UserUpdated | UserStatusChanged, delivery: Delivery) -> None:
    """Owe each receiver of WEBHOOK_URLS one call; what it tells of the user is read when it is sent."""
    for name, facts in _told_of(event, delivery).items():
        notices.request(kind=webhooks.KIND, user_id=event.user_id, key=f"{delivery.key}/{name}", facts=facts)


def tell_deleted(event: UserDeleted, delivery: Delivery) -> None:
    """Owe each receiver one call that has the id alone, if the row says itself that it is deleted.

    It is no call about a user: the clean-up, before or after this, ends those.
    """
    if not User.objects.filter(pk=event.user_id, status=User.Status.DELETED).exists():
        return
    for name, facts in _told_of(event, delivery).items():
        gone = {webhooks.GONE: str(event.user_id)}
        notices.request(kind=webhooks.KIND, key=f"{delivery.key}/{name}", facts=facts | gone)


def _told_of(event: UserUpdated | UserStatusChanged | UserDeleted, delivery: Delivery) -> dict[str, dict[str, str]]:
    """What a call to each receiver carries, by the receiver's name."""
    accounts, told = AccountsSettings.current(), {}
    for url in accounts.webhook_urls:
        told[receivers.name_of(url)] = webhooks.facts_of(
            url,
            accounts.receiver(url),
            event_id=str(delivery.event_id),
            event_type=event.type,
            at=event.at.isoformat(),
        )
    return told
