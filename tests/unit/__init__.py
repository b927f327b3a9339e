"""Tests of one module each, in the shape of the source tree."""
