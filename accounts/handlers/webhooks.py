"""user.updated: systems beside this one are told. `outside` sends it after the commit."""

from accounts import receivers
from accounts.conf import AccountsSettings
from accounts.event_types import UserUpdated
from accounts.outside import notices, webhooks
from events.routing import Delivery


def sync(event: UserUpdated, delivery: Delivery) -> None:
    """Owe each receiver of WEBHOOK_URLS one call; what it tells of the user is read when it is sent."""
    accounts = AccountsSettings.current()
    at = event.at.isoformat()
    for url in accounts.webhook_urls:
        facts = webhooks.facts_of(
            url, accounts.receiver(url), event_id=str(delivery.event_id), event_type=event.type, at=at
        )
        key = f"{delivery.key}/{receivers.name_of(url)}"
        notices.request(kind=webhooks.KIND, user_id=event.user_id, key=key, facts=facts)
