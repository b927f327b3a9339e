"""Tests of holdfast.pending."""
