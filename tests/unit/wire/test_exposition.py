"""Prometheus text."""

from drystone.wire.exposition import counter, counters, expose, gauge, gauges


def test_the_text() -> None:
    text = expose(
        [
            gauge("up", "Whether", 1),
            counter("seen", "How many", 2),
            gauges("age", "How old", ("host",), [(("a",), 1.5), (("b",), None), (('"\\\n',), 3)]),
            counters("asked", "By whom", ("who",), []),
        ]
    ).decode()
    assert text.splitlines() == [
        "# HELP up Whether",
        "# TYPE up gauge",
        "up 1.0",
        "# HELP seen_total How many",
        "# TYPE seen_total counter",
        "seen_total 2.0",
        "# HELP age How old",
        "# TYPE age gauge",
        'age{host="a"} 1.5',
        'age{host="\\"\\\\\\n"} 3.0',
        "# HELP asked_total By whom",
        "# TYPE asked_total counter",
    ]


def test_nothing_is_kept_between_two_texts() -> None:
    assert expose([gauge("up", "Whether", 1)]) == expose([gauge("up", "Whether", 1)])
