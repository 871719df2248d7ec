"""Nothing lost, counted: thousands of messages, everything that can fail failing, and an account of each of them.

``messages`` makes the messages, ``run`` sends them and breaks things meanwhile, ``account`` judges what came of it.
"""
