"""Answers that a reading rule leaves unread, read by a language model."""
