from __future__ import annotations

from drystone.formats.xml.elements import RowKind
from drystone.formats.xml.rows import RowTemplate


def test_the_regular_line() -> None:
    kind = RowKind("bit", ("block", "n"), (("value", "true"),), indent=2)
    assert kind.make_template() == RowTemplate((b'  <bit block="', b'" n="', b'" value="true"/>\n'))
