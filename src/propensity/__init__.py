"""Lead propensity: how likely a lead is to be won, why, and what to do about it."""

__version__ = "0.1.0"
