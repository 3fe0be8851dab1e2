"""Apache Kafka 4.4: one node, broker and controller in one, timeouts short enough for tests of faults."""

import shutil
import signal
from pathlib import Path

from devstack.java import java

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},PROXIED://127.0.0.1:{proxied},CONTROLLER://127.0.0.1:{controller}
# Clients follow the advertised address: who comes through the proxy's port is told to stay there.
advertised.listeners=PLAINTEXT://127.0.0.1:{broker},PROXIED://127.0.0.1:{proxy}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}

auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# A group forms at once, and a killed broker is back within 3 s instead of 11.
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
controller.quorum.fetch.timeout.ms=2000

# Rules can be set with kafka-acls; without any, everybody may do everything.
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true

# Half of the heap would go to the log cleaner.
log.cleaner.dedupe.buffer.size=2097152
"""
_CLUSTER_ID = "dXNlcmNlbnRlci1kZXZzdA"


class Kafka:
    """Four ports: the broker's, the controller's, and for tests of faults a second listener's and its proxy's.

    The proxy's port is only kept free for a proxy that a test may put before the second listener.
    """

    name = "kafka"
    ready_line = b"Kafka Server started"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self.folder = folder / "kafka"
        self.ports = ports
        self.data = self.folder / "data"
        self.made = self.folder / "made"
        self.properties = self.folder / "server.properties"

    def configure(self) -> None:
        """Write the properties; clear away a data folder whose formatting was cut short."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.made.exists():
            shutil.rmtree(self.data, ignore_errors=True)
        names = ("broker", "controller", "proxied", "proxy")
        self.properties.write_text(_PROPERTIES.format(data=self.data, **dict(zip(names, self.ports, strict=True))))

    @property
    def format_argv(self) -> list[str]:
        """The command that makes the data folder."""
        return java("kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(self.properties))

    @property
    def set_up(self) -> list[list[str]]:
        """Format the data folder."""
        return [self.format_argv]

    @property
    def argv(self) -> list[str]:
        """The broker."""
        return java("kafka.Kafka", str(self.properties))

    @property
    def environ(self) -> dict[str, str]:
        """The bootstrap address."""
        return {"KAFKA_BROKERS": f"127.0.0.1:{self.ports[0]}"}
