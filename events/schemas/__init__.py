"""What is told to readers of our events: a JSON Schema for each class, one AsyncAPI document, and what may change."""
