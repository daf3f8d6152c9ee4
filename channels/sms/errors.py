"""What can go wrong when handing an SMS to a provider.

SmsError
├── SmsRejected     The provider understood and said no to this message. Never retry.
├── SmsUnavailable  The message was not handed over. Safe to retry.
└── SmsTimeout      The provider may have taken it. Never sent again by itself.
"""


class SmsError(Exception):
    """A message that was not handed over for certain. `sentence` is for people: no credentials, no whole numbers."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class SmsRejected(SmsError):
    pass


class SmsUnavailable(SmsError):
    pass


class SmsTimeout(SmsError):
    pass
