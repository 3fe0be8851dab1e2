"""Judgements on what the brokers tell of themselves and of our topics, for `cluster`. Pure."""

from events.conf import RETENTION_MARGIN_D
from events.doctor.finding import Finding
from events.outbox.partitions import Pin

_DAY_MS = 86_400_000
_MANY_REPLICAS, _LEAST_IN_SYNC = 3, 2
_NOT_SHOWN = "not shown to this user"


def auto_create(broker: str, value: str | None) -> Finding:
    """A broker that makes any topic it is asked for turns a misspelt name into a topic that nobody reads."""
    subject = f"auto.create.topics.enable of broker {broker}"
    if value is None:
        return Finding(subject, _NOT_SHOWN, "allow DESCRIBE_CONFIGS on the cluster")
    return Finding(subject, value, "set it to false on every broker" if value == "true" else "")


def partitions(topic: str, there: int, pin: Pin | None) -> Finding:
    """Keys are spread over the pinned count alone."""
    subject = f"partitions of {topic}"
    if pin is None:
        return Finding(subject, f"{there}, not pinned", "manage.py kafka topics create")
    grow = f"manage.py kafka topics grow {topic} --partitions {max(there, pin.partitions)}"
    if pin.paused_at is not None:
        return Finding(subject, f"paused since {pin.paused_at:%Y-%m-%d %H:%M} UTC: nothing is sent", f"{grow}, again")
    if there != pin.partitions:
        return Finding(subject, f"{there}, but {pin.partitions} pinned", grow)
    return Finding(subject, f"{there}, as pinned")


def in_sync(topic: str, replicas: int, least: str | None) -> Finding:
    """Of three replicas two must have a record before it counts as written, or one broker's loss may take it along."""
    subject = f"min.insync.replicas of {topic}"
    if least is None:
        return Finding(subject, _NOT_SHOWN, f"allow DESCRIBE_CONFIGS on {topic}")
    is_low = replicas >= _MANY_REPLICAS and int(least) < _LEAST_IN_SYNC
    return Finding(subject, f"{least}, of {replicas} replicas", "set it to 2 for the topic" if is_low else "")


def retention(topic: str, keeps_ms: str | None, *, outbox_d: int, inbox_d: int) -> Finding:
    """What the topic still has outbox and inbox should know, too, and for a week longer."""
    subject = f"retention.ms of {topic}"
    if keeps_ms is None:
        return Finding(subject, _NOT_SHOWN, f"allow DESCRIBE_CONFIGS on {topic}")
    if int(keeps_ms) < 0:
        return Finding(
            subject, f"{keeps_ms}: for ever", "give it a limit: the topic forgets personal data by retention"
        )
    needed_d = -(-int(keeps_ms) // _DAY_MS) + RETENTION_MARGIN_D
    short = [name for name, days in (("OUTBOX", outbox_d), ("INBOX", inbox_d)) if days < needed_d]
    settings = " and ".join(f"{name}_RETENTION_D" for name in short)
    remedy = f"shorten it, or set {settings} to {needed_d} or more" if short else ""
    return Finding(subject, f"{int(keeps_ms) / _DAY_MS:g} d; outbox {outbox_d} d, inbox {inbox_d} d", remedy)
