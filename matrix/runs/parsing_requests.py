"""The forms of the requests to the child that parses files of a build, and of its answers."""

TASK = "matrix.runs.parsing_child"
"""The module of the child, whose imports only the child needs."""

ELF, DATABASES = b"E", b"D"
"""The first byte of a request: what follows are a path, a newline and an ELF file, or what make printed."""

ANSWER, REFUSAL = b"A", b"R"
"""The first byte of the answer to DATABASES: what follows is JSON, or the reason why they are refused."""
