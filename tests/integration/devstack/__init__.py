"""Tests of the embedded stack, which kill its parts."""
