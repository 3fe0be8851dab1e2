"""What the variants are called, for those that measure and for those that report them."""

BARE, ME, PROFILE = "bare", "me", "profile"
PATCH, PATCH_BARE, PATCH_RELAYED = "patch", "patch, nothing published", "patch, relayed"
LIST_FIRST, LIST_DEEP, LIST_BY_NAME = "list, first page", "list, deep page", "list, by name"
SEARCH_FEW, SEARCH_MANY, LIST_COUNTED = "search, few", "search, many", "list, counted"
LOGIN, REFRESH, REGISTER = "login", "refresh", "register"
KAFKA_DOWN, BACKLOG = "register, Kafka down", "register, backlog"
ALONE = "load alone"

# What is compared is measured one after the other.
READS = (BARE, ME, PROFILE)
CHANGES = (PATCH, PATCH_BARE, PATCH_RELAYED)
PAGES = (LIST_FIRST, LIST_DEEP)
OTHER_LISTS = (LIST_BY_NAME, SEARCH_FEW, SEARCH_MANY, LIST_COUNTED)
LISTS = (*PAGES, *OTHER_LISTS)
SIGN_INS = (LOGIN, REFRESH)
REGISTRATIONS = (REGISTER, KAFKA_DOWN, BACKLOG)
GROUPS = (READS, CHANGES, PAGES, OTHER_LISTS, SIGN_INS, REGISTRATIONS)
VARIANTS = tuple(variant for group in GROUPS for variant in group)
