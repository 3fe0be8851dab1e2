#!/usr/bin/env python
"""The command line: relay_outbox, consume_events, kafka, migrate and the rest of Django's."""

import os
import sys


def main() -> None:
    """Refuse wrong settings in one line each, then run the command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "usercenter.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - needs the line above

    if sys.argv[1:2] != ["check"]:  # `check` shows the same list in Django's own form
        from usercenter.start import refuse_if_wrong  # noqa: PLC0415 - needs the settings

        refuse_if_wrong()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
