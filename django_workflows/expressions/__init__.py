"""The little languages that users type; pure functions from text to values."""
