"""What this package registers with Flambeau, as names and entry strings that are imported on first use."""
