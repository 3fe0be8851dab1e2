"""What the variants are called, for those that measure and for those that report them."""

BARE, ME, PROFILE = "bare", "me", "profile"
LOGIN, REFRESH, REGISTER = "login", "refresh", "register"
KAFKA_DOWN, BACKLOG = "register, Kafka down", "register, backlog"
ALONE = "load alone"

# What is compared is measured one after the other.
READS = (BARE, ME, PROFILE)
SIGN_INS = (LOGIN, REFRESH)
REGISTRATIONS = (REGISTER, KAFKA_DOWN, BACKLOG)
VARIANTS = (*READS, *SIGN_INS, *REGISTRATIONS)
