"""Reports that show no people: tokens in their place, and no number of users that is too small to be shown."""

from appgov_lib.privacy.view import reading, told, told_of, wanted

__all__ = ["reading", "told", "told_of", "wanted"]
