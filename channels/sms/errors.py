"""What can go wrong when handing an SMS to a provider.

SmsError
├── SmsRejected     The provider understood and said no to this message. Never retry.
├── SmsUnavailable  The message was not handed over. Safe to retry.
└── SmsTimeout      The provider may have taken it. Never sent again by itself.
"""


class SmsError(Exception):
    """A message that was not handed over for certain. Its text is for people, without credentials or whole numbers."""


class SmsRejected(SmsError):
    pass


class SmsUnavailable(SmsError):
    pass


class SmsTimeout(SmsError):
    pass
