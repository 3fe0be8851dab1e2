"""The errors that cross a file, sorted by what the caller should do about them."""


class EventsError(Exception):
    """Root of what this app raises for others to catch."""


class Transient(EventsError):
    """The surroundings are away (broker, database, cache): wait and try again; burns no attempt."""


class Retryable(EventsError):
    """This piece of work failed and may succeed later: counts as an attempt."""


class Permanent(EventsError):
    """This piece of work can never succeed: no further attempt."""
