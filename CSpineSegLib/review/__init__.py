"""Who did what to which mask: revisions that are never overwritten, events, status, and the list of work.

Everything lies in small files that are written once; any table is rebuilt from them.
"""
