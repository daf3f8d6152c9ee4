"""A client of Safaricom's M-PESA API, Daraja, and readers of what it sends back.

Knows neither Django nor our models: it could be a package of its own. "Section n" in a docstring is section n of
docs/daraja.md.
"""
