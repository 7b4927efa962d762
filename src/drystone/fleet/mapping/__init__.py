"""The mapper: which servers keep which host, who leads, and what to do when one of them dies.

Its HTTP API. All below /internal/ needs `Authorization: Bearer SECRET`, and answers 401 without it. Bodies are JSON,
documents of drystone.fleet.documents and drystone.fleet.orders. A mapper that does not lead answers 307 with the
leader's URL for the same path (`Location`), or 503 with `Retry-After: 1` while there is none; clients follow it
themselves, as HTTP libraries drop the token on the way to another host, and try the next mapper on 503.

    POST /internal/heartbeat            Heartbeat -> HeartbeatAnswer; 403: the server is not in the mapper's list
    GET  /internal/map[?newer=V&wait=S&edition=E]
                                        FleetMap; newer: 204 when there is none above V after S (<= 25) seconds;
                                        edition: of the map V: then it may tell only what changed since
    POST /internal/allocate             Allocation -> Placement; 404: no such bucket; 409 exhausted: no room
    GET  /internal/placements/ID        Placement; 404
    DELETE /internal/placements/ID      204: the host is forgotten, its data left over for a while
    POST /internal/remember             RememberOrder -> Placement: a forgotten host is had back; 404, 409
    POST /internal/report               Report -> Placement; 409: the Placement as it is, nothing changed
    POST /internal/buckets              NewBucket -> Bucket; 409: it exists
    POST /internal/buckets/NAME         BucketChange -> Bucket; 404
    DELETE /internal/buckets/NAME       204; 404. Whoever asks has seen that it is empty; what was put meanwhile stays
                                        on the disks and is there again when a bucket of that name is made
    POST /internal/keys                 Key -> Key; one of that name is replaced
    DELETE /internal/keys/ACCESS_KEY    204; 404
    POST /internal/disks                DiskOrder -> 204
    POST /internal/lead                 LeadOrder -> Placement; 409: it would lose writes
    POST /internal/vbuckets             VbucketOrder -> 204
    POST /internal/recovered            204: the rebuilding of the map ends, whoever is missing
    POST /internal/rebalance            Moves -> Moves: so many copies at a time go from full disks to emptier ones
    POST /internal/drill                DrillOrder -> 204: a host's newest objects are read back next; 404
    POST /internal/drills               DrillResult -> 204, by a storage server that was asked for it
    GET  /internal/status               Status: servers, disks, hosts, copies under way, what a second failure costs
    GET  /internal/audit?limit=N        the newest entries first
    GET  /health                        200 {"leads": bool, "term": N, "short": N}, without a token; `short`:
                                        placements that have few epochs left, or none

An error's body is a problem document (drystone.wire.problems). Statuses: 400 usage, 403 refused, 404 not-found, 409
exists, mismatch or exhausted, 503 unavailable or busy (try again).

The legacy API is below /api; see drystone.fleet.mapping.legacy. /status and /metrics: drystone.fleet.mapping.page.
"""
