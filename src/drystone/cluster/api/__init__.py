"""The cluster's HTTP API, below /v1: stateless, so that any number of servers may run over one database.

JSON in and out, described by /v1/schema/openapi.json; errors are problem documents (drystone.wire.problems). Every
request but /v1/health bears `Authorization: Bearer TOKEN`. Every write takes `Idempotency-Key`: the same request with
the same key is done once, and answered the same. Creating, deleting and attaching a volume take `?dry_run=1`: the exact
calls and tables, and nothing is changed. Lists take `limit`, `after` (the `next` of the page before), `descending` and
filters.

What takes longer than a request is a resource with a `status` and a `reason`: 202, and GET it. It says what is so: what
no agent has done stays `creating`. The monitor has agents do it.
"""
