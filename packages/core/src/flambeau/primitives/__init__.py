"""The closed set of operations, one row each, and how they are called."""
