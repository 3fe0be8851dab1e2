"""What must hold whatever happens in whatever order: Hypothesis finds the order."""
