"""``make torture``: sends thousands of messages while everything fails at times, and checks where each ended.

``messages`` makes them, ``run`` sends them, ``trouble`` has the faults, ``account`` judges the run's ``evidence``.
"""
