"""The rules about leads and conversations.

Callers import the modules: nothing is re-exported here, so a name has one address.
"""
