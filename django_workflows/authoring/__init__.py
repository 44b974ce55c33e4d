"""The contract that a workflow author writes against; pure, no database."""
