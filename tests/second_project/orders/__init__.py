"""Orders, and the sales that come of them."""
