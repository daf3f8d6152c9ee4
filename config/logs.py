"""Keeps secrets and phone numbers out of the log, whoever writes it."""

import logging

from audit.redaction import mask_phone_numbers, without_secrets


class RedactingFormatter(logging.Formatter):
    """Rewrites what is about to be written: the message, and the traceback under it."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_phone_numbers(without_secrets(super().format(record)))
