"""Which partition a record goes to, by the client's own metadata, asked for within a second: part of `_producer`."""

import contextlib
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from kafka import TopicPartition  # type: ignore[import-untyped]  # ships no types
from kafka import errors as theirs
from kafka.partitioner.default import murmur2  # type: ignore[import-untyped]  # as above

from events.kafka._errors import BrokersAway, Ended, NotAuthorised, UnknownTopic

_WITHIN_S = 1.0
_KEYS_REMEMBERED = 100_000


class Places:
    """The partitions of topics, for one producer. `cluster` is its client's metadata: the public way blocks for 3 s."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._found: dict[str, Sequence[Any]] = {}
        self._changed = threading.Event()  # the cluster answered, or the producer has ended
        self._is_over = False

    def end(self) -> None:
        """The producer has ended: nobody may wait here. Called on the client's thread."""
        self._is_over = True
        self._changed.set()

    def forget(self) -> None:
        """A topic may have gone or grown meanwhile."""
        self._found.clear()

    def place(self, topic: str, key: bytes, *, partitions: int | None) -> Any:
        """The key's partition among so many (None: as many as there are). Raises as `find`."""
        places = self._found.get(topic, ())
        if len(places) < (partitions or 1):
            places = self._found[topic] = self.find(topic, least=partitions or 1)
        return places[_positive_hash(key) % (partitions or len(places))]

    def find(self, topic: str, *, least: int = 1) -> Sequence[Any]:
        """All partitions of a topic. Raises UnknownTopic (also where it has fewer), NotAuthorised, BrokersAway."""
        if len(places := self._known(topic)) >= least:
            return places
        with contextlib.suppress(ValueError):  # a name that no topic can have
            self._cluster.add_topic(topic)
        # Twice: the first answer may be that to a question asked before the topic was added.
        for _ in range(2):
            self._ask()
            if len(places := self._known(topic)) >= least:
                return places
        if places:
            raise UnknownTopic(f"{topic} with {least} partitions, which are pinned: it has {len(places)}")
        raise NotAuthorised(topic) if topic in self._cluster.unauthorized_topics else UnknownTopic(topic)

    def _known(self, topic: str) -> Sequence[Any]:
        return [TopicPartition(topic, number) for number in sorted(self._cluster.partitions_for_topic(topic) or ())]

    def _ask(self) -> None:
        self._changed.clear()
        answer = self._cluster.request_update()
        answer.add_both(lambda _: self._changed.set())
        has_changed = not self._is_over and self._changed.wait(_WITHIN_S)
        if self._is_over:
            raise Ended("while asking for a topic")
        # An error that a broker sent is an answer, too.
        if not has_changed or not (answer.succeeded() or isinstance(answer.exception, theirs.BrokerResponseError)):
            raise BrokersAway("no metadata")


@lru_cache(_KEYS_REMEMBERED)
def _positive_hash(key: bytes) -> int:
    positive: int = murmur2(key) & 0x7FFFFFFF
    return positive
