"""A SQL file as its statements: what a person reads in an error, and what the migration ledger keeps."""

import re

# Whatever may hide a semicolon. Postgres nests block comments; ours do not, and one level is what this reads.
_TOKEN = re.compile(
    r"""
      --[^\n]*                                      # line comment
    | /\*.*?\*/                                     # block comment
    | [eE]'(?:[^'\\]|\\.|'')*'                      # escape string
    | '(?:[^']|'')*'                                # string
    | "(?:[^"]|"")*"                                # quoted identifier
    | (?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?P=tag)     # dollar-quoted body
    | ;
    | [^;'"$/eE-]+ | .                              # everything else
    """,
    re.DOTALL | re.VERBOSE,
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


def split_statements(sql: str) -> list[str]:
    """The statements of a file in order, trimmed, without their semicolons; comment-only ones are left out.

    Bodies written `begin atomic ... end` are not read (they hold bare semicolons): ours are dollar-quoted.
    """
    statements: list[str] = []
    current: list[str] = []
    for token in _TOKEN.finditer(sql):
        if token.group() == ";":
            statements.append("".join(current).strip())
            current = []
        else:
            current.append(token.group())
    statements.append("".join(current).strip())
    return [text for text in statements if without_comments(text)]


def without_comments(statement: str) -> str:
    """What is left of a statement when comments are cut out (also inside bodies), trimmed."""
    return _COMMENT.sub("", statement).strip()


def first_line(statement: str) -> str:
    """The first line that is not a comment, for an error message."""
    return without_comments(statement).partition("\n")[0].strip()
