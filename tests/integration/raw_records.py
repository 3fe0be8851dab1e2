"""Records in Kafka as any client may write them, ours or not."""

from dataclasses import dataclass

from kafka import KafkaProducer  # type: ignore[import-untyped]  # ships no types


@dataclass(frozen=True, slots=True)
class Raw:
    """A record as any client may write it."""

    key: bytes | None = b"k"
    value: bytes | None = b"{}"
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of this test alone. Also a group of that name."""

    name: str
    producer: KafkaProducer

    def write(self, *records: Raw, partition: int = 0) -> None:
        """Returns when the broker has them all."""
        sent = [
            self.producer.send(
                self.name, key=raw.key, value=raw.value, headers=list(raw.headers), partition=partition
            )
            for raw in records
        ]  # fmt: skip
        for future in sent:
            future.get(timeout=20)
