"""The fleet's state for people and for monitors, at a mapper.

    GET /status         a page: servers, disks, hosts with their copies, what is at risk. It keeps itself up to date
                        with a small script of its own, and without scripts by loading itself anew
    GET /status/board   the part of the page that changes, as HTML
    GET /status.json    the same as a document (board.Board)
    GET /metrics        Prometheus text. A mapper that does not lead says only that

All are open or need a key as the legacy API does; the key must have "admin" on "*" (HTTP Basic). Nothing is loaded from
another server, and nothing can be changed here. A mapper that does not lead answers 307 with the leader's URL.
"""
