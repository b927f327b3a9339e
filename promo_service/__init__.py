"""Promo codes and their redemptions."""
