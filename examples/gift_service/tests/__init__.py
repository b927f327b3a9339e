"""Tests of the gift service, alone and in the whole system."""
