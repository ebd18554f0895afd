"""The language of keywords: what a campaign looks for in messages. It uses no database.

`grammar` reads a keyword, `compiling` turns a list of keywords into a `KeywordSet`, `index` matches a message against
the sets of many campaigns at once, `explaining` shows why a text matches or not.
"""
