"""What a run found: a table for people, on stdout and kept in `results/`, and one JSON object as the last line.

Called once, last, by each benchmark while its parts still run. The machine, the versions and the date stand
above each table, since a figure means nothing without them.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psycopg

from devstack.java import kafka_home

_RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("kafka-python", "psycopg", "django")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found: a title, rows of cells in the order of `columns`, figures for machines, paragraphs below."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    figures: Mapping[str, object]
    notes: Sequence[str] = ()

    def publish(self, *, name: str, environ: Mapping[str, str], keep: bool = True) -> None:
        """Print it, and unless not to `keep`, write the same as `results/NAME.md`.

        `environ` is the stack's, whose database tells its version.
        """
        lines = [f"# {self.title}", "", *_where(environ), "", *_table(self.columns, self.rows)]
        page = "\n".join(lines + [f"\n{note}" for note in self.notes])
        figures = json.dumps(self.figures)
        if keep:
            _RESULTS.mkdir(exist_ok=True)
            (_RESULTS / f"{name}.md").write_text(f"{page}\n\n```json\n{figures}\n```\n", encoding="utf-8")
        print(page, figures, sep="\n\n", flush=True)


def _where(environ: Mapping[str, str]) -> list[str]:
    return [
        f"- {datetime.now(tz=UTC):%Y-%m-%d %H:%M} UTC",
        f"- {_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB, {platform.system()} {platform.release()}",
        f"- Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        f"- {_parts(environ)}",
    ]


def _parts(environ: Mapping[str, str]) -> str:
    with psycopg.connect(environ["DATABASE_URL"]) as connection:
        postgres = connection.info.parameter_status("server_version")
    jars = [jar.stem.removeprefix("kafka-clients-") for jar in kafka_home().glob("kafka-clients-*.jar")]
    return f"PostgreSQL {postgres}, Apache Kafka {jars[0] if jars else '(not the embedded one)'}, all on this machine"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [list(columns), ["---"] * len(columns), *([_cell(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
