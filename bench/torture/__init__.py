"""``make torture``: sends thousands of messages while everything fails at times, and checks where each ended.

``messages`` makes them and ``tasks`` what they name, ``run`` sends them, ``trouble`` has the faults, ``actor``
changes tasks on the way; ``account`` and ``look_rules`` judge the ``evidence``, which ``books`` puts in order.
"""
