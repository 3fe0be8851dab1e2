"""The one error that devstack shows to a person or a caller; raised everywhere, caught by the command line."""


class DevstackError(Exception):
    """The stack cannot do what was asked; the message says why and what to do."""
