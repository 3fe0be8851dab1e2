"""Data derived from users, replaced only by a newer version; each file both writes and reads its own."""
