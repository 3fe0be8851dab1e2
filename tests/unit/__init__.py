"""Rules that need no running part."""
