"""Whatever a file or a name holds, a message is one line of printable characters."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError, GossamerError


@given(st.text())
def test_any_text_becomes_one_printable_line(text):
    message = str(GossamerError(text))
    assert message.isprintable()
    assert text.isprintable() <= (message == text)


def test_escapes_do_not_reach_the_terminal():
    assert str(DataError("a\x1b[31m.xyz: no\nfile.")) == "a\\x1b[31m.xyz: no file."
    assert str(pickle.loads(pickle.dumps(DataError("lost.")))) == "lost."
