"""Daraja as it really behaves, with faults, and a virtual phone.

A product of its own: it shares no code and no database with the platform and is reached only over HTTP.
Start it with ``python -m granian --interface asgi channels.simulator.app:application --workers 1``; one worker,
because its books have one writer.
"""
