"""Dates that sort and that nobody misreads; times are UTC everywhere."""

from __future__ import annotations

DATE_FORMAT = "Y-m-d"
TIME_FORMAT = "H:i:s"
DATETIME_FORMAT = "Y-m-d H:i:s"
SHORT_DATE_FORMAT = DATE_FORMAT
SHORT_DATETIME_FORMAT = DATETIME_FORMAT
FIRST_DAY_OF_WEEK = 1

MINUTE_FORMAT = "D j M Y, H:i"  # of ours, for customers: each language has it
