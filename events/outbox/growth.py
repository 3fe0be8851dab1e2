"""Growing a topic without breaking the order of any key: what `kafka topics grow` does.

A key's next record must not go to a new partition while an earlier one is on its way to the old one, or lies there
unread. So: relays pause (`partitions`), what is on its way arrives or expires, the group has handled everything, and
only then are there more partitions and a new pin. Why each step is safe: docs/decisions/partitions.md.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from events.conf import EventsSettings
from events.errors import EventsError
from events.kafka import Admin, BrokersAway
from events.outbox.partitions import GOOD_FOR_S, Pin, go_on, pause, pins
from events.stop import Stop

_EXPIRY_MARGIN_S = 2.0  # the client looks for what has expired between two rounds of its own
_MADE_WITHIN_S = 30.0
_LOOK_EVERY_S = 0.2


class CannotGrow(EventsError):
    """The topic has as many partitions as before, and sending goes on: the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """One topic's way to more partitions, to be run once. `tell` gets a line for each step."""

    settings: EventsSettings
    admin: Admin
    topic: str
    partitions: int
    group_within_s: float
    stop: Stop
    tell: Callable[[str], object]

    def run(self) -> None:
        """Grow it. Raises CannotGrow, UnknownTopic, BrokersAway.

        However it ends, but by SIGKILL or without the database, sending goes on: until the new count is pinned it is
        spread over the old one, whatever the broker has. After such an end the topic stays paused: run it again.
        """
        old = self._checked()
        paused_at = pause(self.topic)
        if paused_at is None:
            raise CannotGrow(f"{self.topic} is not pinned any more")
        count = old.partitions
        try:
            self._wait_for_relays()
            self._wait_for_group()
            self._make_partitions()
            count = self.partitions
        finally:
            is_ours = go_on(self.topic, paused_at=paused_at, partitions=count)
            if is_ours:
                self.tell(f"sending goes on, over {count} partitions")
        if not is_ours:
            raise CannotGrow("another run has taken over")

    def _checked(self) -> Pin:
        there, pin = len(self.admin.describe_topic(self.topic)), pins().get(self.topic)
        if pin is None:
            raise CannotGrow(f"{self.topic} is not pinned: `kafka topics create` pins what there is")
        self.tell(f"{self.topic}: {pin.partitions} partitions pinned, {there} in Kafka")
        if self.partitions < max(there, pin.partitions):
            raise CannotGrow(f"it has {max(there, pin.partitions)} partitions, and Kafka cannot take one away")
        if self.partitions == there == pin.partitions and pin.paused_at is None:
            raise CannotGrow(f"it has {there} partitions already")
        return pin

    def _wait_for_relays(self) -> None:
        wait_s = GOOD_FOR_S + self.settings.producer_delivery_timeout_ms / 1000 + _EXPIRY_MARGIN_S
        self.tell(f"paused; waiting {wait_s:.0f} s for what is on its way")
        self._wait(wait_s)

    def _wait_for_group(self) -> None:
        group = self.settings.group
        self.tell(f"waiting for group {group} to handle everything")
        until = time.monotonic() + self.group_within_s
        while behind := self._behind():
            if time.monotonic() > until:
                raise CannotGrow(f"group {group} {behind}")
            self._wait(_LOOK_EVERY_S)

    def _behind(self) -> str:
        """What to wait for, if anything: nobody can be overtaken in a topic that the group has never read."""
        try:
            lag = self.admin.lag(group=self.settings.group, topic=self.topic)
        except BrokersAway as error:  # a cluster that has had no group yet answers so at first
            return f"cannot be asked ({error})"
        return f"is still {lag} records behind: does consume_events run?" if lag else ""

    def _make_partitions(self) -> None:
        if len(self.admin.describe_topic(self.topic)) < self.partitions:
            self.admin.grow_topic(self.topic, self.partitions)
        until = time.monotonic() + _MADE_WITHIN_S
        while not self._is_made():
            if time.monotonic() > until:
                raise BrokersAway("new partitions without a leader")
            self._wait(_LOOK_EVERY_S)

    def _is_made(self) -> bool:
        states = self.admin.describe_topic(self.topic)
        return len(states) == self.partitions and all(state.leader >= 0 for state in states)

    def _wait(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise CannotGrow("stopped")
