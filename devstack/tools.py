"""Kafka's own command-line tools: `python -m devstack kafka-topics …`, its address filled in."""

import os
import sys
from typing import NoReturn

from devstack import client
from devstack.errors import DevstackError
from devstack.java import java, kafka_home
from devstack.places import Places

MAIN_CLASSES = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-configs": "org.apache.kafka.tools.ConfigCommand",
    "kafka-acls": "org.apache.kafka.tools.AclCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
}
_ADDRESS = "--bootstrap-server"
# With one of these no address is wanted.
_INSTEAD = ("--bootstrap-controller", "--help", "--version")


def become(tool: str, arguments: list[str], *, stack: str | None) -> NoReturn:
    """Turn this process into the tool, for the stack that was named, else for KAFKA_BROKERS, else for `main`."""
    if not kafka_home().is_dir():
        raise DevstackError("The Kafka jars are not there yet: python -m devstack up")
    if not any(argument.startswith((_ADDRESS, *_INSTEAD)) for argument in arguments):
        arguments = [*arguments, _ADDRESS, _brokers(stack)]
    command = java(MAIN_CLASSES[tool], *arguments)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606  # no shell is the point


def _brokers(stack: str | None) -> str:
    if stack is None and "KAFKA_BROKERS" in os.environ:
        return os.environ["KAFKA_BROKERS"]
    return client.addresses(Places(stack or "main"))["KAFKA_BROKERS"]
