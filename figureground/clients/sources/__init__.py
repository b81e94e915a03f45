"""Where footage and weights come from: what the path of a source stands for, and how its files are downloaded.

`identity` turns a catalog source into sources with ids, `listing` asks pages and prefixes, `fetching` brings files here.
"""
