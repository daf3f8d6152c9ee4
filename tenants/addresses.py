"""Who called us, behind our own proxies."""


def caller_address(*, socket_address: str, forwarded_for: str, trusted_proxies: int) -> str:
    """The caller's address.

    Each of our `trusted_proxies` proxies appends the address it saw to X-Forwarded-For; what stands further left is
    hearsay, and without proxies of ours all of it is.
    """
    if trusted_proxies:
        hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
        if len(hops) >= trusted_proxies:
            return hops[-trusted_proxies][:45]
    return socket_address[:45]
