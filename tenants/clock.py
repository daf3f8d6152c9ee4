"""Kenya's clock, by which days begin and end, whatever clock a reader has chosen for themselves."""

from zoneinfo import ZoneInfo

NAIROBI = ZoneInfo("Africa/Nairobi")
