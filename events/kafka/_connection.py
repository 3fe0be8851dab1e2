"""What every client is told of the brokers and the way there."""

from typing import Any

from events.conf import EventsSettings

# Given, so that a client starts while the broker is down and finds it alone.
_API_VERSION = (4, 0)


def connection(settings: EventsSettings) -> dict[str, Any]:
    """What every client is told."""
    return {
        "bootstrap_servers": list(settings.brokers),
        "security_protocol": settings.security_protocol,
        "sasl_mechanism": settings.sasl_mechanism or None,
        "sasl_plain_username": settings.sasl_username or None,
        "sasl_plain_password": settings.sasl_password or None,
        "ssl_cafile": settings.ssl_cafile or None,
        "ssl_certfile": settings.ssl_certfile or None,
        "ssl_keyfile": settings.ssl_keyfile or None,
        "api_version": _API_VERSION,
        "allow_auto_create_topics": False,
        # The default of 30 s is how long a client may stay away after the broker is back.
        "reconnect_backoff_max_ms": 1000,
    }
