"""Daraja's own endpoints, one module for each API."""
