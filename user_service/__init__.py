"""Accounts, and the pending operations that give sagas their isolation back."""
