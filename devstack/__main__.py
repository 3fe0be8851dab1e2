"""`python -m devstack …`: the stack from a shell. Each command is a few lines over client, tools, mail and run."""

import argparse
import shlex
import sys
from collections.abc import Callable

from devstack import client, demo, mail, run, tools
from devstack.api import PARTS
from devstack.errors import DevstackError
from devstack.places import Places


def _up(places: Places) -> int:
    """Start the stack and leave it running until `down`."""
    line, environ = client.hold(places, parts=PARTS, fresh=False)
    line.ask("keep-up")
    line.leave()
    return _show(environ)


def _down(places: Places) -> int:
    """Undo `up`: end the parts, unless somebody else still holds them."""
    line = client.Line.to(places)
    answer = line.ask("let-down") if line else None
    if line is None or answer is None:
        print(f"The stack {places.name} is not running.")
    elif answer["holders"]:
        print(f"The stack {places.name} stays until its other holders end; holders: {answer['holders']}")
    else:
        line.leave()
    return 0


def _status(places: Places) -> int:
    """Say which parts run where; exit 1 where none does."""
    line = client.Line.to(places)
    answer = line.ask("status") if line else None
    if answer is None:
        print(f"The stack {places.name} is not running.")
        return 1
    kept = "; kept up until `down`" if answer["kept_up"] else ""
    print(f"The stack {places.name} is running; holders: {answer['holders']}{kept}")
    for name, part in answer["parts"].items():
        ports = ", ".join(map(str, part["ports"]))
        print(f"  {name:<9} {part['state']:<11} port {ports:<13} pid {part['pid'] or '-'}")
    return 0


def _env(places: Places) -> int:
    """Print the addresses as KEY=value lines, fit for a shell's eval and for a .env file."""
    return _show(client.addresses(places))


def _mail(places: Places) -> int:
    """Print the caught mails, the oldest first."""
    mail.show(places.mailbox)
    return 0


def _run(places: Places) -> int:
    """Run the whole application in the foreground on this stack, until Ctrl-C."""
    return run.application(places.name)


def _demo(_places: Places) -> int:
    """Show the whole way of each event on a fresh stack, and end."""
    return demo.show()


def _show(environ: dict[str, str]) -> int:
    for key, value in environ.items():
        print(f"{key}={shlex.quote(value)}")
    return 0


_COMMANDS: dict[str, Callable[[Places], int]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "env": _env,
    "mail": _mail,
    "run": _run,
    "demo": _demo,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m devstack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        commands.add_parser(name, help=command.__doc__)
    for name, main_class in tools.MAIN_CLASSES.items():
        commands.add_parser(name, help=f"Kafka's own tool: {main_class.rpartition('.')[2]}", add_help=False)
    parser.epilog = "Every command takes --stack NAME (default: main)."
    return parser


def main() -> int:
    """Pick the stack, then the command; a Kafka tool gets its arguments as they are."""
    name, arguments = _stack_name(sys.argv[1:])
    parsed, rest = _parser().parse_known_args(arguments)
    try:
        if parsed.command in tools.MAIN_CLASSES:
            tools.become(parsed.command, rest, stack=name)
        _refuse(rest)
        return _COMMANDS[parsed.command](Places(name or "main"))
    except DevstackError as error:
        print(f"devstack: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _refuse(arguments: list[str]) -> None:
    if arguments:
        raise DevstackError(f"unknown arguments: {' '.join(arguments)}")


def _stack_name(arguments: list[str]) -> tuple[str | None, list[str]]:
    """The value of --stack, None where it is not there, and the other arguments."""
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--stack")
    parsed, rest = own.parse_known_args(arguments)
    return parsed.stack, rest


if __name__ == "__main__":
    sys.exit(main())
