"""A relay's pipeline driven by hand, turn by turn, and what arrived by it, second copies too."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

from events.conf import EventsSettings
from events.kafka import Admin, BrokersAway
from events.models import OutboxRecord
from events.outbox.pipeline import Pipeline
from tests.integration.reading import ALL
from tests.integration.relaying import Noted, all_records, database_url
from tests.waiting import wait_for

_BETWEEN_TURNS_S = 0.01


def make_pipeline(*, batch: int, window: int, is_fresh: Callable[[], bool] = lambda: True) -> Pipeline:
    settings = replace(EventsSettings.current(), database_direct_url=database_url(), outbox_window=window)
    return Pipeline(settings, batch=batch, is_fresh=is_fresh)


def prepare(pipeline: Pipeline) -> None:
    """Connect it; a broker that was started again for a test before may take its time."""

    def is_prepared() -> bool:
        with suppress(BrokersAway):
            pipeline.prepare()
            return True
        return False

    wait_for(is_prepared)


def send_all(pipeline: Pipeline) -> None:
    """Until all that was read is on its way: what a slow machine has not sent in one go waits in the queue."""

    def have_left() -> bool:
        pipeline.send()
        return pipeline._window.on_their_way == len(pipeline._window)

    wait_for(have_left)


def turn(pipeline: Pipeline) -> None:
    """Once round, as the relay goes."""
    pipeline.read(ALL)
    pipeline.send()
    pipeline.collect()
    pipeline.mark()


def turn_until(pipeline: Pipeline, holds: Callable[[], Any]) -> None:
    """Turn after turn: these are the work, so they become no fewer, as looks do."""

    def turn_and_look() -> Any:
        with suppress(BrokersAway):  # a relay would go round again
            turn(pipeline)
        return holds()

    wait_for(turn_and_look, rest_most_s=_BETWEEN_TURNS_S)


def create(topic: str) -> None:
    with closing(Admin(EventsSettings.current())) as admin:
        admin.create_topic(topic)


def has_pending(topic: str) -> bool:
    return OutboxRecord.objects.filter(topic=topic, published_at=None).exists()


def all_arrivals(topic: str) -> dict[str, list[int]]:
    """Per key the `n` of every record there is, of a second copy too."""
    arrivals: dict[str, list[int]] = defaultdict(list)
    for record in all_records(topic):
        arrivals[record.key.decode()].append(Noted.from_json(record.value).n)
    return arrivals


def each_in_order(*, keys: int, times: int) -> dict[str, list[int]]:
    return {f"k{key}": list(range(times)) for key in range(keys)}
