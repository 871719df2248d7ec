"""``make bench``: cold starts of the built functions beside those of handlers around the official SDKs.

``build`` puts both into folders of their own, ``cases`` says what is compared, ``servers`` are the clouds on
loopback, ``measure`` runs one process under the runtime client, ``report`` and ``plot`` write the results.
"""
