"""What the variants are called, for the processes that run them and for those that start, check and report them."""

REFERENCE, NOOP, LOGIN, NONE_FAILING, FAILING = "reference", "noop", "login", "none failing", "failing"
VARIANTS = (REFERENCE, NOOP, LOGIN, NONE_FAILING, FAILING)

NOTE = "note"  # the handler that fails, or might
